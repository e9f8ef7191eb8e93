"""Kinds and ranges of values, in the words that users are shown, and values brought to them."""

import math
import operator
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any, NamedTuple

from .errors import SettingError, SettingTypeError

LONGEST_LIST = 100
LARGEST = 3.4028235e38  # that 32 bits hold, in which numbers are computed
LEAST = 1.1754943e-38  # likewise, above 0: what is less becomes 0
INTERVAL, TABLE = "interval", "table"
WHATEVER = {
    "bool": "true or false",
    "int": "any whole number",
    "float": "any finite value",
    "str": "any text",
    "none": "none",
    INTERVAL: "two numbers, the lower one first, inf for no bound",
    TABLE: "names, with a number or a list of numbers each",
}
EXAMPLES = {"bool": True, "int": 1, "float": 1.0, "str": "name", INTERVAL: (0.0, math.inf), TABLE: ()}


class Limits(NamedTuple):
    """The range a setting must lie in.

    Attributes:
        above: What it must exceed; None for no limit.
        at_least: The least value; None for no limit.
        at_most: The greatest value; None for no limit.
        choices: All that it may be; empty for no such list.
    """

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple = ()

    def __str__(self) -> str:
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        words = {"above": self.above, "at least": self.at_least, "at most": self.at_most}
        said = [f"{word} {limit}" for word, limit in words.items() if limit is not None]
        return " and ".join(said)

    def allow(self, value: Any) -> bool:
        """Whether `value` lies in the range; NaN, infinities and what 32 bits cannot hold never do."""
        if isinstance(value, tuple):
            return 1 <= len(value) <= LONGEST_LIST and all(self.allow(item) for item in value)
        if self.choices or isinstance(value, str):
            return value in self.choices or not self.choices
        if isinstance(value, float) and not abs(value) <= LARGEST:
            return False
        value = 0.0 if _vanishes(value) else value
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )


class Setting(NamedTuple):
    """One setting of a class, as its field declares it.

    Attributes:
        name: The field's name.
        default: Its default.
        help: What it does, in a few words.
        limits: The range it must lie in.
        kind: Its type, in the words that users are shown, see `setting`; "" for that of the default.
    """

    name: str
    default: Any
    help: str
    limits: Limits
    kind: str = ""

    @property
    def type_name(self) -> str:
        """The type in words, as `setting` takes it."""
        return self.kind or kind_of(self.default)

    @property
    def alternatives(self) -> list[str]:
        """The types that it may have."""
        return self.type_name.split(" or ")

    @property
    def allowed(self) -> str:
        """The range in words."""
        limits, words = str(self.limits), []
        for kind in self.alternatives:
            if kind.startswith("list of "):
                words.append(f"1 to {LONGEST_LIST} values" + (f", each {limits}" if limits else ""))
            else:
                words.append(limits if limits and kind in ("int", "float", "str") else WHATEVER[kind])
        return ", or ".join(words)

    @property
    def example(self) -> str:
        """How a value is written, in Python as on the command line; booleans and tables differ."""
        python = {"bool": "True", TABLE: "{'distance': 4.0}"}.get(self.alternatives[0])
        return f"{python}, behind --set and in a file {self.written}" if python else self.written

    @property
    def written(self) -> str:
        """How a value is written behind `--set` and in a file."""
        kind, value = self.alternatives[0], self.default
        if value is MISSING or value is None:
            value = self.limits.choices[0] if self.limits.choices else EXAMPLES.get(kind, ())
        if kind in ("bool", TABLE):
            return {"bool": "true", TABLE: "{distance = 4.0}"}[kind]
        return f"[{','.join(map(repr, value))}]" if isinstance(value, tuple) else repr(value)

    def convert(self, value: object) -> Any:
        """Brings a value to the setting's type and checks its range.

        Raises:
            SettingError: Wrong type, or outside the range.
        """
        try:
            converted = _convert(value, self.alternatives)
        except (TypeError, ValueError, OverflowError):
            article = "an" if self.type_name.startswith("i") else "a"
            such = "" if self.type_name == "str" else f"such as {self.example}"
            wrong = f"not {article} {self.type_name}"
            raise SettingError(self.name, value, self.allowed, wrong=wrong, hint=such) from None
        unlimited = converted is None or {INTERVAL, TABLE} & {*self.alternatives}
        if not unlimited and not self.limits.allow(converted):
            such = f"such as {self.example}" if isinstance(converted, tuple) else ""
            wrong = "0 in the 32 bits of computations" if _vanishes(converted) else "out of range"
            raise SettingError(self.name, value, self.allowed, wrong=wrong, hint=such)
        return converted


def _vanishes(value: object) -> bool:
    """Whether it is a number that 32 bits do not tell from 0."""
    return isinstance(value, float) and 0 < abs(value) < LEAST


def kind_of(default: object) -> str:
    """The type of a setting in words, as its default has it."""
    if isinstance(default, Mapping):
        return TABLE
    if isinstance(default, tuple) and default:
        return f"list of {type(default[0]).__name__}"
    if type(default).__name__ not in WHATEVER:
        wrong = "its default does not tell its kind"
        raise SettingTypeError("setting", default, wrong=wrong, hint="give one")
    return type(default).__name__


def _convert(value: object, kinds: list[str]) -> Any:
    """The value as the first kind that it has; of a float, not as the integer that it equals."""
    if isinstance(value, float) and "float" in kinds:
        kinds = ["float", *kinds]
    for kind in kinds:
        try:
            return _as_kind(value, kind)
        except (TypeError, ValueError, OverflowError):
            if kind == kinds[-1]:
                raise


def _as_kind(value: Any, kind: str) -> Any:
    if kind.startswith("list of "):
        return tuple(_as_kind(item, kind.removeprefix("list of ")) for item in _items(value))
    if kind == INTERVAL:
        low, high = (_as_kind(item, "float") for item in _items(value))
        if not low <= high:
            raise ValueError
        return low, high
    if kind == TABLE:
        return pairs_of(value)
    numpy_kind = getattr(getattr(value, "dtype", None), "kind", None)
    kinds = {
        "bool": isinstance(value, bool) or numpy_kind == "b",
        "str": isinstance(value, str),
        "none": value is None,
    }
    if not kinds.pop(kind, True) or any(kinds.values()):
        raise TypeError
    if kind == "int":
        if isinstance(value, float) and not value.is_integer():
            raise TypeError
        return int(value) if isinstance(value, float) else operator.index(value)
    return bool(value) if kind == "bool" else float(value) if kind == "float" else value


def _items(value: Any) -> Any:
    if isinstance(value, str):  # its letters are no list
        raise TypeError
    return value


def pairs_of(table: object) -> tuple:
    """A mapping, or its pairs, as pairs that can be hashed."""
    kinds = lambda value: ["float"] if isinstance(value, float) else ["int", "float", "list of float"]
    pairs = dict(_items(table) or ()).items()
    return tuple((_as_kind(name, "str"), _convert(value, kinds(value))) for name, value in pairs)
