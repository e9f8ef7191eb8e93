"""Makes each small change of `changes.py` in a copy of the packages: a test must fail for each.

`make test-mutants` runs all; `python tests/mutants/run.py WORD ...` those whose file or texts hold
one of the words.
"""

import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path

import pytest
from changes import CHANGES, Change, misplaced

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "lerax", "lerax_cli"
AT_ONCE = 2  # processes
LIMIT = 300  # seconds that the tests of a change may take
# What tests import, but none of the packages: a process that is forked from this one need not.
IMPORTED = "jax", "equinox", "optax", "beartype", "gymnasium", "mujoco", "scipy.stats", "tensorboardX"
SAID = {pytest.ExitCode.OK.value: "SURVIVED", pytest.ExitCode.TESTS_FAILED.value: "noticed"}  # by exit code


def fork(tests: Iterable[str], packages: Path, output: Path) -> int:
    """Runs tests in a process of its own, with the packages that stand in a folder. Returns its number."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX is imported, but has not begun a thread
        if process := os.fork():
            return process
    try:
        signal.alarm(LIMIT)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.path.insert(0, str(packages))
        os.environ["PYTHONPATH"] = str(packages)  # for processes that tests start
        # Without the plugin that would take these failures for those of the last run of the tests.
        code = int(pytest.main(["-x", "-p", "no:cacheprovider", "--tb=short", *tests]))
        found = Path(sys.modules["lerax"].__file__ or "")
        sys.stdout.flush()
        os._exit(code if found.is_relative_to(packages) else 99)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(98)


class Copy:
    """A copy of the packages, in which one file at a time is changed.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package)

    def change(self, change: Change) -> None:
        file = self.folder / change.file
        file.write_text(file.read_text().replace(change.old, change.new))
        # Python tells by size and time whether what it has compiled is that of the file.
        os.utime(file, (number := 10**9 + CHANGES.index(change), number))

    def restore(self, change: Change) -> None:
        shutil.copy2(ROOT / change.file, self.folder / change.file)


def verdict(status: int) -> str:
    """What the end of a change's tests means."""
    if not os.WIFEXITED(status):
        return f"not run to its end (signal {os.WTERMSIG(status)})"
    code = os.WEXITSTATUS(status)
    return SAID.get(code, f"not run (exit status {code})")


def run(changes: list[Change], folder: Path) -> int:
    """Makes the changes, two at a time. Returns how many were not noticed."""
    free = [Copy(folder / str(i)) for i in range(AT_ONCE)]
    waiting, busy, bad = list(changes), {}, 0
    while waiting or busy:
        while waiting and free:
            change, copy = waiting.pop(0), free.pop()
            copy.change(change)
            output = copy.folder / "output"
            busy[fork(change.tests, copy.folder, output)] = change, copy, output
        process, status, used = os.wait4(-1, 0)
        change, copy, output = busy.pop(process)
        said = verdict(status)
        bad += said != "noticed"
        seconds = used.ru_utime + used.ru_stime
        print(f"{said}  {seconds:4.1f} s  {change.file}: {change.old!r} -> {change.new!r}", flush=True)
        if said != "noticed":
            print(output.read_text(errors="replace"), flush=True)
        copy.restore(change)
        free.append(copy)
    return bad


def main() -> int:
    words = sys.argv[1:]
    changes = [
        change for change in CHANGES if not words or any(w in text for w in words for text in change[:3])
    ]
    if wrong := misplaced(ROOT):
        print("\n".join(wrong))
        return 1
    if not changes:
        print(f"no change holds {' or '.join(words)}")
        return 1
    os.chdir(ROOT)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache/d/programs"))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they would have to be imported later than JAX is
    for name in IMPORTED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        tests = sorted({test for change in changes for test in change.tests})
        output = Path(folder, "output")
        _, status = os.waitpid(fork(tests, ROOT, output), 0)
        if status:
            print(f"the tests fail without a change\n{output.read_text(errors='replace')}")
            return 1
        bad = run(changes, Path(folder))
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    minutes = sum(one.ru_utime + one.ru_stime for one in both) / 60
    print(f"{len(changes) - bad} of {len(changes)} changes noticed; CPU time: {minutes:.1f} minutes")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
