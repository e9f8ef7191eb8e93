"""An environment and a backend whose faults the variable FAULTY names, such as `log=raise env=99`.

`hang` lasts longer than any test, `slow` half a second; `clock=back` sets the clock back an hour, `env=99`
breaks the 99th step.
"""

import itertools
import os
import time

import jax
import numpy as np
from toys import Target

from lerax.backend import AbstractLoggingBackend

STEPS = itertools.count(1)


def faults():
    return dict(word.split("=") for word in os.environ.get("FAULTY", "").split())


def worth(reward):
    """On the host."""
    if next(STEPS) == int(faults().get("env", 0)):
        raise ValueError("a fault in the environment")
    return np.asarray(reward, np.float32)


class Breaks(Target):
    """Its rewards come from Python, which may break."""

    name = "Breaks"

    def reward(self, state, action, next_state, *, key):
        reward = super().reward(state, action, next_state, key=key)
        shape = jax.ShapeDtypeStruct((), np.float32)
        return jax.pure_callback(worth, shape, reward, vmap_method="sequential")


class Faulty(AbstractLoggingBackend):
    def __init__(self, log_dir="logs"):
        self._faults = faults()
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
