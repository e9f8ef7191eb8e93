"""Reads what wandb leaves on disk: its own messages, out of its file format."""

import json
import struct
import zlib

BLOCK = 32768


def records(folder):
    """The records of a run's `.wandb` files: wandb's own messages, in checked parts, in blocks."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for path in sorted(folder.glob("wandb/*run-*/*.wandb")):
        data = path.read_bytes()
        assert data[:4] == b":W&B"
        at, parts = 7, b""
        while at < len(data):
            if BLOCK - at % BLOCK < 7:  # no room for a part's head: padding
                at += BLOCK - at % BLOCK
                continue
            checksum, length, kind = struct.unpack_from("<IHB", data, at)
            part = data[at + 7 : at + 7 + length]
            assert zlib.crc32(part, zlib.crc32(bytes([kind]))) == checksum
            at, parts = at + 7 + length, parts + part
            if kind in (1, 4):  # a whole record, or the last part of one
                found.append(Record.FromString(parts))
                parts = b""
    return found


def values(items):
    """What a message's items say, without what wandb adds."""
    found = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return {name: value for name, value in found.items() if not name.startswith("_")}


def history(folder):
    return [values(record.history.item) for record in records(folder) if record.HasField("history")]


def config(folder):
    updates = [update for r in records(folder) for update in (*r.run.config.update, *r.config.update)]
    return values(updates)
