"""A backend whose faults the variable FAULTY names, such as `log=raise close=slow`; it logs nothing.

`hang` lasts longer than any test, `slow` half a second, `clock=back` sets the clock back an hour.
"""

import os
import time

from lerax.backend import AbstractLoggingBackend


class Faulty(AbstractLoggingBackend):
    def __init__(self, log_dir="logs"):
        self._faults = dict(word.split("=") for word in os.environ.get("FAULTY", "").split())
        self._now = time.time

    def _do(self, what):
        match self._faults.get(what):
            case "raise":
                raise OSError(f"a fault in {what}")
            case "exit":
                raise SystemExit(f"an exit in {what}")
            case "hang":
                time.sleep(10_000)
            case "slow":
                time.sleep(0.5)

    def open(self, name):
        if "clock" in self._faults:
            time.time = lambda: self._now() - 3600
        self._do("open")

    def resume(self, step):
        self._do("resume")

    def log_scalars(self, scalars, step):
        self._do("log")

    def flush(self):
        self._do("flush")

    def close(self):
        self._do("close")
