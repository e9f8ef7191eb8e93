"""An environment of Gymnasium that goes wrong as it is told: `outside:Faulty-v0` with `what="raise"`."""

import os
import sys
import time
from typing import Any

import gymnasium
import numpy as np


class Faulty(gymnasium.Env):
    """Sees how many steps an episode has had, in parts of ten; goes wrong after `at` steps in all."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, what: str = "", at: int = 5, length: int = 10, render_mode: str | None = None):
        if what == "make":
            raise RuntimeError("no such file: maze.txt")
        self.what, self.at, self.length, self.render_mode = what, at, length, render_mode
        self.steps = self.all = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.what == "reset":
            raise RuntimeError("the maze is closed")
        self.steps = 0
        return self._seen(), {}

    def step(self, action) -> Any:
        if self.what == "strict" and self.steps >= self.length:
            raise RuntimeError("stepped after its end")
        self.steps, self.all = self.steps + 1, self.all + 1
        reward, terminal = float(action), self.steps >= self.length
        if self.all >= self.at:
            if self.what == "raise":
                raise RuntimeError("the wheel came off")
            if self.what == "exit":
                sys.exit(3)
            if self.what == "interrupt":
                raise KeyboardInterrupt
            if self.what == "hang":
                time.sleep(600)
            if self.what == "die":
                os._exit(9)
            if self.what == "print":
                print("I am here")
            if self.what == "nan":
                reward = float("nan")
            if self.what == "shape":
                return np.zeros(3), reward, terminal, False, {}
            if self.what == "dtype":
                return np.array(["one"]), reward, terminal, False, {}
            if self.what == "nothing":
                return None
        if self.what == "ends at once":
            terminal = True
        if self.what == "never ends":
            terminal = False
        return self._seen(), reward, terminal, False, {}

    def render(self):
        if self.what == "no picture":
            return None
        frame = np.zeros((40, 60, 3), np.uint8)
        frame[:, : 6 * self.steps] = 255
        return frame

    def _seen(self) -> Any:
        return np.array([min(self.steps / 10, 1.0)])


class Parts(Faulty):
    """Takes actions of several parts, and gives observations of several, or what is `wrong`."""

    metadata = {"render_modes": None}
    observation_space = gymnasium.spaces.Dict(
        door=gymnasium.spaces.Discrete(20, start=1),
        pair=gymnasium.spaces.Tuple(
            [gymnasium.spaces.MultiBinary(2), gymnasium.spaces.MultiDiscrete([2, 3])]
        ),
    )
    action_space = gymnasium.spaces.Dict(
        {
            "turn": gymnasium.spaces.Box(-0.1, 0.1, (2,), np.float64),
            "doors": gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(2), gymnasium.spaces.MultiBinary(2)]),
        }
    )
    wrong: Any = {}

    def step(self, action) -> Any:
        assert self.action_space.contains(action), action
        return super().step(action["doors"][0])

    def _seen(self) -> Any:
        good = {"door": 3, "pair": [np.ones(2, np.int8), np.array([1, 2])]}
        return good if not self.steps else self.wrong if self.wrong is None else good | self.wrong


class Typed(Faulty):
    """Shows of what type it was given its argument."""

    def __init__(self, given: Any = None):
        super().__init__()
        self.given = given

    def _seen(self) -> Any:
        return np.array([{bool: 0.25, int: 0.5, float: 0.75}[type(self.given)]])


gymnasium.register("Faulty-v0", "outside:Faulty")
gymnasium.register("Typed-v0", "outside:Typed")
gymnasium.register("Parts-v0", "outside:Parts")
gymnasium.register("Many-v0", vector_entry_point="outside:Faulty")
