"""The checkpoints of a run: written while training goes on, and found again."""

import contextlib
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from . import archive, checkpoint
from .archive import SEGMENTS, CheckpointError, Entry, Segments
from .archive.copies import Copies
from .archive.folder import best_of, files_in, path_at, segments_of, steps_of
from .errors import LossWarning, SettingError

NICENESS = 10  # of the thread that writes, above the others'


@dataclass(frozen=True)
class _Task:
    """A state that is to be written."""

    path: Path
    arrays: list[tuple[Entry, memoryview]]
    metadata: dict[str, Any]
    before_publish: Callable[[], object] | None
    copies: Copies  # whose the arrays are


class Checkpoints:
    """The checkpoints of one run, each in a file `{steps:012d}.lerax`, which share segments.

    Only one process at a time may save; others may read.

    Args:
        folder: Where they are; it is made by the first that is saved.
        keep: How many of the newest are kept, beside the one of the best score.
        on_error: Called with what went wrong with a save, by the thread that writes.

    Attributes:
        failures: What went wrong with saves so far.
    """

    def __init__(
        self, folder: str | Path, keep: int = 2, on_error: Callable[[CheckpointError], object] | None = None
    ):
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise SettingError("keep", keep, "1 or more")
        self.folder, self.keep, self.on_error = Path(folder), keep, on_error
        self.failures: list[CheckpointError] = []
        self._segments = Segments(self.folder / SEGMENTS)
        self._changed = threading.Condition()
        self._waiting: _Task | None = None
        self._copies = Copies()  # of the state that was written last
        self._writes = False
        self._newest_failed = False
        self._said = self._more = 0
        self._reason: tuple[type | None, int | None] | None = None  # of the last that was said

    def save(
        self,
        state: PyTree,
        metadata: dict[str, Any],
        before_publish: Callable[[], object] | None = None,
    ) -> None:
        """Copies the arrays of a state and returns; a thread writes them, and removes what is not kept.

        The copy stays for the next save, which copies and hashes only what has changed, until `release`.
        While it still writes the one before, this one waits, and takes the place of another that waits. A
        save that fails is in `failures` and said as a `LossWarning` by the next call of `save` or `wait`;
        older ones stay.

        Args:
            state: Any tree; only its arrays are saved.
            metadata: Anything that JSON can hold; `steps` names the file, and `score`, which may be None, is
                the better the higher it is.
            before_publish: Called by the thread that writes, when nothing is to be seen yet.

        Raises:
            ValueError: The metadata hold no `steps`, of 0 or more.
            TypeError: An array holds Python objects, or the metadata something that JSON cannot hold.
        """
        steps = metadata.get("steps")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise SettingError("metadata['steps']", steps, "a whole number of 0 or more")
        metadata = json.loads(json.dumps(metadata))  # a copy, too
        copies = self._free()
        arrays = checkpoint.arrays_of(state, copies.of)
        task = _Task(path_at(self.folder, steps), arrays, metadata, before_publish, copies)
        with self._changed:
            self._waiting = task
            if not self._writes:
                self._writes = True
                threading.Thread(target=self._work, name="checkpoints", daemon=True).start()
        self.say(all=False)

    def _free(self) -> Copies:
        """Copies that nobody reads: of a state that waits, whose place the next one takes; of the last."""
        with self._changed:
            task, self._waiting = self._waiting, None
            if task:
                return task.copies
            return Copies() if self._writes else self._copies

    def release(self) -> None:
        """Gives back the memory of the last state's copy; the next save copies and hashes everything."""
        self._copies = Copies()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until nothing is left to be written.

        Args:
            seconds: The longest; without it, as long as it takes.

        Returns:
            Whether the last that was handed over is on the disk.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: not self._writes, seconds)
        self.say()
        return done and not self._newest_failed

    @property
    def error(self) -> CheckpointError | None:
        """What went wrong with the last save that has come to its end."""
        return self.failures[-1] if self._newest_failed else None

    def say(self, *, all: bool = True) -> None:
        """Warns of the saves that have failed since the last time.

        Args:
            all: Say it also where the one before has failed for the same reason, of all such together.
        """
        for error in self.failures[self._said :]:
            self._said += 1
            reason = (type(error.__cause__), getattr(error.__cause__, "errno", None))
            if reason == self._reason:
                self._more += 1
                continue
            self._reason = reason
            warnings.warn(f"a checkpoint is not saved: {error}", LossWarning, stacklevel=3)
        if all and self._more:
            more, self._more = self._more, 0
            warnings.warn(
                f"{more} more checkpoints are not saved for the same reason", LossWarning, stacklevel=3
            )

    def _work(self) -> None:
        """Writes what waits, until nothing does."""
        _be_nice()
        try:
            while task := self._next():
                error = self._write(task)
                self._copies = task.copies
                task = None  # its arrays
                self._newest_failed = error is not None
                if error:
                    self.failures.append(error)
                    if self.on_error:
                        self.on_error(error)
        except BaseException:  # of `on_error`, which is somebody else's: Python says it
            self._end()
            raise

    def _next(self) -> _Task | None:
        with self._changed:
            task, self._waiting = self._waiting, None
            if task is None:
                self._end()
            return task

    def _end(self) -> None:
        with self._changed:
            self._writes = False
            self._changed.notify_all()

    def _write(self, task: _Task) -> CheckpointError | None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            archive.write(
                task.path,
                task.arrays,
                task.metadata,
                segments=self._segments,
                known=task.copies.known,
                before_publish=task.before_publish,
            )
        except Exception as error:  # whatever it is, it is said, and training goes on
            failure = CheckpointError(task.path, f"cannot be written ({error})")
            failure.__cause__ = error
            return failure
        finally:
            self._clean(task.metadata["steps"])
        return None

    def _clean(self, steps: int) -> None:
        """Removes what is not kept of the checkpoints up to a step; later ones are of an earlier try."""
        try:
            best = self.best()
            for path in [path for path in self.all() if steps_of(path) <= steps][: -self.keep]:
                if path != best:
                    path.unlink(missing_ok=True)
            self._segments.remove_others(segments_of(self.all()))
        except (OSError, CheckpointError):
            pass  # the next save tries again; as long as one cannot be read, nobody knows its segments

    def all(self) -> list[Path]:
        """The files, in the order of their steps."""
        return files_in(self.folder)

    def newest(self) -> Path | None:
        """The one of the most steps."""
        return max(self.all(), key=steps_of, default=None)

    def best(self) -> Path | None:
        """The one of the best score, of several the newest; None where none has a score."""
        return best_of(self.all())

    def at(self, step: int) -> Path | None:
        """The one of so many steps."""
        path = path_at(self.folder, step)
        return path if path.is_file() else None

    def load_newest(self, like: PyTree) -> tuple[PyTree, dict[str, Any], list[CheckpointError]]:
        """Loads the newest that can be loaded.

        Args:
            like: As `lerax.checkpoint.load` takes it.

        Returns:
            The state, its metadata, and what is wrong with each newer one.

        Raises:
            CheckpointError: There is none.
            TypeError: `like` is a class.
        """
        skipped: list[CheckpointError] = []
        for path in reversed(self.all()):
            try:
                return *checkpoint.load_with_metadata(path, like), skipped
            except CheckpointError as error:
                skipped.append(error)
            except OSError as error:
                skipped.append(CheckpointError(path, f"cannot be read ({error.strerror})"))
        raise skipped[0] if skipped else CheckpointError(self.folder, "holds no checkpoint")


def _be_nice() -> None:
    """Lets other threads go first, where the system can do that for one of them."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
