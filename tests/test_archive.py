"""Files of checkpoints that are damaged, or were made by a hostile hand."""

import hashlib
import json
import os
import pickle
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from lerax import archive, checkpoint
from lerax.archive import CheckpointError, Segments
from lerax.processes import python

TREE = {"large": np.arange(700, dtype=np.int16), "small": np.arange(5.0), "none": np.zeros((0, 3))}
A = hashlib.sha256(b"a").hexdigest()


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A checkpoint of one array in three segments, and two others."""
    monkeypatch.setattr(archive.segments, "LARGEST_SEGMENT", 512)
    checkpoint.save(tmp_path / "x.lerax", TREE, {"steps": 3}, segments=Segments(tmp_path / "segments"))
    assert len(list((tmp_path / "segments").iterdir())) == 3
    return tmp_path / "x.lerax"


def refused(path, like=TREE, reason="."):
    for read in (checkpoint.check, lambda path: checkpoint.load(path, like)):
        with pytest.raises(CheckpointError, match=reason) as found:
            read(path)
        assert found.value.path == path and "\n" not in str(found.value) and len(str(found.value)) < 1000


def test_what_was_saved_in_segments_is_loaded(saved):
    """P2."""
    assert checkpoint.check(saved) == checkpoint.read_metadata(saved) == {"steps": 3}
    loaded = checkpoint.load(saved, {name: np.ones_like(leaf) for name, leaf in TREE.items()})
    assert all(loaded[name].tobytes() == leaf.tobytes() for name, leaf in TREE.items())


def test_every_damage_is_noticed(saved):
    """P2: 200 flipped bits, truncations and bytes appended, in the file and in what belongs to it."""
    chance = np.random.default_rng(0)
    files = [saved, *sorted((saved.parent / "segments").iterdir())]
    for number in range(300):
        path = files[number % 2 and chance.integers(len(files))]
        whole = path.read_bytes()
        broken = bytearray(whole)
        if number < 200:
            broken[chance.integers(len(whole))] ^= 1 << chance.integers(8)
        elif number < 250:
            del broken[chance.integers(len(whole)) :]
        else:
            broken += chance.bytes(int(chance.integers(1, 600)))
        path.write_bytes(broken)
        refused(saved)
        path.write_bytes(whole)
    checkpoint.check(saved)


def forge(path, content, payload=b"", *, shares=True):
    """Writes a file whose checksums are right, whatever it says."""
    if isinstance(content, dict) and shares:
        content = {"metadata": {}, "payload": hashlib.sha256(payload).hexdigest()} | content
    header = (content if isinstance(content, bytes) else json.dumps(content).encode()) + b"\n"
    digest = hashlib.sha256(header if shares else header + payload).hexdigest().encode()
    path.write_bytes((b"lerax-2 " if shares else b"lerax-1 ") + digest + b"\n" + header + payload)


def one(dtype="uint8", shape=(1,), size: int | None = 1, segments=()):
    return {"leaves": [["['a']", dtype, shape, size, segments]]}


LIES = {
    "a huge header": b"[" + b"{}," * 2**22 + b"0]",
    "a header of the largest size": b"{" + b'"leaves":[],"metadata":[' + b'{"":0},' * 290_000 + b"0]}",
    "deep JSON": b"[" * 10**6,
    "deep metadata": b'{"leaves":[],"payload":"","metadata":' + b"[" * 900_000 + b"]" * 900_000 + b"}",
    "a huge number": b"9" * 10**6,
    "no JSON": b"\xff\xfe",
    "an object": one("object"),
    "an unknown type": one("nonsense"),
    "another type": one("float64", size=1),
    "a type with a shape": one("(1000000000,)f8"),
    "a negative length": one(shape=(-1,)),
    "2**60 elements": one(shape=(2**60,), size=2**60),
    "more than a size can be": one(shape=(2**62, 2**62, 2**62), size=2**64),
    "huge lengths": one(shape=(10**4000,) * 400),
    "a thousand dimensions": one(shape=(1,) * 1000),
    "lengths that are none": one(shape=("1",)),
    "a negative size": one(size=-1),
    "another size": one(size=2),
    "no size": one(size=None),
    "a name twice": {"leaves": one()["leaves"] * 2},
    "no leaves": {"leaves": None},
    "a leaf of too many parts": {"leaves": [["['a']", "uint8", [1], 1, [], 5]]},
    "a leaf that is a name": {"leaves": ["['a']"]},
    "a path": one(segments=["../x"]),
    "a path of the right length": one(segments=["../" + "a" * 61]),
    "an absolute path": one(segments=["/etc/passwd"]),
    "a null byte": one(segments=["\0" * 64]),
    "other digits": one(segments=["\u0663" * 64]),
    "a line's end": one(segments=[A + "\n"]),
    "segments that are text": one(segments=A),
    "segments that are a table": one(segments={"a": 1}),
    "a missing segment": one(segments=["0" * 64]),
    "more in segments than it has": one(size=1, segments=[A] * 2),
    "less in segments than it has": one(shape=(2**60,), size=2**60, segments=[A] * 20_000),
}


# A type is a name, and harmless until somebody wants an array of it.
NAMES = {"an object", "an unknown type", "another type", "a type with a shape"}


def forged(folder):
    """A file for each lie."""
    (folder / "segments").mkdir()
    (folder / "segments" / A).write_bytes(b"a")
    (folder / "x").write_bytes(b"a")
    for lie, content in LIES.items():
        forge(folder / f"{lie.replace('/', ' ')}.lerax", content, b"" if " in segments" in lie else b"a")
    return sorted(folder.glob("*.lerax"))


def test_what_a_hostile_hand_has_made_is_refused(tmp_path):
    """In less than a second each; their checksums are right."""
    like = {"a": np.zeros(1, np.uint8)}
    paths = forged(tmp_path)
    assert len(paths) == len(LIES) > 30
    for path in paths:
        began = time.process_time()
        if path.stem in NAMES:
            checkpoint.check(path)
            with pytest.raises(CheckpointError, match="does not fit|damaged"):
                checkpoint.load(path, like)
        else:
            refused(path, like)
        assert time.process_time() - began < 2, f"{path.stem}: twice"


# Reads files with no more than 100 MB beside what Python has anyway.
CONFINED = """
import resource, sys
from pathlib import Path
from lerax.archive import Archive, CheckpointError
has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + 10**8,) * 2)
for path in sys.argv[1:]:
    try:
        with Archive(path) as file:
            file.read()
        print("read", Path(path).stem)
    except CheckpointError:
        pass
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="says how much memory a process has")
def test_they_take_no_memory(tmp_path):
    command, environment = python("-c", CONFINED, *map(str, forged(tmp_path)))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {f"read {lie}" for lie in NAMES}


