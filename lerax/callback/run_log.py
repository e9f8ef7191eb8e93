"""The host's half of a logging callback: one run in several backends."""

import atexit
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerax.backend import AbstractLoggingBackend, BackendError, Forwarder
from lerax.backend.dispatch import CLOSE_SECONDS
from lerax.errors import LeraxWarning, NotFiniteWarning, SettingError, shown
from lerax.run import claim, generated_name
from lerax.settings import check_value

from .records import (
    IterationScalars,
    Lap,
    Record,
    StepCounter,
    Stopwatch,
    TrainingStart,
    first_not_finite,
    one_number,
    records_of,
    with_learning_rate,
)
from .video import PlayedClip, VideoSettings
from .video_recorder import VideoCounts, VideoRecorder


class RunLog:
    """Takes what a `LoggingCallback` emits, and tells every backend.

    Args:
        backends: At least one.
        videos: When and how videos are recorded; None for never.
        hparams: Hyperparameters to log beside the algorithm's own.
        claimed: The name that is given is kept, whatever is there: it is the caller's, or that of a run to go
            on with.
        strict: Raise where a backend cannot be opened.
        plain: Log neither hyperparameters nor times, and refuse what is not finite.
        elapsed: Where the run goes on, the seconds that it has trained so far.

    Attributes:
        name: The run's name, None while it has not begun.
        closed: Whether it has ended.
        folders: Those that hold the runs of its backends.
        video: Records videos; None for none.
    """

    def __init__(
        self,
        backends: Sequence[AbstractLoggingBackend],
        videos: VideoSettings | None = None,
        *,
        hparams: Mapping[str, Any] | None = None,
        claimed: bool = False,
        strict: bool = False,
        plain: bool = False,
        elapsed: float | None = None,
    ):
        if not backends:
            said, hint = "an empty sequence", "give at least one"
            raise SettingError("backend", backends, wrong="none given", hint=hint, said=said)
        self.name: str | None = None
        self.closed = False
        given = [getattr(backend, "log_dir", None) for backend in backends]
        self.folders = [Path(folder).absolute() for folder in given if folder is not None]
        self._forwarder = Forwarder(backends)
        self.video = None if videos is None else VideoRecorder(videos, self._forwarder.dispatchers)
        self._hparams = dict(hparams or {})
        self._claimed, self._strict, self._plain = claimed, strict, plain
        self._elapsed, self._goes_on = elapsed, claimed  # both until the first training begins
        self._steps = StepCounter()
        self._stopwatch = Stopwatch()
        self._since: float | None = None  # when the next training began, where that is told
        self._phase: str | None = None
        self._all_finite = True
        self._asked_for_counts = False
        atexit.register(self._close_at_exit)

    def open(self, name: str, *, explicit: bool = False, stacklevel: int = 2) -> None:
        """Begins the run in every backend.

        Args:
            name: The wanted name.
            explicit: Whether the user chose it, and is told if it is taken.
            stacklevel: Where warnings point to, as for `warnings.warn`.

        Raises:
            SettingError: A backend is another run's, or given twice; this one is closed.
        """
        try:
            for dispatcher in self._forwarder.dispatchers:
                dispatcher.take()
        except SettingError:
            self.close()
            raise
        self.name = name if self._claimed else self._claim(name)
        if explicit and self.name != name:
            _warn(f"run {name} exists; this one is {self.name}", stacklevel + 1)
        for dispatcher in self._forwarder.dispatchers:
            try:
                dispatcher.open(self.name)
            except BackendError as error:
                if self._strict:
                    self.close()
                    raise
                _warn(f"{error}; training goes on without it", stacklevel + 1)
        if self._phase is not None:
            self._forwarder.log_phase(self._phase)

    def _claim(self, name: str) -> str:
        try:
            return claim(name, {folder.resolve() for folder in self.folders})
        except OSError:
            return name  # opening the backend says what is wrong with its folder

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, as its records count them."""
        return self._stopwatch.elapsed

    def count_from(self, began: float) -> None:
        """The next training began then, by `time.monotonic`; else it does when its first program has run."""
        self._since = began

    def step_at(self, iteration: int) -> int:
        """Environment steps after an iteration of the current training, those of earlier ones included."""
        return self._steps.at(iteration)

    def log_video(self, tag: str, frames: np.ndarray, step: int, fps: float) -> None:
        """Queues a video for every backend."""
        self._forwarder.log_video(tag, frames, step, fps)

    def phase(self, phase: str) -> None:
        """Tells every backend what is being done now."""
        if phase == "ending":  # a moment, in which callbacks save
            return
        is_new, self._phase = phase != self._phase, phase
        if phase == "training":
            self._stopwatch.skip()
        if is_new and self.name is not None:
            self._forwarder.log_phase(phase)

    def log_own(self, scalars: Mapping[str, Any], step: Any) -> None:
        """Queues a user's scalars, those that are numbers; the others are warned of."""
        numbers = {tag: one_number(value) for tag, value in scalars.items() if isinstance(tag, str)}
        found = {tag: number for tag, number in numbers.items() if number is not None}
        for tag, value in scalars.items():
            if tag not in found:
                _warn(f"log: {shown(tag)}: not a number by a name (got {shown(value)}); left out", 3)
        try:
            self.log([(check_value("step", step, 0), found)])
        except SettingError as error:
            _warn(f"log: {error}; left out", 3)

    def log(self, records: list[Record]) -> None:
        """Queues records for every backend."""
        self._forwarder.log(lambda: records)

    def sync(self, seconds: float) -> bool:
        """Waits until what was logged is written, see `Forwarder.sync`."""
        return self._forwarder.sync(seconds)

    def log_finite(self, records: list[Record], *, of_iterations: bool = False) -> None:
        """Queues records, up to the first value that is not finite.

        Args:
            records: The records.
            of_iterations: Whether they are those of iterations, which always have a learning rate.

        Raises:
            ValueError: There is one.
        """
        found = first_not_finite(records)
        finite = records if found is None else records[: found[0]]
        if of_iterations:
            with_learning_rate(finite)
        self.log(finite)
        if found is not None:
            tag, value = next(iter(found[1].items()))
            raise ValueError(f"{tag}: not finite at step {records[found[0]][0]} (got {value})")

    def next_due(self, iteration: int) -> int | None:
        """The first iteration after `iteration` at which a video is due."""
        return None if self.video is None else self.video.next_due(iteration)

    def record_video(self, env: Any, policy: Any, iteration: int) -> None:
        """Records a clip of a policy: it is copied here, and played and drawn on another thread."""
        if self.video is not None:
            self.video.record(env, policy, self._steps.at(iteration))

    def finish_videos(self, *, drop: bool = False, seconds: float | None = None) -> VideoCounts:
        """Makes the videos that wait, in a phase of its own.

        Args:
            drop: Give them up instead, at once.
            seconds: Make the first and the newest only, within this time.

        Returns:
            What became of the videos of this run.
        """
        if self.video is None:
            return VideoCounts()
        self._asked_for_counts = True
        if drop:
            self.video.drop()
        elif self.video.waiting:
            self._encode(self.video, seconds)
        return self.video.counts

    def _encode(self, video: VideoRecorder, seconds: float | None) -> None:
        total = video.waiting if seconds is None else min(video.waiting, 2)
        tell = lambda: self.phase(f"encoding {max(total - video.waiting, 0)}/{total}")
        video.finish(tell, seconds)

    def receive(self, message: Any, times: np.ndarray, running: np.ndarray | None) -> None:
        """Takes what the traced half emits."""
        match message:
            case TrainingStart():
                self._start(message)
            case IterationScalars():
                self._iterations(message, times, running)
            case PlayedClip() if self.video is not None:
                step = self._steps.at(int(message.iteration[0]))
                self.video.receive(message, step)

    def close(self) -> None:
        """Makes the videos that wait, and ends the run in every backend; one that hangs is left behind."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self._close_at_exit)
        try:
            if self.video is not None:
                self._close_videos(self.video)
        finally:
            self._forwarder.close(time.monotonic() + CLOSE_SECONDS)

    def _close_videos(self, video: VideoRecorder) -> None:
        was_asked = self._asked_for_counts
        counts = self.finish_videos()
        video.close()
        video.tell()
        if not was_asked and counts.made + counts.failed < counts.due:
            _warn(f"videos: {counts.text()}", 3)

    def _close_at_exit(self) -> None:
        if hasattr(sys, "last_type"):  # an exception ends the program: nobody waits for videos
            self.finish_videos(drop=True)
        self.close()

    def _start(self, message: TrainingStart) -> None:
        if self.name is None:
            self.open(generated_name(*message.names))
        done, total = int(np.max(message.done)), int(np.max(message.total))
        self._steps.start(message.steps_per_iteration, done)
        self._stopwatch.start(self._elapsed or 0.0, self._since)
        if self._goes_on and (done or self._elapsed is not None):
            self._forwarder.resume(self._steps.at(done))
        self._elapsed, self._since, self._goes_on = None, None, False
        self._forwarder.on_training_start(self._steps.at(total), total)
        if not self._plain:
            self._forwarder.log_hparams(self._hparams | message.hparams())

    def _iterations(self, message: IterationScalars, times: np.ndarray, running: np.ndarray | None) -> None:
        if self._phase is None:  # nobody tells where training is traced as a whole
            self.phase("training")
        iterations = len(times) if running is None else int(running.sum())
        lap = self._stopwatch.lap(times, iterations * self._steps.per_iteration)
        steps = self._steps.after(np.asarray(message.iteration), running)
        if self._plain:
            self.log_finite(records_of(message, running, steps), of_iterations=True)
        else:
            self._forwarder.log(self._records, message, running, steps, lap)
        if self.video is not None:
            self.video.tell()
            if running is not None:
                self.video.refuse("several trainings are mapped by jax.vmap")

    def _records(
        self, message: IterationScalars, running: np.ndarray | None, steps: list[int], lap: Lap
    ) -> list[Record]:
        """On the forwarder's thread."""
        records = records_of(message, running, steps)
        found = first_not_finite(records) if self._all_finite else None
        if found is not None:
            self._all_finite = False
            text = f"not finite from step {steps[found[0]]} on: {', '.join(found[1])}"
            self._forwarder.warn_later(text, NotFiniteWarning)
        with_learning_rate(records)
        lap.add_to(records)
        return records


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, LeraxWarning, stacklevel=stacklevel + 1)
