"""Runs the command as a user does: in a process, or in a terminal whose screen can be read."""

import contextlib
import errno
import fcntl
import functools
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
from prefork import Finished, Forked, Prefork

from lerax.files import UNFINISHED

LERAX = str(Path(sys.executable).with_name("lerax"))
SECONDS = 600.0  # far more than anything takes: only a hang gets there
BRIEF = ("CartPole-v1", "--preset", "none", "--steps", "2048", "--seed", "1")
ENDLESS = ("CartPole-v1", "--preset", "none", "--steps", "500_000_000", "--seed", "1")
SECOND_SCREEN = 1049  # the private mode of a terminal that shows it
DECIDED_HERE = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "XDG_CACHE_HOME", "PYTHONWARNINGS")
READ_LATE = {  # by no import
    *(
        "FORCE_COLOR",
        "HOME",
        "IMAGEIO_FFMPEG_EXE",
        "JAX_COMPILATION_CACHE_DIR",
        "NO_COLOR",
        "TERM",
        "XLA_FLAGS",
    ),
}


def own_cache(folder: Path) -> Path:
    """A copy of the compilation cache that all tests share, for one that kills or damages."""
    copy = folder / "cache"
    unfinished = shutil.ignore_patterns(f"*{UNFINISHED}")  # other tests' processes are writing
    shutil.copytree(os.environ["JAX_COMPILATION_CACHE_DIR"], copy, ignore=unfinished)
    return copy


def environment(**changes: str | None) -> dict[str, str]:
    """The variables of a process: the tests' own with changes; None takes one away."""
    kept = {name: value for name, value in os.environ.items() if name not in DECIDED_HERE}
    own = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "JAX_PLATFORMS": "cpu", "LERAX": LERAX}
    changed = kept | own | changes
    return {name: value for name, value in changed.items() if value is not None}


def run(*arguments: str | bytes, cwd: Path, **changes: str | None) -> Finished:
    """Runs `lerax` without a terminal until it ends.

    It is forked from a process that has imported JAX, which saves most of a start, unless a change of the
    environment may be read by what is imported: then Python starts anew. So do `started` and `Terminal`.
    """
    start = forked if _read_late(changes) else whole
    return start(*arguments, cwd=cwd, **changes)


def forked(*arguments: str | bytes, cwd: Path, **changes: str | None) -> Finished:
    """`run`, from the process that has imported JAX; PYTHONPATH counts for what it has not imported."""
    return forked_beside(lambda pid: None, *arguments, cwd=cwd, **changes)


def warm(*arguments: str | bytes, cwd: Path, out: str | None = None, err: str | None = None) -> Finished:
    """`run`, in a process that has carried out others before: what it has compiled costs next to nothing.

    For commands of which the outcome counts. What they leave in memory for good, such as a module of one's
    own, is there for the next one: such a command is for `run`; one that chooses devices goes there anyway.
    `out` and `err` are as in `Prefork.again`.
    """
    if {"--device", "--devices"} & {*arguments}:
        return run(*arguments, cwd=cwd)
    return _prefork().again([os.fsdecode(word) for word in arguments], cwd, environment(), SECONDS, out, err)


def forked_beside(
    meanwhile: Callable[[int], object],
    *arguments: str | bytes,
    cwd: Path,
    stdout: str | None = None,
    **changes: str | None,
) -> Finished:
    """`forked`; `meanwhile` gets the process's number while it runs, `stdout` is as in `Prefork.run`."""
    words = [os.fsdecode(word) for word in arguments]
    return _prefork().run(words, cwd, environment(**changes), SECONDS, meanwhile, stdout)


def script(path: Path, cwd: Path, *arguments: str, strict: bool = True, **changes: str | None) -> Finished:
    """`forked`, of a program in Python; its warnings are errors, unless they are what it is about."""
    return _prefork().run([*arguments], cwd, environment(**changes), SECONDS, script=str(path), strict=strict)


def whole(*arguments: str | bytes, cwd: Path, **changes: str | None) -> Finished:
    """`run`, from nothing."""
    return finish([LERAX, *arguments], cwd, changes)


@functools.cache
def _prefork() -> Prefork:
    with ordinary_signals():
        return Prefork(environment())


def sh(line: str, cwd: Path, **changes: str | None) -> Finished:
    """Runs a line of shell, in which $LERAX is the command, until it ends."""
    return finish(["sh", "-c", line], cwd, changes)


def finish(command: list[Any], cwd: Path, changes: dict[str, str | None]) -> Finished:
    """Runs a program without a terminal until it ends."""
    with ordinary_signals():
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=SECONDS,
        )


@contextlib.contextmanager
def started(
    *command: str, cwd: Path, anew: bool = False, **changes: str | None
) -> "Iterator[Forked | subprocess.Popen[str]]":
    """A program that runs on; it is killed at the end, if it is still there.

    `lerax` is forked as in `run`, unless `anew` asks for a whole start, where a test is about it.
    """
    pipe = subprocess.PIPE
    if _can_fork(command[0], anew, changes):
        process = _prefork().start([*command[1:]], cwd, environment(**changes), SECONDS)
    else:
        with ordinary_signals():
            process = subprocess.Popen(
                command, cwd=cwd, env=environment(**changes), stdout=pipe, stderr=pipe, text=True
            )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _can_fork(program: str, anew: bool, changes: dict[str, str | None]) -> bool:
    return program == LERAX and not anew and _read_late(changes)


def _read_late(changes: dict[str, str | None]) -> bool:
    """Whether no import reads the variables that are changed; W&B is imported by a process of its own."""
    return all(name in READ_LATE or name.startswith("WANDB_") for name in changes)


