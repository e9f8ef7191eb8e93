"""Named arrays as bytes in a file, complete and verified; large ones in pieces that files share.

A file `lerax-1` is one line `lerax-1 <SHA-256 of the rest>`, one line of JSON (the arrays' names, types and
shapes, and metadata), and the arrays' bytes. A file `lerax-2` has large arrays in files of their own,
`segments/<SHA-256>` beside it: its first line is `lerax-2 <SHA-256 of the second>`, and the JSON also says of
each array its size and its segments, and the SHA-256 of the bytes that follow. Nothing in either is ever
executed, and what a header says is compared with the sizes of files before it is believed.
"""

import contextlib
import hashlib
import json
import operator
import os
import re
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .errors import SettingError
from .files import Content, Unfinished, naming, sync_folder, write_atomically

MAGIC, MAGIC_SEGMENTS = b"lerax-1 ", b"lerax-2 "
SEGMENTS = "segments"  # the folder
LARGEST_SEGMENT = 2**22  # bytes, of those that are written; larger arrays are cut
LARGEST_HEADER = 2**21  # bytes; a policy's has hundreds. Objects made of JSON take 30 times its bytes
MOST_SAVED = LARGEST_HEADER - 2**7  # a checksum is added
MOST_DIMENSIONS, LARGEST_SIZE = 64, 2**63
LARGEST_HOLLOW, HOLLOW = 2**28, 100  # bytes; times what is on the disk, which may compress files
BLOCK = 2**20
MISMATCH = "damaged (its SHA-256 does not match its contents)"
HELPERS = 2  # threads; the disk keeps one of them waiting
UNKNOWN = "0" * 64  # stands for a SHA-256 that is written later

Write = Callable[[Path, Content], None]


class CheckpointError(ValueError):
    """A file is damaged, or does not fit what is to be loaded.

    Attributes:
        path: The file.
        reason: Why it cannot be loaded.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Entry:
    """An array, as a file's header describes it.

    Attributes:
        name: Its place in the tree.
        dtype: The name of its type, in which nobody believes until it equals a known one.
        shape: Of a PRNG key that of the keys, without their words.
        size: In bytes; None in a file `lerax-1`, which leaves it to the reader.
        segments: The files that hold it, in order; where there are none, the file itself does.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int | None = None
    segments: tuple[str, ...] = ()


def write(
    path: Path,
    arrays: Sequence[tuple[Entry, memoryview]],
    metadata: dict[str, Any],
    *,
    segments: "Segments | None" = None,
    before_publish: Callable[[], object] | None = None,
    write: Write = write_atomically,
) -> None:
    """Writes a file that is whole or not there.

    Args:
        path: Where to.
        arrays: What it holds, with the bytes.
        metadata: Anything that JSON can hold.
        segments: Takes the large arrays; without it all are in the one file.
        before_publish: Called when all is written and nothing is to be seen yet.
        write: Writes the file.

    Raises:
        TypeError: The metadata hold something that JSON cannot.
        OSError: It cannot be written; what was there before is still there.
    """
    held = segments.put([data for _, data in arrays]) if segments else [()] * len(arrays)
    inline = [data for (_, data), names in zip(arrays, held, strict=True) if not names]
    leaves: list[Any] = [[entry.name, entry.dtype, entry.shape] for entry, _ in arrays]
    if segments:
        sizes = [len(data) for _, data in arrays]
        leaves = [[*leaf, size, names] for leaf, size, names in zip(leaves, sizes, held, strict=True)]
    content = {"leaves": leaves, "metadata": metadata}
    header = _line(content)
    if len(header) > MOST_SAVED:
        allowed = f"at most {MOST_SAVED:,} bytes as JSON, with the names of the arrays"
        raise SettingError("metadata", None, allowed, said=f"{len(header):,}")

    def beginning(digest: str) -> bytes:
        if not segments:
            return MAGIC + digest.encode() + b"\n" + header
        line = _line(content | {"payload": digest})
        return MAGIC_SEGMENTS + hashlib.sha256(line).hexdigest().encode() + b"\n" + line

    def fill(file: BinaryIO) -> None:
        digest = hashlib.sha256(b"" if segments else header)
        file.write(beginning(UNKNOWN))
        _at_once([lambda: [digest.update(data) for data in inline], lambda: file.writelines(inline)])
        end = file.tell()
        file.seek(0)
        file.write(beginning(digest.hexdigest()))
        file.seek(end)
        if before_publish:
            before_publish()

    write(path, fill)


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _at_once(calls: Sequence[Callable[[], object]]) -> list[Any]:
    """Calls functions on this thread and others: hashing and writing leave Python's lock alone.

    Raises:
        BaseException: What the first that failed has raised; those that had not begun are left out.
    """
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []
    numbers = iter(range(len(calls)))  # which both take from

    def work() -> None:
        for i in numbers:
            if errors:
                return
            try:
                results[i] = calls[i]()
            except BaseException as error:  # the caller's thread raises it
                errors.append(error)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(HELPERS, len(calls) - 1))]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return results


