"""A process that has environments: it is told what to do through a socket, and ends when that closes."""

import pickle
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from .members import answers


def asked(line: Connection) -> Iterator[Any]:
    """What comes through the socket, until it closes."""
    while True:
        try:
            yield line.recv()
        except (EOFError, OSError):
            return


def main(number: int) -> None:
    """Serves until the other end closes.

    Args:
        number: Of the socket.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the training, which ends this
    line = Connection(number)
    kind, count = pickle.loads(line.recv_bytes())
    for answer in answers(asked(line), SimpleNamespace(), kind, count, False):
        line.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
