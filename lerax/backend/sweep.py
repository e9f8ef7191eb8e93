"""What is shown of a sweep while a process works on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .console import ConsoleBackend, Progress
from .dashboard import CURVE, ENDS, RATE, STARTING, Line, dashboard, short
from .seeds import WAITING, SeedsConsole

LOOK_SECONDS = 1.0  # between two looks at the journal
BEST = 5  # trials that are shown, at the most


class Ranked(NamedTuple):
    """A trial that is complete, as it is shown.

    Attributes:
        trial: Its number.
        score: What it has come to.
        interval: How sure that is, in words.
        settings: What it has tried.
    """

    trial: int
    score: float
    interval: str
    settings: Mapping[str, Any]


class Standing(NamedTuple):
    """How a sweep stands.

    Attributes:
        counts: Trials of all workers by state.
        trials: How many trials there are to be.
        best: The best ones.
        curve: The best score after so many trials.
    """

    counts: Mapping[str, int]
    trials: int
    best: Sequence[Ranked]
    curve: Sequence[tuple[float, float]]

    @property
    def ended(self) -> int:
        """Trials that have come to an end."""
        return sum(count for state, count in self.counts.items() if state != "running")


class SweepConsole(ConsoleBackend):
    """Shows a sweep on standard error: as a table in a terminal, as lines elsewhere.

    Args:
        progress: As for `ConsoleBackend`.
    """

    def __init__(self, progress: Progress):
        super().__init__(progress)
        self.shown.unit = "trials"
        self._look: Callable[[], Standing] | None = None
        self._standing, self._looked, self._before = Standing({}, 0, (), ()), 0.0, 0
        self._now: tuple[int, Mapping[str, Any], _TrialConsole] | None = None

    def watch(self, name: str, look: Callable[[], Standing]) -> None:
        """From now on shows a sweep.

        Args:
            name: Its name.
            look: Says how it stands.
        """
        self._look = look
        self._standing = look()
        self._before = self._standing.ended
        self.open(name)
        self.shown.began = time.monotonic()
        self._begin_phase("sweeping")

    def begin_trial(
        self, number: int, settings: Mapping[str, Any], seeds: Sequence[int], *, again: bool
    ) -> SeedsConsole:
        """What a trial's seeds are shown with, which begins now.

        Args:
            number: Its number.
            settings: What it tries.
            seeds: Its seeds.
            again: Whether it goes on from where another worker left it.
        """
        console = _TrialConsole(self, seeds)
        self._now = number, settings, console
        self.tell({"trial": number, "phase": "going-on" if again else "training"} | dict(settings))
        return console

    def end_trial(self, facts: Mapping[str, Any]) -> None:
        """Says how the trial has ended."""
        self._now, self._looked = None, 0.0
        self.tell(facts)

    def tell(self, facts: Mapping[str, Any]) -> None:
        """A line where there is no table."""
        if self._mode == "plain":
            self._write({key: _word(value) for key, value in facts.items()})

    def close(self) -> None:
        self.leave()

    def _lines(self, width: int, height: int, said: list[str]) -> list[Line]:
        now, shown = time.monotonic(), self.shown
        if self._look is not None and now - self._looked > LOOK_SECONDS:
            self._standing, self._looked = self._look(), now
        standing = self._standing
        shown.step, shown.total = standing.ended, standing.trials
        done, gone = standing.ended - self._before, now - shown.began
        shown.scalars = {RATE: done / gone} if done and gone else {}
        shown.curve = list(standing.curve)
        shown.caption = "best score so far"
        return dashboard(shown, width, height, now, said, self._rows())

    def _rows(self) -> list[Line]:
        """Counts, the best trials, and what this process trains: a column for each setting."""
        standing = self._standing
        counted = [f"{count} {state}" for state, count in standing.counts.items() if count]
        rows: list[Line] = [[(f" trials  {', '.join(counted) or 'none yet'}", "")]]
        cells = [
            (str(one.trial), short(one.score), one.interval, one.settings) for one in standing.best[:BEST]
        ]
        styles = ["bold", *[""] * len(cells)][: len(cells)]
        if self._now is not None:
            number, settings, console = self._now
            cells.append((str(number), *console.words(), settings))
            styles.append("yellow")
        if not cells:
            return rows
        names = [*dict.fromkeys(name for *_, settings in cells for name in settings)]
        table = [("trial", "score", "95 % interval", *names)]
        table += [(*first, *(_word(settings.get(name, "")) for name in names)) for *first, settings in cells]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [" " + "  ".join(map(str.rjust, row, widths)) for row in table]
        return rows + [[(line, style)] for line, style in zip(lines, ["dim", *styles], strict=True)]


class _TrialConsole(SeedsConsole):
    """What a trial's seeds are shown with: as a line of the sweep's table."""

    def __init__(self, sweep: SweepConsole, seeds: Sequence[int]):
        super().__init__("off", seeds)
        self._sweep = sweep

    def give_back(self) -> None:
        self._sweep.give_back()

    def words(self) -> tuple[str, str]:
        """What it has come to, and how far it is."""
        parts = [part.shown for part in self.parts.values()]
        done, total = sum(part.step for part in parts), sum(part.total for part in parts)
        going = [part.phase for part in parts if part.phase not in (*ENDS, WAITING)]
        phase = going[0].partition(" ")[0] if going else STARTING
        values = [part.scalars[CURVE] for part in parts if CURVE in part.scalars]
        value = short(sum(values) / len(values)) if values else ""
        return value, f"{phase} {100 * done // total if total else 0}%"


def words(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return " ".join(f"{name}={_word(value)}" for name, value in settings.items())


def _word(value: Any) -> str:
    """A value in a word."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(" ", "")
