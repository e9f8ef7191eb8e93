"""What is tried of a setting: some values, or all between two."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from lerax.errors import SettingError
from lerax.settings import Setting, from_plain

if TYPE_CHECKING:
    from optuna.trial import Trial

SCALARS = (bool, int, float, str)  # what a journal takes as it is


class Choices(NamedTuple):
    """Some values.

    Attributes:
        values: The values, as a file has them.
    """

    values: tuple[Any, ...]

    @property
    def bounds(self) -> Iterable[Any]:
        """Values of which each must be allowed for all to be."""
        return self.values

    @property
    def plain(self) -> Any:
        """As a file has it."""
        return list(self.values)

    def suggest(self, trial: "Trial", name: str) -> Any:
        """The value of a trial: the one that it has, else one that its sampler takes."""
        labels = {label(value): value for value in self.values}
        return labels[trial.suggest_categorical(name, list(labels))]


class Range(NamedTuple):
    """All values between two, these included.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether they are drawn evenly by their logarithms.
        whole: Whether they are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def bounds(self) -> Iterable[Any]:
        """Values of which each must be allowed for all to be."""
        return self.low, self.high

    @property
    def plain(self) -> Any:
        """As a file has it."""
        return f"{'log:' * self.log}{self.low}..{self.high}"

    def suggest(self, trial: "Trial", name: str) -> Any:
        """The value of a trial: the one that it has, else one that its sampler takes."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


Tried = Choices | Range
"""What is tried of a setting."""


def read_range(text: str, setting: Setting) -> Range | None:
    """A range from its text: `LOW..HIGH` or `log:LOW..HIGH`; None where it is none.

    Args:
        text: The text.
        setting: What it is of.

    Raises:
        SettingError: The setting is no number, or the range is empty, or has no logarithms.
    """
    head, colon, rest = text.partition(":")
    log = bool(colon) and head.strip() == "log"
    low, dots, high = (rest if log else text).partition("..")
    refused = lambda wrong, hint: SettingError(setting.name, text, wrong=wrong, hint=hint)
    if not dots:
        if log:
            raise refused("a range without an end", "write for example log:1e-4..1e-2")
        return None
    kinds = {"int", "float"} & {*setting.alternatives}
    if not kinds:
        raise refused("no range for what is no number", "write its values: a,b,c")
    whole = "float" not in kinds
    try:
        ends = [int(float(end)) if whole and float(end).is_integer() else float(end) for end in (low, high)]
    except (ValueError, OverflowError):
        raise refused("its ends are no numbers", "write for example 0.9..0.99") from None
    if whole and not all(isinstance(end, int) for end in ends):
        raise refused("its ends are no whole numbers", "write for example 64..512")
    if not ends[0] < ends[1]:
        raise refused("an empty range", "the lower end stands first")
    if log and ends[0] <= 0:
        raise refused("no logarithm of its lower end", "give one above 0, or leave out log:")
    return Range(ends[0], ends[1], log, whole)


def check(tried: Tried, setting: Setting) -> None:
    """Refuses what the setting may not be.

    Raises:
        SettingError: A value is of the wrong type or out of range, or none is given, or one twice.
    """
    for value in tried.bounds:
        setting.convert(from_plain(setting, value))
    if isinstance(tried, Choices) and len({label(value) for value in tried.values}) < len(tried.values):
        raise SettingError(setting.name, tried.plain, wrong="a value that stands there twice")


def label(value: Any) -> Any:
    """What the journal calls a value: lists and tables by their text."""
    return value if value is None or isinstance(value, SCALARS) else json.dumps(value)
