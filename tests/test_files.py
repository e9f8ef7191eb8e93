"""Files that are whole or not there, whatever happens while they are written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lerax.files
from lerax.files import UNFINISHED, Unfinished, write_atomically

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
        def __init__(self, *arguments, **options):
            self.file = open(*arguments, **options)

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
        for abandoned in file.parent.glob(".*"):
            abandoned.unlink()
        file.write_bytes(OLD)
        command = [sys.executable, "-c", CRASH, str(file), str(len(codes))]
        codes.append(subprocess.run(command, env=environment).returncode)
        contents.append(file.read_bytes())
    # Making and opening it, fsync, replace, open and fsync of the directory; none.
    assert codes[-1] == 0 and len(codes) == 7
    assert contents == [OLD] * 4 + [NEW] * 3
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


# Holds a file that is not complete until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from lerax.files import Unfinished
with Unfinished(Path(sys.argv[1])) as unfinished:
    print(unfinished.path, flush=True)
    time.sleep(1000)
"""


def test_what_a_killed_process_leaves_is_removed_by_the_next_and_nothing_else(tmp_path):
    """While it lives its file stays; so does what another program has left."""
    other = tmp_path / ".file.123.tmp"
    other.touch()
    environment = os.environ | {"PYTHONPATH": str(Path(lerax.files.__file__).parent.parent)}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        left = Path(process.stdout.readline().strip())
        write_atomically(tmp_path / "b", NEW)
        lerax.files.remove_abandoned.cache_clear()  # as if another process wrote next
        assert left.exists()
        process.kill()
        process.wait()
    assert left.exists()
    write_atomically(tmp_path / "b", NEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "b"]


def test_files_of_one_process_do_not_remove_each_other(tmp_path):
    with Unfinished(tmp_path / "a") as first, Unfinished(tmp_path / "a") as second:
        assert first.path != second.path and first.path.exists() and second.path.exists()
        second.publish()
        assert first.path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


MANY = """
import sys, threading, time
from pathlib import Path
from lerax.files import Reserve, write_atomically
from lerax.ending import end_at_once

def write(number):
    while True:
        write_atomically(Path(sys.argv[1]) / f"{number}", bytes(9000), durable=False)
        reserve = Reserve(Path(sys.argv[1]) / f"{number}", 9000)
        reserve.write(bytes(9000))

for number in range(8):
    threading.Thread(target=write, args=(number,), daemon=True).start()
time.sleep(float(sys.argv[2]))
end_at_once(3)
"""


def test_a_process_that_ends_at_once_leaves_nothing_half_written(tmp_path):
    """Whatever its threads write in that moment; and none of them says that its file is gone."""
    environment = os.environ | {"PYTHONPATH": str(Path(lerax.files.__file__).parent.parent)}
    for repetition in range(5):
        command = [sys.executable, "-c", MANY, str(tmp_path), str(0.05 + 0.003 * repetition)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
        assert {path.stat().st_size for path in tmp_path.iterdir()} == {9000}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_file_that_was_taken_for_abandoned_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    """A relative: two writers that begin at once."""
    inner, taken = lerax.files.fcntl.flock, []

    def late(file, operation):
        if not taken:
            taken.extend(tmp_path.glob(f".*{UNFINISHED}"))
            taken[0].unlink()
        inner(file, operation)

    monkeypatch.setattr(lerax.files.fcntl, "flock", late)
    with Unfinished(tmp_path / "a") as unfinished:
        assert unfinished.path.exists() and taken == [taken[0]] != [unfinished.path]


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    """A relative: a file system that has none."""
    left = tmp_path / f".a.0{UNFINISHED}"
    left.touch()

    def refused(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(lerax.files.fcntl, "flock", refused)
    write_atomically(tmp_path / "b", NEW)
    assert left.exists() and (tmp_path / "b").read_bytes() == NEW


def test_a_file_gets_the_permissions_that_the_user_has_chosen(tmp_path):
    """A hidden file in another mode would keep it."""
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
