"""What is swept, and how."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lerax.errors import SettingError

from .space import Choices, Tried

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("none", "hyperband", "median")
GOALS = ("iqm", "mean")
TRIALS = 20


@dataclass(frozen=True)
class SweepPlan:
    """What is swept, and how.

    Attributes:
        tried: What is tried, by the names of the settings, as `--set` has them.
        trials: How many trials there are, those of all workers together.
        seeds: The seeds of each trial.
        sampler: What chooses settings: one of `SAMPLERS`.
        pruner: What ends trials that do badly: one of `PRUNERS`.
        goal: What of the seeds' final mean returns is maximised: one of `GOALS`.

    Raises:
        SettingError: A grid has ranges, or there are fewer combinations than trials.
    """

    tried: Mapping[str, Tried]
    trials: int
    seeds: tuple[int, ...]
    sampler: str = SAMPLERS[0]
    pruner: str = PRUNERS[0]
    goal: str = GOALS[0]

    def __post_init__(self) -> None:
        for name, tried in self.tried.items() if self.sampler == "grid" else ():
            if not isinstance(tried, Choices):
                hint = f"give its values: --try {name}=A,B,C, or another --sampler"
                raise SettingError("sampler", self.sampler, wrong=f"{name} is a range", hint=hint)
        size = grid_size(self.tried)
        if size is not None and self.trials > size:  # one that is trained again is the same, bit for bit
            raise SettingError(
                "trials", self.trials, f"at most {size}, which is all combinations that there are"
            )

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The settings of all trials that there can be, in the order of a grid; of ranges there are none."""
        if grid_size(self.tried) is not None:
            for values in itertools.product(*(tried.plain for tried in self.tried.values())):
                yield dict(zip(self.tried, values, strict=True))

    def of(self, trials: int) -> "SweepPlan":
        """The same with another number of trials."""
        return replace(self, trials=trials)

    def table(self) -> dict[str, Any]:
        """As a file has it."""
        return {
            "trials": self.trials,
            "seeds": list(self.seeds),
            "sampler": self.sampler,
            "pruner": self.pruner,
            "goal": self.goal,
            "try": {name: tried.plain for name, tried in self.tried.items()},
        }


def grid_size(tried: Mapping[str, Tried]) -> int | None:
    """How many combinations there are; None where a range has any number of them."""
    sizes = [len(one.values) for one in tried.values() if isinstance(one, Choices)]
    return math.prod(sizes) if len(sizes) == len(tried) else None
