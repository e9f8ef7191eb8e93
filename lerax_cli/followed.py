"""`lerax` for a process that may be killed: `python -m lerax_cli.followed PID WORD...` ends after that."""

import os
import signal
import sys
import threading
import time

LOOK_SECONDS = 0.2


def follow(parent: int) -> None:
    """Sends this process a SIGTERM once another one is not its parent any more."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=follow, args=(int(sys.argv.pop(1)),), daemon=True, name="lerax follows").start()
    from lerax_cli.__main__ import main

    main()
