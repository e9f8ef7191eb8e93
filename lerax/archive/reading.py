"""Reading of files that anybody may have made."""

import hashlib
import json
import operator
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .segments import SEGMENTS, check_segment, hash_next, is_name, regular

MAGIC, MAGIC_SEGMENTS = b"lerax-1 ", b"lerax-2 "
LARGEST_HEADER = 2**21  # bytes; a policy's has hundreds. Objects made of JSON take 30 times its bytes
MOST_DIMENSIONS, LARGEST_SIZE = 64, 2**63
MISMATCH = "damaged (its SHA-256 does not match its contents)"


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
            self._file = regular(self.path, 0)
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
            hash_next(digest, self._file, size, into)
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
                    with regular(self.path.parent / SEGMENTS / name) as file:
                        size = seen[name] = os.fstat(file.fileno()).st_size
                        if size > left:
                            raise ValueError("is too large")
                        place = (entry.size or 0) - left
                        check_segment(file, name, size, None if into is None else into[place : place + size])
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
    if not all(map(is_name, names)):
        raise ValueError(names)
    return Entry(str(name), str(dtype), lengths, size, names)
