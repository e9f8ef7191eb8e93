"""Where the command begins: Ctrl-C is answered in one line while all the rest is still being imported."""

import os
import signal
from types import FrameType


def _stop(number: int, frame: FrameType | None) -> None:
    code = 128 + number
    line = f"lerax: stopped by a signal (exit {code})\n"
    try:
        os.write(2, line.encode())
    finally:
        os._exit(code)


def main() -> None:
    """Runs the command and ends the process with its exit code."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell leaves it to background jobs
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it asks for a checkpoint, and there is nothing yet
    from . import app

    app.main()


if __name__ == "__main__":
    main()
