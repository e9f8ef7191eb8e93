"""Short runs under several faults at once: what comes of them is what comes of a run without any.

`make test-faults` makes 200; here is a sample.
"""

import contextlib
import errno
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terminal
from disks import small_disk
from faults import chance_of, count
from test_cli_resume import check_same, learned
from test_plugins import install

from lerax import checkpoint

WORDS = ("CartPole-v1", "--preset", "none", "--steps", "20480", "--save-every", "2048", "--seed", "1")
TESTS = str(Path(__file__).parent)
ENDING_SECONDS = 60.0  # that an ending may take on a busy machine; 10 is promised, and a hang takes for ever
HOW = ("raise", "raise", "exit", "slow", "hang")
ELSEWHERE = ("signal", "disk", "stdout")  # the faults that are not the backend's
CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that nothing happened to, and a package that brings `faulty`."""
    folder = tmp_path_factory.mktemp("combined")
    install(folder / "site", "faulty", {"faulty": "faulty:Faulty"})
    done = train(folder, "whole")
    assert done.returncode == 0, done.stderr
    return folder


def train(
    folder: Path,
    name: str,
    *options: str,
    meanwhile: Callable[[int], None] = lambda pid: None,
    **how: str | None,
) -> terminal.Finished:
    words = ("train", *WORDS, "--backend", "faulty", "--name", name, "--progress", "off", *options)
    found = f"{folder / 'site'}:{TESTS}"
    return terminal.forked_beside(meanwhile, *words, cwd=folder, PYTHONPATH=found, **how)


def drawn(chance: random.Random) -> dict[str, str]:
    """Some faults by what they hit."""
    hits = {
        "log": lambda: chance.choice(HOW),
        "flush": lambda: chance.choice(HOW),
        "close": lambda: chance.choice(HOW),
        "open": lambda: chance.choice(("slow", "slow", "raise")),
        "clock": lambda: "back",
        "signal": lambda: chance.choice([*CODES, "SIGUSR1", "STOP", "twice"]),
        "disk": lambda: str(chance.choice((64, 128, 192, 256, 512))),
        "stdout": lambda: "full",
    }
    chosen = chance.sample([*hits], chance.choice((1, 2, 3)))
    if chance.random() < 0.5 and "signal" not in chosen:
        chosen.append("signal")
    return {what: hits[what]() for what in chosen}


class Signaller:
    """Sends a signal to a run's process at some time, and says when.

    Attributes:
        sent: When, of `time.monotonic`; None where the process had ended before.
    """

    def __init__(self, kind: str | None, run: Path, chance: random.Random):
        self.kind, self.run, self.chance = kind, run, chance
        self.sent: float | None = None
        self.phase = chance.choice(("config.toml", "metrics.jsonl", "checkpoints/*0.lerax", "policy.eqx"))
        self.delay = chance.uniform(0, 0.5)

    def __call__(self, pid: int) -> None:
        if self.kind is None:
            return
        with contextlib.suppress(OSError):  # it has ended
            while not list(self.run.glob(self.phase)):
                if terminal.state_of(pid) == "Z":
                    return
                time.sleep(0.005)
            time.sleep(self.delay)
            numbers = {"STOP": ["SIGSTOP", "SIGCONT"], "twice": ["SIGINT", "SIGTERM"]}.get(
                self.kind, [self.kind]
            )
            for name in numbers:
                os.kill(pid, signal.Signals[name])
                time.sleep(0.2 if self.kind == "STOP" else 0)
            self.sent = time.monotonic()


def left_behind(mark: str) -> list[str]:
    """The programs that were started with a mark among their variables."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text())
    return found


@pytest.mark.parametrize("number", count(200, 4))
def test_combined_faults(folder: Path, number: int, record_property: Callable[[str, object], None]):
    chance = chance_of("combined", number)
    made = drawn(chance)
    record_property("faults", str(made))
    name, mark = f"run-{number}", f"LERAX_MARK_{number}_{os.getpid()}"
    with contextlib.ExitStack() as stack:
        out = "logs"
        if "disk" in made:
            out = f"disk-{number}"
            stack.enter_context(small_disk(folder / out, int(made["disk"])))
        run = folder / out / name
        signaller = Signaller(made.get("signal"), run, chance)
        backend = " ".join(f"{what}={how}" for what, how in made.items() if what not in ELSEWHERE)
        stdout = "/dev/full" if "stdout" in made else None
        began = time.monotonic()
        how = {"stdout": stdout, "FAULTY": backend, "LERAX_MARK": mark}
        done = train(folder, name, "--out", out, meanwhile=signaller, **how)
        ended = time.monotonic()
        assert left_behind(mark) == []
        if signaller.sent is not None and made["signal"] not in ("SIGUSR1", "STOP"):
            assert ended - signaller.sent < ENDING_SECONDS
        assert ended - began < 3 * ENDING_SECONDS
        assert "Traceback" not in done.stderr
        if not run.exists() and signaller.sent is not None and done.returncode in stopped(made):
            return  # before its first step
        if not run.exists():  # there was no room
            assert made.get("disk") in ("64", "128"), done.stderr
            assert done.returncode == 1 and os.strerror(errno.ENOSPC) in done.stderr
            return
        for path in run.glob("checkpoints/*.lerax"):
            checkpoint.check(path)
        if out != "logs":
            shutil.copytree(run, folder / "logs" / name)
    run = folder / "logs" / name
    facts = terminal.facts(run)
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as a shell says it
    assert code in expected(made, facts, signaller.sent is not None), (made, facts, done.stderr)
    if facts["status"] == "finished":
        assert learned(run) == learned(folder / "logs" / "whole")
    again = train(folder, name, "--resume", "auto")
    if facts["status"] != "finished" and not [*run.glob("checkpoints/*.lerax")]:  # nor was there room for one
        assert "disk" in made and again.returncode == 1
        assert "checkpoints: holds no checkpoint" in again.stderr
        return
    assert again.returncode == 0, (made, done.stderr, again.stderr)
    if "disk" in made:  # lines that it did not take are lost
        assert learned(run) == learned(folder / "logs" / "whole")
    else:
        check_same(run, folder / "logs" / "whole")


def stopped(made: dict[str, str]) -> set[int]:
    """The exit codes of what the signal ends."""
    return {130, 143} if made.get("signal") == "twice" else {CODES.get(made.get("signal", ""), 0)}


def expected(made: dict[str, str], facts: dict[str, Any], was_sent: bool) -> set[int]:
    """The exit codes that fit to faults and what run.json says."""
    by_signal = stopped(made)
    if facts["status"] == "interrupted":
        codes = by_signal
    elif facts["status"] == "failed" or facts.get("lost") or "stdout" in made:
        codes = {1}
    else:
        codes = {0}
    if was_sent:  # the second of two, or one in the last moment, when nothing is left to be done
        codes |= by_signal
    return codes
