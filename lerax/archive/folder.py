"""The files of a folder that holds the checkpoints of a run."""

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .reading import Archive, CheckpointError

SUFFIX = ".lerax"
NAME = re.compile(r"\d{12,20}\.lerax", re.ASCII)


def path_at(folder: Path, steps: int) -> Path:
    """The file of the checkpoint after so many steps, which need not be there."""
    return folder / f"{steps:012d}{SUFFIX}"


def steps_of(path: Path) -> int:
    """After how many steps a checkpoint was made, as its name says."""
    return int(path.stem)


def files_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder in the order of their steps; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if NAME.fullmatch(entry.name) and entry.is_file()]
    except FileNotFoundError:
        return []
    return sorted((folder / name for name in names), key=steps_of)


def best_of(paths: Iterable[Path]) -> Path | None:
    """The one of the best score, of several the newest; None where none has a score."""
    scores = [(score, steps_of(path), path) for path in paths if (score := _score(path)) is not None]
    return max(scores)[2] if scores else None


def segments_of(paths: Iterable[Path]) -> set[str]:
    """The names of the segments that checkpoints share.

    Raises:
        CheckpointError: One is damaged.
        OSError: One cannot be read.
    """
    names: set[str] = set()
    for path in paths:
        with Archive(path) as file:
            names.update(name for entry in file.entries for name in entry.segments)
    return names


def _score(path: Path) -> float | None:
    """The score of a checkpoint, as far as it can be read and is a finite number."""
    try:
        with Archive(path) as file:
            score = file.metadata["score"]
    except (OSError, CheckpointError, KeyError, TypeError):
        return None
    return score if isinstance(score, int | float) and math.isfinite(score) else None
