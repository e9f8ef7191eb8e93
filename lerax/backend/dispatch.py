"""Puts a queue and a thread of its own before each backend, so that no fault of theirs reaches training."""

import enum
import queue
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lerax.errors import LeraxWarning, LossWarning, SettingError
from lerax.files import is_of_the_disk

from .base import AbstractLoggingBackend

MAX_RECORDS = 100_000  # that wait for one backend; more are dropped and counted
MAX_ERRORS = 3  # in a row, after which a backend is switched off
OPEN_SECONDS = 30.0
CLOSE_SECONDS = 8.0  # well within the 10 in which the process has to end

Records = Sequence[tuple[int, dict[str, float]]]

_taken: "list[Dispatcher]" = []  # whose backends are theirs alone: what two runs wrote would be mixed up
_taking = threading.Lock()


class BackendError(RuntimeError):
    """A backend could not be opened."""


class Status(enum.Enum):
    """Where a backend stands, for its own thread and those that call its dispatcher."""

    NEW = "not opened yet"
    OPEN = "takes what it is given"
    UNOPENED = "could not be opened"
    OFF = "is given nothing more, but closed at the end"
    HANGS = "the same, and nobody waits for it"


class Dispatcher:
    """Forwards everything to a backend on a daemon thread; never blocks, except in `open` and `join`.

    Whatever goes wrong with the backend is said in one warning: by `tell` when it is switched off, or else
    in `join`. Nothing else warns.

    Args:
        backend: The backend.

    Attributes:
        backend: The backend.
        label: What it is called in warnings.
        status: Where it stands.
    """

    def __init__(self, backend: AbstractLoggingBackend):
        self.backend = backend
        self.label = type(backend).__name__
        self.status = Status.NEW
        self._queue: queue.SimpleQueue[tuple[Callable[..., None], tuple] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._lost = 0  # records in the queue, and records that were not logged
        self._clips = 0  # videos in the queue
        self._why_off = self._why_no_videos = ""
        self._errors, self._error = 0, ""
        self._warning: type[LeraxWarning] = LeraxWarning
        self._said: set[str] = set()  # what was warned of
        self._opened, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._work, daemon=True, name=f"lerax {self.label}").start()

    @property
    def is_off(self) -> bool:
        """Whether the backend is given nothing more."""
        return self.status not in (Status.NEW, Status.OPEN)

    def take(self) -> None:
        """Makes the backend this one's alone, until it is closed.

        Raises:
            SettingError: It is another one's.
        """
        with _taking:
            if any(one.backend is self.backend for one in _taken):
                hint = "close the callback that has it, or make another backend"
                raise SettingError(
                    "backend", self.backend, wrong="already in use", hint=hint, said=self.label
                )
            _taken.append(self)

    def open(self, name: str, timeout: float = OPEN_SECONDS) -> None:
        """Opens the backend and waits until it is.

        Raises:
            BackendError: It failed, or took longer than `timeout` seconds; it is switched off then.
        """
        self._queue.put((self._open, (name,)))
        if not self._opened.wait(timeout):
            self._switch_off(Status.HANGS, f"open took longer than {timeout:g} s")
        if self.is_off:
            self._said.add("off")
            raise BackendError(f"{self.label}: not opened ({self._why_off})")

    def resume(self, step: int) -> None:
        """Queues that the run goes on from a step."""
        self._put(self.backend.resume, step)

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        """Queues how long training will be."""
        self._put(self.backend.on_training_start, total_timesteps, total_iterations)

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Queues hyperparameters."""
        self._put(self.backend.log_hparams, hparams)

    def log_phase(self, phase: str) -> None:
        """Queues what is being done now."""
        self._put(self.backend.log_phase, phase)

    def log_records(self, records: Records) -> None:
        """Queues the scalars of several iterations, to be flushed together."""
        with self._lock:
            fits = not self.is_off and self._waiting + len(records) <= MAX_RECORDS
            if fits:
                self._waiting += len(records)
            else:
                self._lost += len(records)
        if fits:
            self._put(self._log_records, records)

    def log_video(self, tag: str, frames: Any, step: int, fps: float) -> None:
        """Queues a video."""
        if not self.is_off and not self._why_no_videos:
            with self._lock:
                self._clips += 1
            self._put(self._log_video, tag, frames, step, fps)

    def sync(self) -> "Future[bool]":
        """Queues a flush; gives what says when it is done, and whether it went well or was in vain."""
        done: Future[bool] = Future()
        if self.status is Status.OPEN:
            self._queue.put((self._sync, (done,)))
        else:
            done.set_result(True)
        return done

    @property
    def takes_videos(self) -> bool:
        """Whether the backend has a use for videos, and none has failed."""
        own = type(self.backend).log_video is not AbstractLoggingBackend.log_video
        return own and not self.is_off and not self._why_no_videos

    @property
    def takes_whole_videos(self) -> bool:
        """Whether it takes videos, and gets them by `log_video`: one after the other, as its scalars."""
        own = type(self.backend).video_writer is not AbstractLoggingBackend.video_writer
        return self.takes_videos and not own

    def refuse_videos(self, error: BaseException) -> None:
        """Gives the backend no more videos, because of an error that `tell` says."""
        self._why_no_videos = self._why_no_videos or self._text(error)

    def leave_behind(self, why: str) -> None:
        """Switches off a backend that hangs: nobody waits for it any more."""
        self._switch_off(Status.HANGS, f"left behind: {why}")

    @property
    def has_clip(self) -> bool:
        """Whether a video waits for the backend, or is being written by it."""
        return not self.is_off and self._clips > 0

    def finish(self) -> None:
        """Lets the backend work off what is queued and close; returns at once."""
        self._queue.put(None)

    def join(self, deadline: float) -> None:
        """Waits for the end of `finish`, and says what was lost, if anything.

        Args:
            deadline: `time.monotonic()` at which a backend that hangs is left behind.
        """
        hangs = self.status is Status.HANGS  # then it was waited for before
        if hangs or not self._closed.wait(max(0.0, deadline - time.monotonic())):
            self.leave_behind("still busy long after the end")
        with self._lock:
            lost = self._lost + self._waiting
        self.tell(f"; {lost} records were not logged" if lost else "")
        if lost or self._error:
            text = f"{self.label}: {lost} records were not logged ({self._error or 'too many at once'})"
            self._warn_once("off", text)

    def tell(self, addition: str = "") -> None:
        """Warns once of what went wrong.

        Args:
            addition: More about a backend that is switched off.
        """
        if self.is_off:
            text = f"{self.label} is switched off ({self._why_off}){addition}; training goes on"
            self._warn_once("off", text)
        elif self._why_no_videos:
            text = f"{self.label} takes no more videos ({self._why_no_videos}); training goes on"
            self._warn_once("no videos", text)

    def _put(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self.is_off:
            self._queue.put((function, arguments))

    def _switch_off(self, status: Status, why: str) -> None:
        if not self.is_off:
            self._why_off, self.status = why, status  # in this order: other threads read both
            if status is Status.HANGS:
                self._try(self.backend.abandon, ())

    def _open(self, name: str) -> None:
        try:
            self.backend.open(name)
            self.status = Status.OFF if self.is_off else Status.OPEN  # the former where it took too long
        except BaseException as error:  # an exit, too, would end this thread
            self._why_off = self._why_off or f"{type(error).__name__}: {error}"
            self.status = Status.UNOPENED
        self._opened.set()

    def _log_records(self, records: Records) -> None:
        logged = False
        try:
            if not self.is_off:
                for step, scalars in records:
                    self.backend.log_scalars(scalars, step)
                self.backend.flush()
                logged, self._errors = True, 0
        finally:
            with self._lock:
                self._waiting -= len(records)
                self._lost += 0 if logged else len(records)

    def _sync(self, done: "Future[bool]") -> None:
        went_well = False
        try:
            if not self.is_off:
                self.backend.flush()
            went_well = True
        finally:
            done.set_result(went_well)

    def _log_video(self, *arguments: Any) -> None:
        try:
            self.backend.log_video(*arguments)
        finally:
            with self._lock:
                self._clips -= 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            function, arguments = item
            if not self.is_off or function in (self._log_records, self._sync):
                self._try(function, arguments)
        if self.status not in (Status.NEW, Status.UNOPENED):
            self._try(self.backend.close, ())
        with _taking:
            _taken[:] = [one for one in _taken if one is not self]
        self._closed.set()

    def _try(self, function: Callable[..., None], arguments: tuple) -> None:
        try:
            function(*arguments)
        except BaseException as error:
            if function == self._log_video:  # there may be no encoder; scalars need none
                self.refuse_videos(error)
                return
            self._error = self._text(error)
            self._errors += 1
            if self._errors == MAX_ERRORS:
                self._switch_off(Status.OFF, self._error)

    def _text(self, error: BaseException) -> str:
        """What to say of an error; one of the disk makes the warnings those of a loss."""
        if hasattr(self.backend, "log_dir") and is_of_the_disk(error):
            self._warning = LossWarning
        return f"{type(error).__name__}: {error}"

    def _warn_once(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warnings.warn(text, self._warning, stacklevel=3)
