"""The run directory: whose it is, and what it tells of the run."""

import contextlib
import itertools
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from .files import Content, Reserve, try_lock, write_atomically

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")
"""What a run may be called: nothing that leaves the folder or upsets a shell."""
LONGEST_NAMES = 180  # of a generated name: time and number follow
ENDING_BYTES = 4096  # that `finish` adds to run.json
HEARTBEAT_SECONDS = 15.0
SILENT_SECONDS = 8 * HEARTBEAT_SECONDS  # after which a process on another machine counts as gone
LONGEST_LINE = 2**16  # of metrics.jsonl
OF_A_RUN = ("started", "branched_from")  # what stays in run.json of a run that goes on
OF_A_SESSION = ("status", "reason", "resumed", "steps", "argv", "versions", "device", "process", "error")
OF_A_SESSION += ("git", "machine")


def generated_name(*parts: str) -> str:
    """The given names, what `NAME` does not allow replaced, and the local time, joined by underscores."""
    return joined_name(*parts, after=f"_{datetime.now():%Y%m%d_%H%M%S}")


def joined_name(*parts: str, after: str = "") -> str:
    """The given names, what `NAME` does not allow replaced, joined by underscores.

    Args:
        parts: The names; of long ones the beginning.
        after: What stands behind them.
    """
    names = re.sub(r"[^A-Za-z0-9._=+-]", "-", "_".join(parts))[:LONGEST_NAMES]
    return f"{names}{after}".lstrip("._=+-")


def claim(name: str, folders: Iterable[Path]) -> str:
    """Makes a new directory for a run in each of the folders.

    Directories are made, not looked for, so that of several processes only one gets a name.

    Args:
        name: The wanted name.
        folders: Folders that hold runs; missing ones are made.

    Returns:
        The name, with `-1`, `-2` ... behind it where it was taken.

    Raises:
        OSError: A directory cannot be made.
    """
    folders = list(folders)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        candidate = f"{name}-{number}" if number else name
        made: list[Path] = []
        try:
            for folder in folders:
                (folder / candidate).mkdir()
                made.append(folder / candidate)
            return candidate
        except FileExistsError:
            for path in made:
                path.rmdir()
    raise AssertionError


class RunIsHeldError(RuntimeError):
    """Another process trains the run.

    Attributes:
        path: The run's directory.
        holder: What is known of the process: `pid` and `host`; nothing of one that has just begun.
    """

    def __init__(self, path: Path, holder: dict[str, Any]):
        super().__init__(path, holder)
        self.path, self.holder = path, holder

    def __str__(self) -> str:
        who = f"process {self.holder['pid']} on {self.holder.get('host')}" if "pid" in self.holder else ""
        return f"{self.path} is being trained by {who or 'another process'}"


class RunDirectory:
    """A directory that holds one run.

    While the run goes on, `run.json` names the process, and its modification time moves on: by them
    `read_facts` finds out whether a run that was never marked as ended still lives. That a second process
    does not train it, too, is up to `run.lock`, whose lock ends with the process.

    Args:
        path: The directory, which exists.
        lock: From `hold`, where the caller has it already.
        facts: What `run.json` is to say. Where it is there, the run goes on: what it has said stays, and the
            process before becomes one of its `sessions`.

    Attributes:
        path: The directory.
        facts: What `run.json` says: status, arguments, versions, timings, and of a run that went on its
            `sessions` before.

    Raises:
        RunIsHeldError: Another process trains the run.
        OSError: The directory cannot be written.
    """

    def __init__(self, path: Path, *, lock: int | None = None, **facts: Any):
        self.path = path
        self._lock = hold(path) if lock is None else lock
        before, now = _before(path), datetime.now().astimezone().isoformat(timespec="seconds")
        self.facts: dict[str, Any] = {"name": path.name, "status": "running", "started": now} | before | facts
        if before or (path / "config.toml").is_file():  # which is written behind the first run.json
            self.facts["resumed"] = now
        self.facts["process"] = _this_process()
        self._began = time.monotonic()
        self._reserves: dict[str, Reserve] = {}
        self._ended = threading.Event()
        write_atomically(self.path / "run.json", self._text())
        threading.Thread(target=self._beat, daemon=True, name="lerax heartbeat").start()

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes `config.toml`, which repeats the run."""
        write_atomically(self.path / "config.toml", tomli_w.dumps(config).encode())

    def reserve(self, policy_bytes: int) -> None:
        """Keeps room on the disk for the policy, and for what is said of the run's end.

        Args:
            policy_bytes: The most that `policy.eqx` takes.

        Raises:
            OSError: There is too little; nothing is kept.
        """
        sizes = {"run.json": len(self._text()) + ENDING_BYTES, "policy.eqx": policy_bytes}
        try:
            for name, size in sizes.items():
                self._reserves[name] = Reserve(self.path / name, size)
        except OSError:
            self.release()
            raise

    def write(self, name: str, data: Content) -> None:
        """Writes one of the run's files, whole or not at all, in the room that is reserved for it.

        Raises:
            OSError: It cannot be written; what was there before is still there.
        """
        if name in self._reserves:
            self._reserves.pop(name).write(data)
        else:
            write_atomically(self.path / name, data)

    def finish(self, status: str, **facts: Any) -> None:
        """Records how the run ended, and gives up what is reserved.

        Raises:
            OSError: It cannot be written; `run.json` says what it said before.
        """
        self._ended.set()
        self.facts |= {"status": status, "seconds": round(time.monotonic() - self._began, 3)}
        self.facts |= facts
        try:
            self.write("run.json", self._text())
        finally:
            self.release()
            if self._lock is not None:
                self._lock = os.close(self._lock)

    def release(self) -> None:
        """Gives up the room that is reserved."""
        while self._reserves:
            self._reserves.popitem()[1].release()

    def _text(self) -> bytes:
        # Arguments and paths need not be Unicode: escaped, the file is valid JSON whatever they are.
        return (json.dumps(self.facts, indent=2) + "\n").encode("ascii")

    def _beat(self) -> None:
        # The time of the file and not its content: it needs no room, and cannot undo what `finish` writes.
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                os.utime(self.path / "run.json")
            except FileNotFoundError:
                return  # somebody has removed the run
            except OSError:
                pass


def hold(path: Path) -> int:
    """Takes the lock of a run, which ends with the process or when the descriptor is closed.

    Raises:
        RunIsHeldError: Another process has it.
        OSError: The lock's file cannot be made.
    """
    file = os.open(path / "run.lock", os.O_RDWR | os.O_CREAT, 0o666)
    if try_lock(file) is False or _beats(path):
        os.close(file)
        told = _told(path)  # which still names the process before, where the new one has just begun
        raise RunIsHeldError(path, (told.get("process") or {}) if told.get("status") == "running" else {})
    return file


def _beats(path: Path) -> bool:
    """Whether a process that is not known to have ended goes on with a run; one elsewhere is listened for."""
    facts = _told(path)
    if facts.get("status") != "running":
        return False
    if (facts.get("process") or {}).get("boot") == _boot():
        return True
    last, end = (path / "run.json").stat().st_mtime, time.monotonic() + 2 * HEARTBEAT_SECONDS
    while time.monotonic() < end:
        if (path / "run.json").stat().st_mtime != last:
            return True
        time.sleep(0.2)
    return False


def _told(path: Path) -> dict[str, Any]:
    """What is known of a run; nothing where `run.json` is missing or damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return read_facts(path)
    return {}


