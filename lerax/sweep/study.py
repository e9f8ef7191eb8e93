"""A sweep on disk, which workers share: the journal says what each trial is, locks whose it is.

A trial that is running in the journal belongs to the process that holds the lock of its directory. The lock
ends with the process: whoever gets it goes on with the trial. Trials are begun, taken over and ended by one
process at a time, so that there are never more than there should be.
"""

import contextlib
import itertools
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from lerax import runs
from lerax.run import RunIsHeldError, hold

from .lock import JournalLock, exclusively
from .plan import SweepPlan, grid_size
from .space import label
from .trial import FAILED, PRUNED, Trial, Verdict

JOURNAL, LOCK = "journal.log", "sweep.lock"  # in its directory
FACTS, DEATHS = "lerax", "lerax:deaths"  # what the journal says of a trial beside Optuna's own
DRAWS = 16  # of a combination that was not tried, before any of these is taken
MOST_DEATHS = 10  # of one trial's processes without getting on
ROUNDS, LAST_ROUND = (1, 3, 9), 27  # after such parts of a training it is compared with others
STATES = {FAILED: TrialState.FAIL, PRUNED: TrialState.PRUNED}

optuna.logging.set_verbosity(optuna.logging.ERROR)


class JournalError(RuntimeError):
    """A journal cannot be read; the message says which, and why."""


