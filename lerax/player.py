"""Policies at play, as frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from lerax.render import AbstractFrameSource, write_caption

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


class Moment(NamedTuple):
    """What can be drawn.

    Attributes:
        state: State of the environment.
        step: Steps of the episode until then.
        words: What is written on it.
    """

    state: AbstractEnvLikeState
    step: int
    words: tuple[str, ...]


@dataclass
class Player:
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

    def play(self, number: int, steps: int | None) -> Iterator[Moment]:
        """An episode; or so many steps: episodes one after the other, the last one cut."""
        if steps is None:
            yield from self._episode(number, EPISODE_STEPS)
            return
        while steps > 0:
            yield from self._episode(number, steps)
            steps -= self.played[-1].length
            number += 1

    def _episode(self, number: int, limit: int) -> Iterator[Moment]:
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
            yield Moment(step.state, length, words if self.overlay else ())
        self.played.append(Episode(self.name, total, length, finished))

    def picture(self, moment: Moment) -> np.ndarray:
        """Draws a moment: uint8, `[height, width, 3]`."""
        self.env_on_host.render(moment.state, self.renderer)
        frame = self.renderer.as_array()
        if moment.words:
            write_caption(frame, moment.words, importance=BY_IMPORTANCE)
        if self.labelled:
            write_caption(frame, [self.name], at_bottom=True)
        return frame


def players_of(
    env: AbstractEnvLike,
    policies: Sequence[tuple[str, AbstractPolicy]],
    renderer: AbstractFrameSource,
    key: PRNGKeyArray,
    deterministic: bool,
    overlay: bool,
) -> list[Player]:
    check_env(env)
    pairs: list[Any] = [] if isinstance(policies, AbstractPolicy | type) else list(policies)
    if not pairs or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
        hint = 'write [("trained", policy)]'
        raise SettingError("policies", policies, wrong="not policies with their names", hint=hint)
    for _, policy in policies:
        check_policy(policy, env)
    env = env.to_be_drawn()
    key = tree.typed_key(key)
    env_on_host, several = tree.on_host(env), len(policies) > 1
    return [
        Player(name, policy, env, env_on_host, renderer, key, deterministic, overlay, several)
        for name, policy in policies
    ]
