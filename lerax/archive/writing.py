"""Writing of files that are whole or not there."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from lerax.errors import SettingError
from lerax.files import Content, write_atomically

from .reading import LARGEST_HEADER, MAGIC, MAGIC_SEGMENTS, Entry
from .segments import Segments, at_once

MOST_SAVED = LARGEST_HEADER - 2**7  # bytes of a header, to which a checksum is added
UNKNOWN = "0" * 64  # stands for a SHA-256 that is written later

Write = Callable[[Path, Content], None]


def write(
    path: Path,
    arrays: Sequence[tuple[Entry, memoryview]],
    metadata: dict[str, Any],
    *,
    segments: Segments | None = None,
    known: dict[str, dict[int, str]] | None = None,
    before_publish: Callable[[], object] | None = None,
    write: Write = write_atomically,
) -> None:
    """Writes a file that is whole or not there.

    Args:
        path: Where to.
        arrays: What it holds, with the bytes.
        metadata: Anything that JSON can hold.
        segments: Takes the large arrays; without it all are in the one file.
        known: What `Copies` knows of their segments.
        before_publish: Called when all is written and nothing is to be seen yet.
        write: Writes the file.

    Raises:
        TypeError: The metadata hold something that JSON cannot.
        OSError: It cannot be written; what was there before is still there.
    """
    held: list[tuple[str, ...]] = [()] * len(arrays)
    if segments:
        names = [(known or {}).get(entry.name, {}) for entry, _ in arrays]
        held = segments.put([data for _, data in arrays], names)
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
        at_once([lambda: [digest.update(data) for data in inline], lambda: file.writelines(inline)])
        end = file.tell()
        file.seek(0)
        file.write(beginning(digest.hexdigest()))
        file.seek(end)
        if before_publish:
            before_publish()

    write(path, fill)


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"
