"""Videos of policies at play, streamed to a file frame by frame, and pictures of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax import random as jr
from jaxtyping import PRNGKeyArray

from lerax import tree
from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.env.contract import check_env
from lerax.evaluate import episode
from lerax.policy import AbstractPolicy, RandomPolicy
from lerax.policy.base_policy import check_policy
from lerax.render import (
    AbstractFrameSource,
    Spread,
    VideoFacts,
    side_by_side,
    tiled,
    together,
    write_caption,
    write_picture,
    write_video,
)
from lerax.settings import check_count

from .errors import SettingError

EPISODE_STEPS = 10_000  # after which an episode that does not end is cut
BY_IMPORTANCE = 2, 0, 1  # return, step, reward: of the words on a frame


class Episode(NamedTuple):
    """How an episode went.

    Attributes:
        policy: Name of the policy.
        total: Sum of the rewards.
        length: Steps.
        finished: Whether it ended before the step limit.
    """

    policy: str
    total: float
    length: int
    finished: bool


class Recording(NamedTuple):
    """What was recorded.

    Attributes:
        video: What the file holds.
        episodes: How they went, policy by policy.
    """

    video: VideoFacts
    episodes: list[Episode]


class Picture(NamedTuple):
    """What a picture shows.

    Attributes:
        steps: For each moment that it shows, the steps of its episode until then.
        width: Pixels.
        height: Pixels.
        episodes: How the episodes went, policy by policy.
    """

    steps: list[int]
    width: int
    height: int
    episodes: list[Episode]


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
    players = _players(env, policies, renderer, key, deterministic, overlay)

    def frames() -> Iterator[np.ndarray]:
        for number in range(episodes if steps is None else 1):
            for frame in side_by_side(
                [map(player.picture, player.play(number, steps)) for player in players]
            ):
                if on_frame is not None:
                    on_frame()
                yield frame

    video = write_video(path, frames(), env.render_fps if fps is None else fps)
    return Recording(video, [played for player in players for played in player.played])


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
    players = _players(env, policies, renderer, key, deterministic, overlay)
    kept = Spread[list[_Moment]]()
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
    return Picture(steps_shown, picture.shape[1], picture.shape[0], episodes)


class _Moment(NamedTuple):
    """What can be drawn.

    Attributes:
        state: State of the environment.
        step: Steps of the episode until then.
        words: What is written on it.
    """

    state: AbstractEnvLikeState
    step: int
    words: tuple[str, ...]


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None:
            check_count(name, value, 1)


def _players(
    env: AbstractEnvLike,
    policies: Sequence[tuple[str, AbstractPolicy]],
    renderer: AbstractFrameSource,
    key: PRNGKeyArray,
    deterministic: bool,
    overlay: bool,
) -> "list[_Player]":
    check_env(env)
    pairs: list[Any] = [] if isinstance(policies, AbstractPolicy | type) else list(policies)
    if not pairs or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        hint = 'write [("trained", policy)]'
        raise SettingError("policies", policies, wrong="not policies with their names", hint=hint)
    for _, policy in policies:
        check_policy(policy, env)
    key = tree.typed_key(key)
    env_on_host, several = tree.on_host(env), len(policies) > 1
    return [
        _Player(name, policy, env, env_on_host, renderer, key, deterministic, overlay, several)
        for name, policy in policies
    ]


@dataclass
class _Player:
    """One policy at play, as frames."""

    name: str
    policy: AbstractPolicy
    env: AbstractEnvLike
    env_on_host: Any  # the environment with NumPy's arrays
    renderer: AbstractFrameSource
    key: PRNGKeyArray
    deterministic: bool
    overlay: bool
    labelled: bool
    played: list[Episode] = field(default_factory=list)

    def play(self, number: int, steps: int | None) -> Iterator[_Moment]:
        """An episode; or so many steps: episodes one after the other, the last one cut."""
        if steps is None:
            yield from self._episode(number, EPISODE_STEPS)
            return
        while steps > 0:
            yield from self._episode(number, steps)
            steps -= self.played[-1].length
            number += 1

    def _episode(self, number: int, limit: int) -> Iterator[_Moment]:
        """One episode, which is then in `played`."""
        steps = episode(
            self.env,
            self.policy,
            key=jr.fold_in(self.key, number),
            deterministic=self.deterministic and not isinstance(self.policy, RandomPolicy),
            max_steps=limit,
        )
        total, length, finished = 0.0, 0, False
        for length, step in enumerate(steps):
            total, finished = total + step.reward, step.done
            words = f"step {length}", f"reward {step.reward:.2f}", f"return {total:.1f}"
            yield _Moment(step.state, length, words if self.overlay else ())
        self.played.append(Episode(self.name, total, length, finished))

    def picture(self, moment: _Moment) -> np.ndarray:
        """Draws a moment: uint8, `[height, width, 3]`."""
        self.env_on_host.render(moment.state, self.renderer)
        frame = self.renderer.as_array()
        if moment.words:
            write_caption(frame, moment.words, importance=BY_IMPORTANCE)
        if self.labelled:
            write_caption(frame, [self.name], at_bottom=True)
        return frame
