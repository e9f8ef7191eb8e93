"""The videos that a report shows: the newest of a seed or a few, as far as there is room."""

from collections.abc import Sequence
from pathlib import Path

from lerax.runs import Run
from lerax.study.groups import Group

from .blocks import Block, Section, Text, Video

FOLDER = "videos"
SEEDS = 3  # of a training
GROWS = 4 / 3  # as text


def videos(groups: Sequence[Group], room: float) -> Section:
    """The newest videos of trainings: first one of each, then of their next seeds.

    Args:
        groups: The trainings.
        room: Bytes that all of them may take as text.
    """
    blocks: list[Block] = []
    left_out: list[str] = []
    with_videos = [[found for run in one.runs if (found := _newest(run))] for one in groups]
    for place in range(max(map(len, with_videos), default=0)):
        for some in with_videos:
            if place >= len(some):
                continue
            run, path = some[place]
            name = f"{run.name}, {path.name}"
            try:
                size = path.stat().st_size * GROWS
                if place >= SEEDS or size > room:
                    why = (
                        "one of more seeds"
                        if place >= SEEDS
                        else f"{size / 1e6:.1f} MB, for which there is no room"
                    )
                    left_out.append(f"{name} ({why})")
                    continue
                data = path.read_bytes()
            except OSError as error:
                left_out.append(f"{name} (cannot be read: {error.strerror})")
                continue
            if data[4:8] != b"ftyp":
                left_out.append(f"{name} (not an mp4 file)")
                continue
            blocks.append(Video(name, data))
            room -= size
    if left_out:
        blocks.append(Text(f"Left out: {'; '.join(left_out)}."))
    return Section("Policies at play", blocks, on_paper=False)


def _newest(run: Run) -> tuple[Run, Path] | None:
    """The video of a run that was made last, if it has one."""
    try:
        files = [path for path in (run.path / FOLDER).glob("*.mp4") if path.is_file()]
        return (run, max(files, key=lambda path: (path.stat().st_mtime, path.name))) if files else None
    except OSError:
        return None
