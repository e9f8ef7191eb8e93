"""A crash, a full disk and a broken one at every operation of a save."""

import json
import subprocess

from lerax.processes import python

# Saves with a fault at the n-th operation on files, for each n, in a process forked for it: there are no
# threads then. Says for each fault of each n how the process ended, and the steps that could be loaded.
SCRIPT = """
import errno, io, json, os, shutil, sys, warnings
from pathlib import Path
import numpy as np
import lerax.archive, lerax.files
from lerax import checkpoint
from lerax.checkpoints import Checkpoints

base, fault = Path(sys.argv[1]), ""
lerax.archive.segments.LARGEST_SEGMENT = 1000
lerax.archive.segments.HELPERS = 0  # so that the operations are in the same order each time
os.fsync = lambda file: None  # which takes time

def state(number):
    same = np.arange(3000, dtype=np.uint8)
    return {"ring": np.full(4500, number, np.uint8), "same": same, "count": np.array(number)}

count, at = 0, None

def faulty(inner):
    def call(*arguments, **options):
        global count
        count += 1
        if at is not None and (count == at or fault == "ENOSPC" and count > at):
            if fault == "crash":
                os._exit(9)
            raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
        return inner(*arguments, **options)
    return call

class Raw(io.FileIO):
    write = faulty(io.FileIO.write)

def opened(path, mode, **options):
    if "w" in mode:
        return io.BufferedWriter(Raw(path, mode.replace("b", ""), **options))
    return open(path, mode, **options)

def attempt(folder, n):
    global count, at
    store = Checkpoints(folder)
    inner = {name: getattr(os, name) for name in NAMES}
    lerax.files.open = lerax.archive.segments.open = opened
    for name in NAMES:
        setattr(os, name, faulty(inner[name]))
    count, at = 0, n
    store.save(state(3), {"steps": 3})
    saved = store.wait()
    happened, at = count >= n, None
    assert store.newest() == store.at(3) if saved else store.failures, "silent"
    look(folder, 2, 3)  # the process goes on
    store.save(state(4), {"steps": 4})
    assert store.wait(), store.failures
    assert checkpoint.check(store.newest())["steps"] == 4
    os._exit(0 if happened else 100)

NAMES = ("open", "fsync", "replace", "mkdir", "unlink", "scandir", "stat")

def look(folder, *possible):
    store = Checkpoints(folder)
    for path in store.all():
        checkpoint.check(path)
    loaded, metadata, skipped = store.load_newest(state(0))
    assert not skipped and metadata["steps"] in possible, (skipped, metadata)
    assert all((loaded[name] == leaf).all() for name, leaf in state(metadata["steps"]).items())
    return metadata["steps"]

def goes_on(folder):
    store = Checkpoints(folder)
    store.save(state(5), {"steps": 5})
    assert store.wait(), store.failures
    look(folder, 5)
    entries = [entry for path in store.all() for entry in lerax.archive.Archive(path).entries]
    there = {path.name for path in (folder / "segments").iterdir() if not path.name.startswith(".")}
    assert there == {name for entry in entries for name in entry.segments}, "nobody needs the others"

def ends_of(number):
    folder = base / f"{fault}{number}"
    shutil.copytree(base / "old", folder)
    child = os.fork()
    if child == 0:
        try:
            attempt(folder, number)
        except BaseException as error:
            print(fault, "at operation", number, repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps = look(folder, 2, 3) if code == 9 else None
    goes_on(folder)
    return code, steps

warnings.simplefilter("ignore")
for step in (1, 2):
    store = Checkpoints(base / "old")
    store.save(state(step), {"steps": step})
    assert store.wait()
found = {}
for fault in ("crash", "ENOSPC", "EIO"):
    found[fault] = [ends_of(1)]
    while found[fault][-1][0] in (0, 9):
        found[fault].append(ends_of(len(found[fault]) + 1))
print(json.dumps(found))
"""


def test_a_fault_at_any_operation_of_a_save_costs_that_save_alone(tmp_path):
    """P2, P3: what can be seen is whole, what there was is still there, and the next save works."""
    command, environment = python("-c", SCRIPT, str(tmp_path))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for fault, ends in json.loads(done.stdout).items():
        codes, steps = zip(*ends, strict=True)
        assert codes[-1] == 100, "the last had no operation left to fail"
        assert len(codes) > 30 and {*codes[:-1]} == {9 if fault == "crash" else 0}
        if fault == "crash":
            assert list(steps[:-1]) == sorted(steps[:-1]) and {*steps[:-1]} == {2, 3}
