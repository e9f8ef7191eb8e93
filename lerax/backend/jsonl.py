"""One JSON object per line and iteration."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from .base import AbstractLoggingBackend

BUFFER_BYTES = 2**22  # more than a group of records takes, so that each group is one write


class JSONLBackend(AbstractLoggingBackend):
    """Appends to `{log_dir}/{run name}/metrics.jsonl`; values that are not finite become null.

    Args:
        log_dir: The folder that holds the runs.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._file: TextIO | None = None

    def open(self, name: str) -> None:
        path = self.log_dir / name / "metrics.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", encoding="utf-8", buffering=BUFFER_BYTES)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        assert self._file is not None
        finite = {tag: x if math.isfinite(x) else None for tag, x in scalars.items()}
        self._file.write(json.dumps({"step": step} | finite) + "\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
