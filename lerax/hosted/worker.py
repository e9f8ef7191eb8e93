"""A process that has environments: it is told what to do through a socket, and ends when that closes."""

import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from .members import OURS, answers

ORPHANED_SECONDS = 10.0  # for an environment to come back to a socket that has closed


def asked(line: Connection) -> Iterator[Any]:
    """What comes through the socket, until it closes."""
    while True:
        try:
            yield line.recv()
        except (EOFError, OSError):
            return


def _end_with(number: int) -> None:
    """Ends the process some time after the socket has closed, whatever the environment does."""
    closed = select.poll()
    closed.register(number, 0)  # which is told all the same
    closed.poll()
    time.sleep(ORPHANED_SECONDS)
    os._exit(1)


def main(number: int) -> None:
    """Serves until the other end closes.

    Args:
        number: Of the socket.
    """
    for one in OURS:
        # Not SIG_IGN, which what the environment starts would inherit: nothing could end it then.
        signal.signal(one, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
    line = Connection(number)
    threading.Thread(target=_end_with, args=(number,), daemon=True).start()
    kind, count = pickle.loads(line.recv_bytes())
    for answer in answers(asked(line), SimpleNamespace(), kind, count, False):
        line.send(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