class Segments:
    """Pieces of large arrays, each a file that is named by its SHA-256.

    Args:
        folder: Where they are; it is made when there is something to write.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._whole: dict[str, tuple[int, ...]] = {}  # what those that are known to be right looked like

    def put(self, arrays: Sequence[memoryview]) -> list[tuple[str, ...]]:
        """Stores the large ones of some arrays, as far as they are not there.

        Returns:
            For each array the names of its segments; none for one that is not large.

        Raises:
            OSError: One cannot be written.
        """
        large = [data if len(data) > LARGEST_SEGMENT else data[:0] for data in arrays]
        pieces = [[x[i : i + LARGEST_SEGMENT] for i in range(0, len(x), LARGEST_SEGMENT)] for x in large]
        if any(pieces) and not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        names = iter(_at_once([lambda piece=piece: self._put(piece) for some in pieces for piece in some]))
        if any(pieces):
            sync_folder(self._folder)
        return [tuple(next(names) for _ in some) for some in pieces]

    def _put(self, data: memoryview) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self._folder / name
        if not self._is_there(name, len(data)):
            with naming(path), Unfinished(path) as unfinished:
                with open(unfinished.file, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(unfinished.file)
                unfinished.publish(durable=False)  # the folder is for all of them at once
            self._whole[name] = _looks(os.stat(path))
        return name

    def _is_there(self, name: str, size: int) -> bool:
        """Whether a segment is there and right; it is read unless it looks as it did when it was."""
        try:
            with _regular(self._folder / name) as file:
                looks = _looks(os.fstat(file.fileno()))
                if looks != self._whole.get(name):
                    _check_segment(file, name, size)
                self._whole[name] = looks
        except (OSError, ValueError):
            return False
        return True

    def remove_others(self, names: set[str]) -> None:
        """Removes the segments that are not named, as far as that is possible."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if _is_name(path.name) and path.name not in names:
                    self._whole.pop(path.name, None)
                    path.unlink(missing_ok=True)


