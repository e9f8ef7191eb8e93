"""Puts a queue and a thread of its own before each backend, so that no fault of theirs reaches training."""

import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .base import AbstractLoggingBackend

MAX_RECORDS = 100_000  # that wait for one backend; more are dropped and counted
MAX_ERRORS = 3  # in a row, after which a backend is switched off
OPEN_SECONDS = 30.0
CLOSE_SECONDS = 10.0

Records = Sequence[tuple[int, dict[str, float]]]


class BackendError(RuntimeError):
    """A backend could not be opened."""


class Dispatcher:
    """Forwards everything to a backend on a daemon thread; never blocks, except in `open` and `close`.

    Args:
        backend: The backend.
        warn: Takes the one line said when the backend fails or loses records.
    """

    def __init__(self, backend: AbstractLoggingBackend, warn: Callable[[str], None] | None = None):
        self.backend = backend
        self.label = type(backend).__name__
        self.disabled: str | None = None
        self._warn = warn or (lambda text: warnings.warn(text, RuntimeWarning, stacklevel=2))
        self._queue: queue.SimpleQueue[tuple[Callable[..., None], tuple] | None] = queue.SimpleQueue()
        self._waiting = 0  # records in the queue
        self._dropped = 0
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._is_open = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"lerax {self.label}")
        self._thread.start()

    def open(self, name: str, timeout: float = OPEN_SECONDS) -> None:
        """Opens the backend and waits until it is.

        Raises:
            BackendError: It failed, or took longer than `timeout` seconds; it is switched off then.
        """
        self._put(self._open, name)
        if not self._opened.wait(timeout) and self.disabled is None:
            self.disabled = f"open took longer than {timeout:g} s"
        if self.disabled is not None:
            raise BackendError(f"{self.label}: not opened ({self.disabled})")

    def call(self, method: str, *arguments: Any) -> None:
        """Queues a call of one of the backend's methods."""
        self._put(getattr(self.backend, method), *arguments)

    def log_records(self, records: Records) -> None:
        """Queues the scalars of several iterations, to be flushed together."""
        with self._lock:
            if self.disabled is not None or self._waiting + len(records) > MAX_RECORDS:
                self._dropped += len(records)
                return
            self._waiting += len(records)
        self._put(self._log_records, records)

    def finish(self) -> None:
        """Lets the backend work off what is queued and close; returns at once."""
        self._queue.put(None)

    def join(self, deadline: float) -> None:
        """Waits for the end of `finish`, and says what was lost.

        Args:
            deadline: `time.monotonic()` at which a backend that hangs is left behind.
        """
        if not self._closed.wait(max(0.0, deadline - time.monotonic())):
            self._disable("still busy long after the end; left behind")
        if self._dropped:
            self._warn(f"{self.label}: {self._dropped} records were not logged")

    def _put(self, function: Callable[..., None], *arguments: Any) -> None:
        if self.disabled is None:
            self._queue.put((function, arguments))

    def _open(self, name: str) -> None:
        try:
            self.backend.open(name)
            self._is_open = True
        except Exception as error:
            self.disabled = f"{type(error).__name__}: {error}"
        finally:
            self._opened.set()

    def _log_records(self, records: Records) -> None:
        try:
            for step, scalars in records:
                self.backend.log_scalars(scalars, step)
            self.backend.flush()
        except Exception:
            self._dropped += len(records)
            raise
        finally:
            with self._lock:
                self._waiting -= len(records)

    def _work(self) -> None:
        errors = 0
        while (item := self._queue.get()) is not None:
            function, arguments = item
            try:
                if self.disabled is None:
                    function(*arguments)
                    errors = 0
            except Exception as error:
                errors += 1
                if errors == MAX_ERRORS:
                    self._disable(f"{type(error).__name__}: {error}")
        try:
            if self._is_open:
                self.backend.close()
        except Exception as error:
            self._disable(f"{type(error).__name__}: {error}")
        self._closed.set()

    def _disable(self, reason: str) -> None:
        if self.disabled is None:
            self.disabled = reason
            self._warn(f"{self.label} is switched off ({reason}); training goes on")
