"""TensorBoard event files that are copied up to a step."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LENGTH = struct.Struct("<Q")
CHECKSUM = struct.Struct("<I")  # behind the length, and behind the event
LARGEST = 2**30  # bytes of an event; a torn length may say anything
OF_THE_RUN = ("_hparams_/", "hparams/")  # what a copy has to say itself


def copy_events(source: Path, target: Path, step: int) -> None:
    """Copies the events of a file up to a step, byte for byte, but for the hyperparameters.

    What a process is still writing, or a kill has torn, ends where the last whole event does.

    Raises:
        OSError: It cannot be read or written.
    """
    with open(source, "rb") as read, open(target, "xb") as write:
        for record, event in _records(read):
            if _belongs(event, step):
                write.write(record)


def _records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The records of a file as they are, and the event in each."""
    from tensorboardX.record_writer import masked_crc32c

    while len(head := file.read(LENGTH.size + CHECKSUM.size)) == LENGTH.size + CHECKSUM.size:
        size = LENGTH.unpack_from(head)[0]
        rest = file.read(size + CHECKSUM.size) if size <= LARGEST else b""
        if len(rest) != size + CHECKSUM.size:
            return
        if CHECKSUM.unpack(rest[size:])[0] != masked_crc32c(rest[:size]):
            return  # no reader goes further
        yield head + rest, rest[:size]


def _belongs(data: bytes, step: int) -> bool:
    from tensorboardX.proto.event_pb2 import Event  # type: ignore[attr-defined]

    event = Event.FromString(data)
    own = any(value.tag.startswith(OF_THE_RUN) for value in event.summary.value)
    return event.step <= step and not own
