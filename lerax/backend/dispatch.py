"""Puts a queue and a thread of its own before each backend, so that no fault of theirs reaches training."""

import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from lerax.errors import LeraxWarning, LossWarning
from lerax.files import is_of_the_disk

from .base import AbstractLoggingBackend

MAX_RECORDS = 100_000  # that wait for one backend; more are dropped and counted
MAX_ERRORS = 3  # in a row, after which a backend is switched off
OPEN_SECONDS = 30.0
CLOSE_SECONDS = 8.0  # well within the 10 in which the process has to end

Records = Sequence[tuple[int, dict[str, float]]]


class BackendError(RuntimeError):
    """A backend could not be opened."""


class Dispatcher:
    """Forwards everything to a backend on a daemon thread; never blocks, except in `open` and `join`.

    Whatever goes wrong with the backend is said in one warning: by `tell` when it is switched off, or else
    in `join`. Nothing else warns.

    Args:
        backend: The backend.

    Attributes:
        backend: The backend.
        label: What it is called in warnings.
        disabled: Why it is switched off; None while it is not.
    """

    def __init__(self, backend: AbstractLoggingBackend):
        self.backend = backend
        self.label = type(backend).__name__
        self.disabled: str | None = None
        self._queue: queue.SimpleQueue[tuple[Callable[..., None], tuple] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._lost = 0  # records in the queue, and records that were not logged
        self._clips = 0  # videos in the queue
        self._no_videos: str | None = None  # why this backend takes no more of them
        self._errors, self._error = 0, ""
        self._warning: type[LeraxWarning] = LeraxWarning
        self._said = self._said_of_videos = False
        self._is_open = self._left_behind = False
        self._opened, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._work, daemon=True, name=f"lerax {self.label}").start()

    def open(self, name: str, timeout: float = OPEN_SECONDS) -> None:
        """Opens the backend and waits until it is.

        Raises:
            BackendError: It failed, or took longer than `timeout` seconds; it is switched off then.
        """
        self._queue.put((self._open, (name,)))
        if not self._opened.wait(timeout):
            self.disabled = f"open took longer than {timeout:g} s"
        if self.disabled is not None:
            self._said = True
            raise BackendError(f"{self.label}: not opened ({self.disabled})")

    def call(self, method: str, *arguments: Any) -> None:
        """Queues a call of one of the backend's methods."""
        if self.disabled is None:
            self._queue.put((getattr(self.backend, method), arguments))

    def log_records(self, records: Records) -> None:
        """Queues the scalars of several iterations, to be flushed together."""
        with self._lock:
            fits = self.disabled is None and self._waiting + len(records) <= MAX_RECORDS
            if fits:
                self._waiting += len(records)
            else:
                self._lost += len(records)
        if fits:
            self._queue.put((self._log_records, (records,)))

    def log_video(self, tag: str, frames: Any, step: int, fps: float) -> None:
        """Queues a video."""
        if self.disabled is None and self._no_videos is None:
            with self._lock:
                self._clips += 1
            self._queue.put((self._log_video, (tag, frames, step, fps)))

    @property
    def takes_videos(self) -> bool:
        """Whether the backend has a use for videos, and none has failed."""
        own = type(self.backend).log_video is not AbstractLoggingBackend.log_video
        return own and self.disabled is None and self._no_videos is None

    @property
    def takes_whole_videos(self) -> bool:
        """Whether it takes videos, and gets them by `log_video`: one after the other, as its scalars."""
        own = type(self.backend).video_writer is not AbstractLoggingBackend.video_writer
        return self.takes_videos and not own

    def refuse_videos(self, error: BaseException) -> None:
        """Gives the backend no more videos, because of an error that `tell` says."""
        self._no_videos = self._no_videos or self._text(error)

    def leave_behind(self, why: str) -> None:
        """Switches off a backend that hangs: nobody waits for it any more."""
        if self.disabled is None:
            self.disabled, self._left_behind = f"left behind: {why}", True

    @property
    def has_clip(self) -> bool:
        """Whether a video waits for the backend, or is being written by it."""
        return self.disabled is None and self._clips > 0

    def finish(self) -> None:
        """Lets the backend work off what is queued and close; returns at once."""
        self._queue.put(None)

    def join(self, deadline: float) -> None:
        """Waits for the end of `finish`, and says what was lost, if anything.

        Args:
            deadline: `time.monotonic()` at which a backend that hangs is left behind.
        """
        not_opened = self.disabled is not None and not self._opened.is_set()  # then `open` has waited
        hung_before = not_opened or self._left_behind
        ended = not hung_before and self._closed.wait(max(0.0, deadline - time.monotonic()))
        if not ended:
            self.leave_behind("still busy long after the end")
        with self._lock:
            lost = self._lost + self._waiting
        self.tell(f"; {lost} records were not logged" if lost else "")
        if not self._said and (lost or self._error):
            self._warn(f"{self.label}: {lost} records were not logged ({self._error or 'too many at once'})")

    def tell(self, addition: str = "") -> None:
        """Warns once of what went wrong.

        Args:
            addition: More about a backend that is switched off.
        """
        if self.disabled is not None and not self._said:
            self._said = True
            self._warn(f"{self.label} is switched off ({self.disabled}){addition}; training goes on")
        elif self._no_videos is not None and not self._said_of_videos:
            self._said_of_videos = True
            self._warn(f"{self.label} takes no more videos ({self._no_videos}); training goes on")

    def _open(self, name: str) -> None:
        try:
            self.backend.open(name)
            self._is_open = True
        except BaseException as error:  # an exit, too, would end this thread
            self.disabled = f"{type(error).__name__}: {error}"
        self._opened.set()

    def _log_records(self, records: Records) -> None:
        logged = False
        try:
            if self.disabled is None:
                for step, scalars in records:
                    self.backend.log_scalars(scalars, step)
                self.backend.flush()
                logged, self._errors = True, 0
        finally:
            with self._lock:
                self._waiting -= len(records)
                self._lost += 0 if logged else len(records)

    def _log_video(self, *arguments: Any) -> None:
        try:
            self.backend.log_video(*arguments)
        finally:
            with self._lock:
                self._clips -= 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            function, arguments = item
            if self.disabled is None or function == self._log_records:
                self._try(function, arguments)
        if self._is_open:
            self._try(self.backend.close, ())
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
            if self._errors == MAX_ERRORS and self.disabled is None:
                self.disabled = self._error

    def _text(self, error: BaseException) -> str:
        """What to say of an error; one of the disk makes the warnings those of a loss."""
        if hasattr(self.backend, "log_dir") and is_of_the_disk(error):
            self._warning = LossWarning
        return f"{type(error).__name__}: {error}"

    def _warn(self, text: str) -> None:
        warnings.warn(text, self._warning, stacklevel=3)
