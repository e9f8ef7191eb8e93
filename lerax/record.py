"""Videos of policies at play, streamed to a file frame by frame."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax import random as jr
from jaxtyping import PRNGKeyArray

from lerax import tree
from lerax.env import AbstractEnvLike
from lerax.evaluate import episode
from lerax.policy import AbstractPolicy, RandomPolicy
from lerax.render import VideoFacts, side_by_side, write_caption, write_video

EPISODE_STEPS = 10_000  # after which an episode that does not end is cut


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


def record(
    path: str | Path,
    env: AbstractEnvLike,
    policies: Sequence[tuple[str, AbstractPolicy]],
    renderer: Any,
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
    for name, value in (("policies", len(policies)), ("episodes", episodes), ("steps", steps)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: must be at least 1 (got {value})")
    drawn, several = tree.on_host(env), len(policies) > 1
    players = [
        _Player(name, policy, env, drawn, renderer, key, deterministic, overlay, several)
        for name, policy in policies
    ]

    def frames() -> Iterator[np.ndarray]:
        for number in range(episodes if steps is None else 1):
            streams = [
                player.episode(number, EPISODE_STEPS) if steps is None else player.steps(steps)
                for player in players
            ]
            for frame in side_by_side(streams):
                if on_frame is not None:
                    on_frame()
                yield frame

    video = write_video(path, frames(), env.render_fps if fps is None else fps)
    return Recording(video, [played for player in players for played in player.played])


@dataclass
class _Player:
    """One policy at play, as frames."""

    name: str
    policy: AbstractPolicy
    env: Any
    drawn: Any  # the environment with NumPy's arrays
    renderer: Any
    key: PRNGKeyArray
    deterministic: bool
    overlay: bool
    labelled: bool
    played: list[Episode] = field(default_factory=list)

    def episode(self, number: int, limit: int) -> Iterator[np.ndarray]:
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
            yield self._frame(step.state, words if self.overlay else ())
        self.played.append(Episode(self.name, total, length, finished))

    def steps(self, count: int) -> Iterator[np.ndarray]:
        """So many steps: episodes one after the other, the last one cut."""
        number = 0
        while count > 0:
            yield from self.episode(number, count)
            count -= self.played[-1].length
            number += 1

    def _frame(self, state: Any, words: Sequence[str]) -> np.ndarray:
        self.drawn.render(state, self.renderer)
        frame = self.renderer.as_array()
        if words:
            write_caption(frame, words)
        if self.labelled:
            write_caption(frame, [self.name], at_bottom=True)
        return frame
