"""Copies of large arrays, which one save leaves to the next."""

import numpy as np
from jaxtyping import UInt8

from . import segments

COMPARED = 2**19  # bytes at a time: two such blocks fit into a processor's cache


class Copies:
    """Copies of arrays, of which the next save makes anew what has changed and no more.

    A comparison takes a fifth of the time of a SHA-256, and memory that is used again has no page faults.

    Attributes:
        known: For each array the names of the segments that hold its pieces, by their numbers; those of
            pieces that have changed are taken out, and `Segments.put` fills them in.
    """

    def __init__(self):
        self._copies: dict[str, UInt8[np.ndarray, " size"]] = {}
        self.known: dict[str, dict[int, str]] = {}

    def of(self, name: str, data: memoryview) -> memoryview:
        """Copies the bytes of an array.

        Args:
            name: The array's; what is returned lasts until the next copy of this name.
            data: Its bytes.
        """
        size, copy = segments.LARGEST_SEGMENT, self._copies.get(name)
        if len(data) <= size:
            return memoryview(bytes(data))
        new = np.frombuffer(data, np.uint8)
        if copy is None or copy.size != new.size:
            self.known[name] = {}
            copy = self._copies[name] = new.copy()
            return copy.data
        for number, begin in enumerate(range(0, new.size, size)):
            place = slice(begin, begin + size)
            same = _beginning(copy[place], new[place])
            if same < copy[place].size:
                self.known[name].pop(number, None)  # first, lest an interruption leave it with a wrong name
                copy[place][same:] = new[place][same:]
        return copy.data


def _beginning(old: UInt8[np.ndarray, " size"], new: UInt8[np.ndarray, " size"]) -> int:
    """How many bytes are the same, in whole blocks."""
    for begin in range(0, old.size, COMPARED):
        if not _same(old[begin : begin + COMPARED], new[begin : begin + COMPARED]):
            return begin
    return old.size


def _same(old: UInt8[np.ndarray, " size"], new: UInt8[np.ndarray, " size"]) -> bool:
    words = old.size // 8 * 8  # eight bytes at a time are compared faster than one
    first = np.array_equal(old[:words].view(np.uint64), new[:words].view(np.uint64))
    return first and np.array_equal(old[words:], new[words:])
