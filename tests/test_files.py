"""Files that are whole or not there, whatever happens while they are written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lerax.files
from lerax.files import write_atomically

OLD, NEW = b"old" * 1000, b"new" * 5000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_step_leaves_the_old_file_and_nothing_else(file, monkeypatch, step):
    """P2."""
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, NEW)
    assert file.read_bytes() == OLD and list(file.parent.iterdir()) == [file]


def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(file, monkeypatch):
    """P2."""

    class Full:
        def __init__(self, path, mode):
            self.file = open(path, mode)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            full()

    monkeypatch.setattr(lerax.files, "open", Full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, NEW)
    assert file.read_bytes() == OLD and list(file.parent.iterdir()) == [file]


# Ends the process, as a power cut would, at the n-th of the calls that change something.
CRASH = """
import os, sys
from pathlib import Path
left, data = int(sys.argv[2]), b"new" * 5000

def dying(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*arguments, **options)
    return call

import lerax.files
lerax.files.open = dying(open)
for name in ("fsync", "replace", "open"):
    setattr(os, name, dying(getattr(os, name)))
lerax.files.write_atomically(Path(sys.argv[1]), data)
"""


def test_a_crash_at_any_step_leaves_the_old_file_or_the_new(file):
    """P2, P3: what can be seen is complete."""
    environment = os.environ | {"PYTHONPATH": str(Path(lerax.files.__file__).parent.parent)}
    codes, contents = [], []
    while not codes or codes[-1] == 9:
        file.write_bytes(OLD)
        command = [sys.executable, "-c", CRASH, str(file), str(len(codes))]
        codes.append(subprocess.run(command, env=environment).returncode)
        contents.append(file.read_bytes())
    assert codes[-1] == 0 and len(codes) == 6  # open, fsync, replace, open and fsync of the directory; none
    assert contents == [OLD] * 3 + [NEW] * 3
    others = [path for path in file.parent.iterdir() if path != file]
    assert all(path.name.startswith(".") for path in others), "a half file under a name that is seen"


def test_the_data_are_on_disk_before_they_get_their_name(file, monkeypatch):
    """P2: file, name, directory, in this order."""
    events = []
    for name in ("fsync", "replace"):
        inner = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, inner=inner: (events.append(name), inner(*a))[1])
    write_atomically(file, NEW)
    assert events == ["fsync", "replace", "fsync"] and file.read_bytes() == NEW