@contextlib.contextmanager
def ordinary_signals() -> Iterator[None]:
    """What is started here does not ignore a signal that the tests' own process ignores."""
    ignored = [n for n in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does."""
    return _stat(pid)[0]


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """What the kernel knows of a process, behind its number and name: `man 5 proc_pid_stat`."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def only_run(folder: Path) -> Path:
    """The one run directory in a folder of runs."""
    (path,) = folder.iterdir()
    return path


def facts(path: Path) -> dict[str, Any]:
    """What a run's run.json says."""
    return json.loads((path / "run.json").read_text("utf-8"))


def records(path: Path) -> list[dict[str, Any]]:
    """What a run's metrics.jsonl says."""
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text("utf-8").splitlines()]


def trains(cwd: Path) -> bool:
    """Whether a run in `logs` has begun to train."""
    return any(path.stat().st_size for path in cwd.glob("logs/*/metrics.jsonl"))


def wait_for(condition: Callable[[], Any], process: "Forked | subprocess.Popen[Any]") -> None:
    """Waits until something is true that a process brings about.

    Raises:
        TimeoutError: It has not come true, or the process has ended before.
    """
    end = time.monotonic() + SECONDS
    while not condition():
        if process.poll() is not None and not condition():
            raise TimeoutError(f"the process has ended ({process.returncode}): {process.communicate()}")
        if time.monotonic() > end:
            raise TimeoutError("what was waited for has not happened")
        time.sleep(0.01)


def read_all(master: int) -> bytes:
    """All that a pseudo-terminal was told, whose other end is closed; closes this one."""
    data = b""
    try:
        while more := os.read(master, 65536):
            data += more
    except OSError as error:
        assert error.errno == errno.EIO, error
    finally:
        os.close(master)
    return data


class Screen(pyte.HistoryScreen):
    """A screen with a second one behind it, as nearly all terminals have.

    Attributes:
        second: Whether the second one is shown.
    """

    def __init__(self, columns: int, lines: int, has_second: bool):
        self._has_second, self.second = has_second, False
        super().__init__(columns, lines, history=1000)

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if SECOND_SCREEN in modes and kwargs.get("private") and self._has_second and not self.second:
            self._first, self._scrolled = self.written(), self.history.top.copy()
            self.second = True
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*modes, **kwargs)
        if SECOND_SCREEN in modes and kwargs.get("private") and self.second:
            self.second = False
            self.history.top.clear()
            self.history.top.extend(self._scrolled)
            self.write_again(self._first)

    def written(self) -> list[str]:
        """The lines down to the cursor."""
        return [line.rstrip() for line in self.display[: self.cursor.y + 1]]

    def write_again(self, lines: list[str]) -> None:
        """Shows nothing but these lines, wrapped to the screen's width."""
        pyte.Stream(self).feed("\x1b[2J\x1b[H" + "\r\n".join(lines))


class Terminal:
    """A program in a terminal of a given size: standard error is the terminal, standard output a pipe.

    The program is `lerax` with some arguments, unless `program` names another one; it is forked as in `run`,
    unless `anew` asks for a whole start. `has_second` says whether the terminal has a second screen.

    Attributes:
        screen: What the terminal shows; its history holds the lines that were scrolled away.
        raw: Everything that was written to the terminal.
        process: The process.
        output: What went to standard output, once the process has ended.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        size: tuple[int, int],
        program: str = LERAX,
        has_second: bool = True,
        anew: bool = False,
        **changes: str | None,
    ):
        columns, lines = size
        self.screen = Screen(max(columns, 1), max(lines, 1), has_second)
        self.raw = self.output = b""
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = pty.openpty()
        self.set_size(columns, lines)
        env = environment(**changes)
        if _can_fork(program, anew, changes):
            self.process = _prefork().start([*arguments], cwd, env, SECONDS, slave)
        else:
            with ordinary_signals():
                self.process = subprocess.Popen(
                    [program, *arguments],
                    cwd=cwd,
                    env=env,
                    stdin=slave,
                    stdout=subprocess.PIPE,
                    stderr=slave,
                    start_new_session=True,
                )
        os.close(slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        os.close(self._master)

    def write_before(self, text: str) -> None:
        """Puts something on the screen, as if it had been there before."""
        self._stream.feed(text.encode())

    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def scrolled(self) -> str:
        """What was scrolled away."""
        lines = [[line[i].data for i in range(self.screen.columns)] for line in self.screen.history.top]
        return "\n".join("".join(line).rstrip() for line in lines)

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Reads what is written until something is true; looks only where a frame is complete.

        Raises:
            TimeoutError: It has not come true, or the process has ended before.
        """
        end = time.monotonic() + SECONDS
        more = True
        while more and time.monotonic() < end:
            if self._pause():
                if condition():
                    return
            else:
                more = self._read()
        raise TimeoutError(f"what was waited for has not happened; the screen:\n{self.text()}")

    def finish(self) -> int:
        """Reads until the process ends; returns its exit code."""
        while self._read():
            pass
        said = self.process.communicate(timeout=SECONDS)[0]
        self.output = said.encode() if isinstance(said, str) else said
        assert self.process.returncode is not None
        return self.process.returncode

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._master, keys.encode())

    def interrupt(self) -> int:
        """Sends Ctrl-C's signal, and reads until the process ends; returns its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def resize(self, columns: int, lines: int) -> None:
        """Changes the size, as somebody who drags a corner of the window; long lines are wrapped anew."""
        written = self.screen.written()
        self.screen.resize(lines, columns)
        if not self.screen.second:  # the other one is cut
            self.screen.write_again(written)
        self.set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _pause(self) -> bool:
        """Whether nothing is written for a moment; frames are 0.25 s apart."""
        return not select.select([self._master], [], [], 0.1)[0]

    def _read(self) -> bool:
        """Takes what is written next; False when nothing can come any more."""
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the process has closed the other end
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
