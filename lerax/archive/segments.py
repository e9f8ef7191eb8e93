"""Pieces of large arrays in files of their own, and how files are read and checked."""

import contextlib
import functools
import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lerax.files import Unfinished, naming, sync_folder

SEGMENTS = "segments"  # the folder
LARGEST_SEGMENT = 2**22  # bytes, of those that are written; larger arrays are cut
LARGEST_HOLLOW, HOLLOW = 2**28, 100  # bytes; times what is on the disk, which may compress files
BLOCK = 2**20
HELPERS = 2  # threads; the disk keeps one of them waiting


def at_once(calls: Sequence[Callable[[], object]]) -> list[Any]:
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

    def put(
        self, arrays: Sequence[memoryview], known: Sequence[dict[int, str]] | None = None
    ) -> list[tuple[str, ...]]:
        """Stores the large ones of some arrays, as far as they are not there.

        Args:
            arrays: Their bytes.
            known: For each array the names of pieces, by their numbers, whose SHA-256 is known; those of the
                others are filled in.

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
        known = known or [{} for _ in pieces]
        calls = [
            functools.partial(self._put, piece, names, number)
            for some, names in zip(pieces, known, strict=True)
            for number, piece in enumerate(some)
        ]
        names = iter(at_once(calls))
        if any(pieces):
            sync_folder(self._folder)
        return [tuple(next(names) for _ in some) for some in pieces]

    def _put(self, data: memoryview, known: dict[int, str], number: int) -> str:
        name = known.get(number) or hashlib.sha256(data).hexdigest()
        path = self._folder / name
        if not self._is_there(name, len(data)):
            with naming(path), Unfinished(path) as unfinished:
                with open(unfinished.file, "wb", closefd=False) as file:
                    file.write(data)
                os.fsync(unfinished.file)
                unfinished.publish(durable=False)  # the folder is for all of them at once
            self._whole[name] = _looks(os.stat(path))
        known[number] = name
        return name

    def _is_there(self, name: str, size: int) -> bool:
        """Whether a segment is there and right; it is read unless it looks as it did when it was."""
        try:
            with regular(self._folder / name) as file:
                looks = _looks(os.fstat(file.fileno()))
                if looks != self._whole.get(name):
                    check_segment(file, name, size)
                self._whole[name] = looks
        except (OSError, ValueError):
            return False
        return True

    def remove_others(self, names: set[str]) -> None:
        """Removes the segments that are not named, as far as that is possible."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if is_name(path.name) and path.name not in names:
                    self._whole.pop(path.name, None)
                    path.unlink(missing_ok=True)


def _looks(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch("[0-9a-f]{64}", name) is not None


def regular(path: Path, flags: int = os.O_NOFOLLOW) -> BinaryIO:
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


def hash_next(digest: "hashlib._Hash", file: BinaryIO, size: int, into: memoryview | None = None) -> None:
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


def check_segment(file: BinaryIO, name: str, size: int, into: memoryview | None = None) -> None:
    """Reads all of a segment.

    Raises:
        ValueError: It has another size, or other contents.
    """
    digest = hashlib.sha256()
    hash_next(digest, file, size, into)
    if file.read(1) or digest.hexdigest() != name:
        raise ValueError("does not match its SHA-256")
