"""Videos of policies at play, streamed to a file frame by frame, and pictures of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray

from lerax.env import AbstractEnvLike
from lerax.player import Episode, Moment, players_of
from lerax.policy import AbstractPolicy
from lerax.render import (
    AbstractFrameSource,
    Spread,
    VideoFacts,
    side_by_side,
    tiled,
    together,
    write_picture,
    write_video,
)
from lerax.render.inline import shown_inline
from lerax.settings import check_count


class Recording(NamedTuple):
    """What was recorded. A notebook shows the video.

    Attributes:
        video: What the file holds.
        episodes: How they went, policy by policy.
        path: The file.
    """

    video: VideoFacts
    episodes: list[Episode]
    path: Path

    def _repr_html_(self) -> str | None:
        frames, fps, width, height = self.video
        return shown_inline(
            self.path, f"{frames} frames, {fps:g} a second, {width}x{height}{_returns(self.episodes)}"
        )


class Picture(NamedTuple):
    """What a picture shows. A notebook shows the picture.

    Attributes:
        steps: For each moment that it shows, the steps of its episode until then.
        width: Pixels.
        height: Pixels.
        episodes: How the episodes went, policy by policy.
        path: The file.
    """

    steps: list[int]
    width: int
    height: int
    episodes: list[Episode]
    path: Path

    def _repr_html_(self) -> str | None:
        return shown_inline(self.path, f"{self.width}x{self.height}{_returns(self.episodes)}")


def _returns(episodes: list[Episode]) -> str:
    """The end of a caption: what each episode came to."""
    each = [f"{one.policy} {one.total:.4g}".strip() for one in episodes]
    return f"; return {', '.join(each[:8])}{', ...' if len(each) > 8 else ''}" if each else ""


def record(
    path: str | Path,
    env: AbstractEnvLike,
    policies: Sequence[tuple[str, AbstractPolicy]],
    renderer: AbstractFrameSource,
    *,
    key: PRNGKeyArray,
    episodes: int = 1,
    steps: int | None = None,
    fps: float | None = None,
    deterministic: bool = True,
    overlay: bool = False,
    on_frame: Callable[[], None] | None = None,
) -> Recording:
    """Records policies at play, each episode from its initial state to the one that it ends in.

    Several policies play the same episodes side by side; one whose episode is over stays as it ended until
    the others' are. The memory that an mp4 takes does not grow with its length.

    Args:
        path: The video, an `.mp4` or a `.gif`; a file there is replaced.
        env: The environment.
        policies: The policies, each with a name, which is written on its frames if there are several.
        renderer: What to draw with, such as `lerax.render.headless_renderer(env)`; it is left open.
        key: PRNG key: the same key gives the same video.
        episodes: How many whole episodes, each cut after 10,000 steps.
        steps: How many steps instead, in as many episodes as they take.
        fps: Frames per second; by default the environment's.
        deterministic: Take the most probable action instead of a sample; a `RandomPolicy` samples always.
        overlay: Write step, reward and return on the frames.
        on_frame: Called for each frame; if it raises, nothing is left of the video.

    Returns:
        What the file holds, and how each episode of each policy went.

    Raises:
        ValueError: There is no policy, or something is out of range.
        RenderError: The environment cannot be drawn, or the video not be encoded.
        OSError: The video cannot be written.
    """
    _check(episodes=episodes, steps=steps)
    players = players_of(env, policies, renderer, key, deterministic, overlay)

    def frames() -> Iterator[np.ndarray]:
        for number in range(episodes if steps is None else 1):
            for frame in side_by_side(
                [map(player.picture, player.play(number, steps)) for player in players]
            ):
                if on_frame is not None:
                    on_frame()
                yield frame

    video = write_video(path, frames(), env.render_fps if fps is None else fps)
    return Recording(video, [played for player in players for played in player.played], Path(path))


def take_picture(
    path: str | Path,
    env: AbstractEnvLike,
    policies: Sequence[tuple[str, AbstractPolicy]],
    renderer: AbstractFrameSource,
    *,
    key: PRNGKeyArray,
    steps: int | None = None,
    sheet: tuple[int, int] | None = None,
    deterministic: bool = True,
    overlay: bool = False,
    on_frame: Callable[[], None] | None = None,
) -> Picture:
    """Draws a moment of policies at play, or a contact sheet of several, evenly spread from first to last.

    They play as for `record`: a picture shows frames of the video that the same arguments give.

    Args:
        path: The picture, a `.png`; a file there is replaced.
        env: The environment.
        policies: The policies, each with a name; several stand side by side.
        renderer: What to draw with, such as `lerax.render.headless_renderer(env)`; it is left open.
        key: PRNG key: the same key gives the same picture.
        steps: Show what is there after so many steps, in as many episodes as they take; on a sheet what is
            there until then. By default it is one episode, cut after 10,000 steps, and the middle of it.
        sheet: Columns and rows of a contact sheet, whose pictures follow each other line by line.
        deterministic: Take the most probable action instead of a sample; a `RandomPolicy` samples always.
        overlay: Write step, reward and return on the pictures.
        on_frame: Called for each frame that the video would have; if it raises, there is no picture.

    Returns:
        What the picture shows.

    Raises:
        ValueError: There is no policy, something is out of range, or the name has another ending.
        RenderError: The environment cannot be drawn, or the picture not be encoded.
        OSError: The picture cannot be written.
    """
    columns, rows = sheet or (1, 1)
    _check(steps=steps, columns=columns, rows=rows)
    players = players_of(env, policies, renderer, key, deterministic, overlay)
    kept = Spread[list[Moment]]()
    for moments in together([player.play(0, steps) for player in players]):
        if on_frame is not None:
            on_frame()
        kept.add(moments)
    last = kept.count - 1
    one = last // 2 if steps is None else last
    wanted = [one] if sheet is None else [round(i) for i in np.linspace(0, last, columns * rows)]
    shown = [kept[number] for number in dict.fromkeys(wanted)]
    frames = [
        tiled([player.picture(moment) for player, moment in zip(players, moments, strict=True)])
        for moments in shown
    ]
    picture = tiled(frames, columns)
    write_picture(path, picture)
    episodes = [played for player in players for played in player.played]
    steps_shown = [max(moment.step for moment in moments) for moments in shown]
    return Picture(steps_shown, picture.shape[1], picture.shape[0], episodes, Path(path))


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None:
            check_count(name, value, 1)
