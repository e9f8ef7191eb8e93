"""One thread before all dispatchers, so that whoever logs wakes one thread and not one for each backend."""

import collections
import contextlib
import queue
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lerax.errors import LeraxWarning

from .base import AbstractLoggingBackend
from .dispatch import Dispatcher, Records


class Forwarder:
    """Gives everything to every backend's `Dispatcher`, in order, on a daemon thread; only `close` waits.

    Warnings come on the caller's thread, with the next thing that is to be forwarded or in `close`.

    Args:
        backends: Who gets it.

    Attributes:
        dispatchers: What stands before each of them; empty once this is closed.
    """

    def __init__(self, backends: Sequence[AbstractLoggingBackend]):
        self.dispatchers = [Dispatcher(backend) for backend in backends]
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._unsaid: collections.deque[tuple[str, type[LeraxWarning]]] = collections.deque()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="lerax forwarder")
        self._thread.start()

    def resume(self, step: int) -> None:
        """Queues that the run goes on from a step."""
        self._put(lambda: self._each(Dispatcher.resume, step))

    def on_training_start(self, total_timesteps: int, total_iterations: int) -> None:
        """Queues how long training will be."""
        self._put(lambda: self._each(Dispatcher.on_training_start, total_timesteps, total_iterations))

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Queues hyperparameters."""
        self._put(lambda: self._each(Dispatcher.log_hparams, hparams))

    def log_phase(self, phase: str) -> None:
        """Queues what is being done now."""
        self._put(lambda: self._each(Dispatcher.log_phase, phase))

    def log(self, records_of: Callable[..., Records], *arguments: Any) -> None:
        """Queues records, to be flushed together.

        Args:
            records_of: Makes them, on the thread of this forwarder.
            arguments: What it is given.
        """
        self._put(lambda: self._each(Dispatcher.log_records, records_of(*arguments)))

    def log_video(self, tag: str, frames: Any, step: int, fps: float) -> None:
        """Queues a video."""
        self._put(lambda: self._each(Dispatcher.log_video, tag, frames, step, fps))

    def sync(self, seconds: float) -> bool:
        """Waits until what was forwarded before is written, by every backend that still works; on any thread.

        Args:
            seconds: How long at most.

        Returns:
            Whether it is: a backend may hang, or its flush fail.
        """
        if self._closed:
            return not self.dispatchers
        deadline = time.monotonic() + seconds
        asked: queue.SimpleQueue[list[Future[bool]]] = queue.SimpleQueue()
        self._queue.put(lambda: asked.put([dispatcher.sync() for dispatcher in self.dispatchers]))
        with contextlib.suppress(TimeoutError, queue.Empty):
            flushes = asked.get(timeout=max(0.0, seconds))
            return all([flush.result(max(0.0, deadline - time.monotonic())) for flush in flushes])
        return False

    def warn_later(self, text: str, category: type[LeraxWarning] = LeraxWarning) -> None:
        """Has a warning said on the caller's thread."""
        self._unsaid.append((text, category))

    def close(self, deadline: float) -> None:
        """Lets every backend work off what is queued and close, and says what was lost.

        Args:
            deadline: `time.monotonic()` at which backends that hang are left behind.
        """
        self._closed = True
        self._queue.put(None)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._each(Dispatcher.finish)
        while self.dispatchers:
            self.dispatchers.pop(0).join(deadline)
        self._tell()

    def _each(self, method: Callable[..., None], *arguments: Any) -> None:
        for dispatcher in self.dispatchers:
            method(dispatcher, *arguments)

    def _put(self, forward: Callable[[], None]) -> None:
        self._tell()
        if not self._closed:
            self._queue.put(forward)

    def _tell(self) -> None:
        self._each(Dispatcher.tell)
        try:
            while self._unsaid:
                warnings.warn(*self._unsaid.popleft(), stacklevel=4)
        except IndexError:
            pass  # another thread has just said it

    def _work(self) -> None:
        while (forward := self._queue.get()) is not None:
            try:
                forward()
            except Exception as error:  # would end this thread
                self.warn_later(f"records were not logged ({type(error).__name__}: {error})")