class Sweep:
    """A sweep that this process works on, or looks at.

    Args:
        path: Its directory.
        plan: What is swept; None where it is only looked at.
    """

    def __init__(self, path: Path, plan: SweepPlan | None = None):
        self.path, self._plan = path, plan

    @property
    def plan(self) -> SweepPlan:
        """What is swept."""
        assert self._plan is not None, "a sweep that is only looked at"
        return self._plan

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process does what is inside."""
        with exclusively(self.path / LOCK):
            yield

    @cached_property
    def study(self) -> optuna.Study:
        """As Optuna has it.

        Raises:
            JournalError: The journal is damaged.
        """
        journal = self.path / JOURNAL
        try:
            lock: Any = JournalLock(journal)  # the class of Optuna's own is not public
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
        except (ValueError, LookupError, TypeError, AssertionError) as error:
            raise JournalError(f"{journal} is damaged: {' '.join(str(error).split())}") from error
        names = [study.study_name for study in storage.get_all_studies()]
        return optuna.create_study(
            storage=storage,
            study_name=next(iter(names), self.path.absolute().name),  # the directory may have moved
            direction="maximize",
            pruner=_pruner(self._plan.pruner if self._plan else "none"),
            load_if_exists=True,
        )

    def trials(self) -> list[FrozenTrial]:
        """All trials that there are now, as the journal has them; they are not to be changed."""
        return [t for t in self.study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]

    def begin(self) -> Trial | None:
        """A trial for this process: one that was left behind, else a new one; None where there is none.

        Raises:
            OSError: The directory cannot be written.
        """
        with self.alone():
            trials = self.trials()
            for known in trials:
                if known.state == TrialState.RUNNING and (found := self._take_over(known)):
                    return found
            return self._new(len(trials)) if len(trials) < self.plan.trials else None

    def finish(self, trial: Trial, verdict: Verdict) -> None:
        """Tells what came of a trial, and leaves it."""
        with self.alone():
            if verdict.facts:
                trial.handle.set_user_attr(FACTS, verdict.facts)
            state = STATES.get(verdict.state, TrialState.COMPLETE)
            self.study.tell(trial.number, verdict.score, state)
        trial.release()

    def is_pruned(self, trial: Trial, values: Sequence[float], part: float) -> bool:
        """Whether a trial does so badly that it is not worth going on with.

        Args:
            trial: The trial.
            values: Of each seed, the mean return that it has come to; none where one has none yet.
            part: How much of the training each has done.
        """
        if self.plan.pruner == "none" or not values:
            return False
        due = max((one for one in ROUNDS if one <= part * LAST_ROUND), default=0)
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if not due or due <= max(known, default=0):
            return False
        trial.handle.report(sum(values) / len(values), due)
        return bool(trial.handle.should_prune())

    def is_left(self, number: int) -> bool:
        """Whether nobody works on a trial that has begun; the next worker goes on with it."""
        return all(run.status != runs.LIVES for run in runs.seeds_of(self.directory(number)))

    def directory(self, number: int) -> Path:
        """Where a trial's runs are."""
        return self.path / f"trial_{number:04d}"

    def _new(self, number: int) -> Trial:
        study = self.study
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting and (settings := self._combination(number)):
            study.enqueue_trial(settings)
        self._prepare_sampler(number)
        handle = study.ask()
        lock = self._hold(handle.number)
        assert lock is not None, "the lock of a trial that nobody knows"
        return self._mine(handle, lock, taken_over=False)

    def _combination(self, number: int) -> dict[str, Any] | None:
        """What a trial tries where there are only so many combinations: one that no other has."""
        every = map(self._as_labels, self.plan.combinations())
        if self.plan.sampler == "grid":
            return next(itertools.islice(every, number, None))
        if grid_size(self.plan.tried) is None:
            return None
        before = self.study.get_trials(deepcopy=False)
        known = [trial.params for trial in before]
        self._prepare_sampler(number)
        # Where drawing costs nothing: the journal keeps what is drawn.
        apart = optuna.create_study(direction="maximize", sampler=self.study.sampler)
        apart.add_trials(before)
        for _ in range(DRAWS):
            trial = apart.ask()
            drawn = {name: tried.suggest(trial, name) for name, tried in self.plan.tried.items()}
            if (labels := self._as_labels(drawn)) not in known:
                return labels
        return random.Random(self._seed(number)).choice([one for one in every if one not in known])

    def _take_over(self, known: FrozenTrial) -> Trial | None:
        """A trial of a process that has ended; None where it lives."""
        lock = self._hold(known.number)
        if lock is None:
            return None
        if self.study.get_trials(deepcopy=False)[known.number].state != TrialState.RUNNING:
            os.close(lock)  # it has come to its end in between
            return None
        self._prepare_sampler(known.number)
        handle = optuna.Trial(self.study, known._trial_id)
        return self._mine(handle, lock, taken_over=True)

    def _hold(self, number: int) -> int | None:
        """The lock of a trial's directory, which is made; None where another process has it."""
        path = self.directory(number)
        path.mkdir(exist_ok=True)
        if any(run.status == runs.LIVES for run in runs.seeds_of(path)):  # somebody goes on with one by hand
            return None
        try:
            return hold(path)
        except RunIsHeldError:
            return None

    def _mine(self, handle: optuna.Trial, lock: int, *, taken_over: bool) -> Trial:
        settings = {name: tried.suggest(handle, name) for name, tried in self.plan.tried.items()}
        path = self.directory(handle.number)
        return Trial(handle.number, path, settings, taken_over, handle, lock)

    def count_death(self, trial: Trial, steps: int) -> bool:
        """Notes that the process of a trial has died; whether that is too often.

        Args:
            trial: The trial.
            steps: How far it had come.
        """
        before = trial.handle.user_attrs.get(DEATHS) or {"count": 0, "steps": -1}
        count = 1 if steps > before["steps"] else before["count"] + 1
        trial.handle.set_user_attr(DEATHS, {"count": count, "steps": max(steps, before["steps"])})
        return count >= MOST_DEATHS

    def _as_labels(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings as the journal has them."""
        return {name: label(value) for name, value in settings.items()}

    def _prepare_sampler(self, number: int) -> None:
        """A trial's settings depend on its number and on what is known, not on who asks for them."""
        seed = self._seed(number)
        kind = optuna.samplers.TPESampler if self.plan.sampler == "tpe" else optuna.samplers.RandomSampler
        self.study.sampler = kind(seed=seed)

    def _seed(self, number: int) -> int:
        return zlib.crc32(repr((self.plan.seeds[0], number)).encode())


def _pruner(name: str) -> optuna.pruners.BasePruner:
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=LAST_ROUND, reduction_factor=3)
    return optuna.pruners.MedianPruner() if name == "median" else optuna.pruners.NopPruner()
