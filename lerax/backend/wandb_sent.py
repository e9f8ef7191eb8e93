"""What W&B was given of a run."""

import os

BYTES = 128  # of the file


class Sent:
    """What W&B, which takes nothing back, was given of a run: kept in a file, so that it gets nothing twice.

    Args:
        path: The file; made if it is missing.
    """

    def __init__(self, path: str):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self.rows, step, count, self._video = map(int, os.pread(self._file, BYTES, 0).split())
        except ValueError:  # nothing yet
            self.rows, step, count, self._video = 0, -1, 0, -1
        self._row = step, count  # the furthest: its step, and how many of that step there were with it
        self._old_row, self._old_video = (-1, 0), -1  # up to which all was given before

    def resume(self, step: int) -> None:
        """The run goes on from a step."""
        self._old_video = self._video
        if self._row[0] > step:
            self._old_row, self._row = self._row, (-1, 0)

    def takes(self, step: int) -> bool:
        """Whether a row is new."""
        last, count = self._row
        if step >= last:  # a value of the past may come late
            self._row = step, count + 1 if step == last else 1
        return self._counted(self._row > self._old_row)

    def takes_video(self, step: int) -> bool:
        """Whether a video is new."""
        self._video = max(self._video, step)
        return self._counted(step > self._old_video)

    def keep(self) -> None:
        """Writes it down."""
        step, count = max(self._row, self._old_row)
        text = f"{self.rows} {step} {count} {self._video}"
        os.pwrite(self._file, text.ljust(BYTES).encode(), 0)

    def _counted(self, is_new: bool) -> bool:
        self.rows += is_new
        return is_new