def _before(path: Path) -> dict[str, Any]:
    """What stays in `run.json` of a run that goes on, its last process among the `sessions`."""
    facts = _told(path)
    if not facts:
        return {}
    last = {name: facts[name] for name in OF_A_SESSION if name in facts}
    if isinstance(git := last.get("git"), dict):  # a run may go on a hundred times
        last["git"] = {name: value for name, value in git.items() if name != "diff"}
    sessions = facts.get("sessions")
    return {name: facts[name] for name in OF_A_RUN if name in facts} | {
        "sessions": [*(sessions if isinstance(sessions, list) else ()), last]
    }


def read_facts(path: str | Path) -> dict[str, Any]:
    """What `run.json` says of a run, and what it cannot say itself.

    Args:
        path: The run's directory.

    Returns:
        Its content. The status is `died` where the process that wrote `running` is gone, and `reason` says
        why it counts as gone. Before the end, `steps` are those of the last line of `metrics.jsonl`.

    Raises:
        OSError: There is no `run.json`, or it cannot be read.
        ValueError: It is no JSON object.
    """
    path = Path(path)
    file = path / "run.json"
    facts = json.loads(file.read_bytes())
    if not isinstance(facts, dict):
        raise ValueError(f"{file}: not a JSON object")
    if facts.get("status") != "running":
        return facts
    facts["steps"] = last_step(path / "metrics.jsonl")
    process = facts.get("process")
    if isinstance(process, dict):  # older versions do not tell
        reason = _death(process, time.time() - file.stat().st_mtime)
        facts |= {"status": "died", "reason": reason} if reason else {}
    return facts


def _this_process() -> dict[str, Any]:
    """Who writes: a process, and where its number means something."""
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "boot": _boot(), "began": _beginning(pid)}


def _boot() -> str | None:
    """This start of the machine and this container on it, within which a process has one number."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _beginning(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; 0 if it has ended, None where nobody says."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in b"ZX" else int(fields[19])


def _death(process: dict[str, Any], silence: float) -> str | None:
    """Why a process counts as gone after so many seconds without a heartbeat; None where it does not."""
    pid, boot = process.get("pid"), process.get("boot")
    if not isinstance(pid, int) or boot is None or boot != _boot():  # its number says nothing here
        gone = silence > SILENT_SECONDS
        return f"no sign of life from {process.get('host')} for {silence:,.0f} s" if gone else None
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return f"process {pid} is gone"
    except OSError:
        pass  # it is somebody else's
    return f"process {pid} is gone" if _beginning(pid) not in (None, process.get("began")) else None


def last_step(path: Path) -> int:
    """The environment steps in the last whole line of a metrics.jsonl; 0 where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(-min(file.seek(0, os.SEEK_END), LONGEST_LINE), os.SEEK_END)
            return int(json.loads(file.read().split(b"\n")[-2])["step"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0
