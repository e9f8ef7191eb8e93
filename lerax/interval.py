"""How often something happens: every so many steps, part of the training, or time."""

import re
from typing import NamedTuple

from .errors import SettingError

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
FORMS = "steps (50_000), a part of the training (5%), or a time (30s, 10m, 2h, 1d)"
LONGEST = 10 * 366 * SECONDS["d"]


class Interval(NamedTuple):
    """One of the three, the others are None.

    Attributes:
        steps: Environment steps.
        part: Part of the whole training, above 0, at most 1.
        seconds: Seconds.
    """

    steps: int | None = None
    part: float | None = None
    seconds: float | None = None

    def iterations(self, steps_per_iteration: int, total: int) -> int | None:
        """The iterations that it takes, rounded up; None where time is what counts.

        Args:
            steps_per_iteration: Environment steps of an iteration.
            total: Iterations of the whole training.
        """
        if self.steps is not None:
            return -(-self.steps // steps_per_iteration)
        return None if self.part is None else max(1, round(self.part * total))


def read_seconds(name: str, value: object) -> float:
    """Seconds from a number of them, or a text with its unit: `90s`, `10m`, `1.5h`, `30d`, `2w`.

    Raises:
        SettingError: It is none, not above 0, or longer than ten years; `name` is what it is called.
    """
    matched = TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(matched[1]) * SECONDS[matched[2]] if matched else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number <= LONGEST:
        raise SettingError(name, value, "30s, 10m, 2h, 30d and the like", wrong="not a time")
    return float(number)


def read_interval(name: str, value: object) -> Interval:
    """An interval from a number of steps, or a text such as `50_000`, `1e5`, `5%` or `10m`.

    Raises:
        SettingError: It is none, or not above 0; `name` is what it is called.
    """
    refused = SettingError(name, value, FORMS, wrong="not an interval")
    if isinstance(value, Interval):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refused
    text = str(value).strip()
    if text[-1:] in SECONDS:
        return Interval(seconds=read_seconds(name, text))
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise refused from None
    if text.endswith("%") and 0 < number <= 100:
        return Interval(part=number / 100)
    if text.endswith("%") or not 1 <= number < 2**63 or number % 1:
        raise refused
    return Interval(steps=int(number))