def _looks(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", name) is not None


def _regular(path: Path, flags: int = os.O_NOFOLLOW) -> BinaryIO:
    """A file open for reading, without waiting for the other end of a pipe.

    Raises:
        ValueError: It is no regular file, or one of next to nothing that would take long to read.
        OSError: It cannot be opened.
    """
    file = open(path, "rb", opener=lambda name, how: os.open(name, how | os.O_NONBLOCK | os.O_NOCTTY | flags))
    facts = os.fstat(file.fileno())
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST_HOLLOW + HOLLOW * 512 * facts.st_blocks:
        return file
    file.close()
    kind = "hollow" if stat.S_ISREG(facts.st_mode) else "not a file, but a device or a pipe"
    raise ValueError(kind)


def _hash(digest: "hashlib._Hash", file: BinaryIO, size: int, into: memoryview | None = None) -> None:
    """Adds the next bytes of a file to a checksum; they go into a buffer of that size, if there is one.

    Raises:
        ValueError: The file has fewer.
    """
    spare = memoryview(bytearray(min(size, BLOCK) if into is None else 0))
    for place in range(0, size, BLOCK):
        part = spare[: size - place] if into is None else into[place : place + BLOCK]
        if file.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise ValueError("has fewer bytes than it had")
        digest.update(part)


def _check_segment(file: BinaryIO, name: str, size: int, into: memoryview | None = None) -> None:
    """Reads all of a segment.

    Raises:
        ValueError: It has another size, or other contents.
    """
    digest = hashlib.sha256()
    _hash(digest, file, size, into)
    if file.read(1) or digest.hexdigest() != name:
        raise ValueError("does not match its SHA-256")


class Archive:
    """A file that is open for reading; a context manager that closes it.

    Of a file `lerax-1` all is verified by then, of a file `lerax-2` the header.

    Args:
        path: The file.

    Attributes:
        entries: The arrays, in order.
        metadata: What was saved with them.

    Raises:
        CheckpointError: It is damaged, or no such file.
        OSError: It cannot be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = _regular(self.path, 0)
        except ValueError as error:
            raise CheckpointError(path, str(error)) from None
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        file, size = self._file, os.fstat(self._file.fileno()).st_size
        first = file.readline(len(MAGIC) + 65)
        self._shares = first.startswith(MAGIC_SEGMENTS)
        if not self._shares and not first.startswith(MAGIC):
            raise CheckpointError(self.path, "not a file of lerax, or of a newer version")
        header = file.readline(LARGEST_HEADER + 1)
        self._begin = file.tell()
        self._left = size - self._begin
        digest = hashlib.sha256(header)
        if not self._shares:
            self._hash(digest, self._left)
        if digest.hexdigest().encode() + b"\n" != first[len(MAGIC) :]:
            raise CheckpointError(self.path, MISMATCH)
        self._understand(header)

    def _hash(self, digest: "hashlib._Hash", size: int, into: memoryview | None = None) -> None:
        try:
            _hash(digest, self._file, size, into)
        except ValueError as error:
            raise CheckpointError(self.path, f"damaged (it {error})") from None

    def _understand(self, header: bytes) -> None:
        """Reads a header whose checksum is right, which says nothing of who made it."""
        try:
            if len(header) > LARGEST_HEADER:
                raise ValueError
            content = json.loads(header)
            self.entries = [_entry(*leaf) for leaf in content["leaves"]]
            self.metadata = content["metadata"]
            self._payload = str(content["payload"]) if self._shares else None
            repr(self.metadata)  # an error may have to show it
        except (ValueError, TypeError, KeyError, RecursionError):
            raise CheckpointError(self.path, "damaged (it has no header that names its arrays)") from None
        if len({entry.name for entry in self.entries}) != len(self.entries):
            raise CheckpointError(self.path, "damaged (its header names an array twice)")
        if self._shares:
            self.fit({entry.name: entry.size for entry in self.entries})

    def fit(self, sizes: dict[str, int | None]) -> None:
        """Sees whether the file is as long as arrays of these sizes make it.

        Args:
            sizes: In bytes, by name.

        Raises:
            CheckpointError: It is not.
        """
        for entry in self.entries:
            if entry.size not in (None, sizes[entry.name]):
                raise CheckpointError(
                    self.path, f"damaged ({entry.name} has {entry.size} bytes, not {sizes[entry.name]})"
                )
        inline = sum(sizes[entry.name] or 0 for entry in self.entries if not entry.segments)
        if inline != self._left:
            raise CheckpointError(
                self.path, f"damaged (it holds {self._left} bytes, its header names {inline})"
            )

    def read(self, arrays: dict[str, memoryview] | None = None) -> None:
        """Reads and verifies everything.

        Args:
            arrays: Buffers to read the arrays into, of the sizes that `fit` has seen; none to verify alone.

        Raises:
            CheckpointError: The file or a segment is damaged, or a segment is missing.
            OSError: One cannot be read.
        """
        if arrays is None and not self._shares:
            return  # it was when the file was opened
        digest, seen = hashlib.sha256(), {}
        self._file.seek(self._begin)
        for entry in self.entries:
            into = arrays[entry.name] if arrays is not None else None
            if entry.segments:
                self._read_segments(entry, into, seen)
            else:
                self._hash(digest, len(into) if into is not None else entry.size or 0, into)
        if self._shares and digest.hexdigest() != self._payload:
            raise CheckpointError(self.path, MISMATCH)

    def _read_segments(self, entry: Entry, into: memoryview | None, seen: dict[str, int]) -> None:
        """Reads an array from its segments, and of those `seen`, by their sizes, none again for nothing."""
        left = entry.size or 0
        for name in entry.segments:
            if into is not None or name not in seen:
                try:
                    with _regular(self.path.parent / SEGMENTS / name) as file:
                        size = seen[name] = os.fstat(file.fileno()).st_size
                        if size > left:
                            raise ValueError("is too large")
                        place = (entry.size or 0) - left
                        _check_segment(file, name, size, None if into is None else into[place : place + size])
                except FileNotFoundError:
                    raise CheckpointError(self.path, f"damaged (its segment {name} is missing)") from None
                except (ValueError, OSError) as error:
                    said = error.strerror if isinstance(error, OSError) else error
                    raise CheckpointError(self.path, f"damaged (its segment {name}: {said})") from error
            left -= seen[name]
        if left:
            raise CheckpointError(self.path, f"damaged (the segments of {entry.name} have other sizes)")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()


def _entry(name: object, dtype: object, shape: Any, size: Any = None, segments: Any = ()) -> Entry:
    """What a header says of an array.

    Raises:
        ValueError: It is nothing that an array can be.
        TypeError: The same.
    """
    lengths = tuple(map(operator.index, shape))
    sizes = [*lengths, 0 if size is None else operator.index(size)]
    if len(lengths) > MOST_DIMENSIONS or not all(0 <= length < LARGEST_SIZE for length in sizes):
        raise ValueError(shape)
    names = tuple(segments)
    if not all(map(_is_name, names)):
        raise ValueError(names)
    return Entry(str(name), str(dtype), lengths, size, names)