def test_a_size_that_does_not_go_with_the_shape_is_refused_before_anything_is_read(tmp_path):
    forge(tmp_path / "x", one(size=2, segments=[A, A]))
    with pytest.raises(CheckpointError, match="has 2 bytes, not 1"):
        checkpoint.load(tmp_path / "x", {"a": np.zeros(1, np.uint8)})


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_a_segment_that_is_no_file_is_refused(saved, kind):
    segment = sorted((saved.parent / "segments").iterdir())[0]
    whole = segment.read_bytes()
    segment.unlink()
    if kind == "link":
        (saved.parent / "elsewhere").write_bytes(whole)
        segment.symlink_to(saved.parent / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(segment)
    elif kind == "folder":
        segment.mkdir()
    else:
        segment.symlink_to("/dev/zero")
    refused(saved, reason=f"segment {segment.name}")


@pytest.mark.parametrize("shares", [True, False])
def test_a_file_of_nothing_is_not_read(tmp_path, shares):
    """A terabyte that takes no room on the disk, by a relative of a zip bomb."""
    path = tmp_path / "x"
    forge(path, one(shape=(2**40,), size=2**40), shares=shares)
    os.truncate(path, path.stat().st_size + 2**40)
    refused(path, reason="hollow")


@pytest.mark.parametrize(
    "kind", [pickle.dumps(TREE), zlib.compress(bytes(2**24)), b"PK\x03\x04", b"", b"lerax-2 "]
)
def test_other_files_are_refused(tmp_path, kind):
    (tmp_path / "x").write_bytes(kind)
    refused(tmp_path / "x")


def test_a_pipe_and_a_device_are_refused_and_nobody_waits(tmp_path):
    os.mkfifo(tmp_path / "x")
    refused(tmp_path / "x", reason="a pipe")
    (tmp_path / "y").symlink_to("/dev/zero")
    refused(tmp_path / "y", reason="a device")


def test_a_file_that_grows_is_read_as_far_as_it_went(saved):
    """A relative of a pipe."""
    with archive.Archive(saved) as file:
        with open(saved, "ab") as grown:
            grown.write(bytes(1000))
        file.read()
        os.truncate(saved, saved.stat().st_size - 1005)
        with pytest.raises(CheckpointError, match="fewer bytes"):
            file.read()


def test_more_than_can_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="metadata: must be at most"):
        checkpoint.save(tmp_path / "x", TREE, {"text": "x" * archive.reading.LARGEST_HEADER})
    assert not list(tmp_path.iterdir())
