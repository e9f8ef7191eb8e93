"""Videos of the policy while it is trained: when and how, and their way out of a caller's own program."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from lerax import tree
from lerax.env import AbstractEnvLike, AbstractEnvLikeState
from lerax.evaluate import Rollout, rollout
from lerax.policy import AbstractPolicy
from lerax.settings import check_value

from . import outbox
from .base_callback import IterationContext

SEED = 0  # the same for every clip, so that clips can be compared


class VideoSettings(NamedTuple):
    """When and how videos are recorded.

    Attributes:
        interval: Iterations from one clip to the next; the first comes after as many.
        num_steps: Environment steps in a clip; it has one frame more, the initial one.
        width: Pixels.
        height: Pixels.
        fps: Frames per second when played; None for the environment's own.
        deterministic: Show the most probable actions instead of samples.
    """

    interval: int
    num_steps: int
    width: int
    height: int
    fps: float | None
    deterministic: bool

    def play(self, env: AbstractEnvLike, policy: AbstractPolicy) -> Rollout:
        """The steps of a clip."""
        return rollout(
            env.to_be_drawn(),
            policy,
            key=jr.key(SEED),
            num_steps=self.num_steps,
            deterministic=self.deterministic,
        )

    def check(self) -> "VideoSettings | None":
        """The settings, converted, or None where the interval is 0.

        Raises:
            ValueError: One of them has the wrong type or is out of range.
        """
        examples = {"interval": 100, "num_steps": 256, "width": 640, "height": 480, "fps": 30.0}
        checked = {
            name: check_value(f"video_{name}", getattr(self, name), example, at_least=int(name != "interval"))
            for name, example in examples.items()
            if name != "fps" or self.fps is not None
        }
        return self._replace(**checked) if checked["interval"] else None


class PlayedClip(eqx.Module):
    """A clip that a program has played that traces training as a whole.

    Attributes:
        iteration: The iteration at which it was due.
        env: The environment.
        states: Its states, with a leading time axis.
    """

    iteration: Int[Array, "*lane"]
    env: AbstractEnvLike
    states: AbstractEnvLikeState


def send_clip(handle: Int[Array, ""], ctx: IterationContext, settings: VideoSettings) -> None:
    """Emits a `PlayedClip` when one is due, for a program that traces training as a whole.

    Under `jax.vmap` nothing is played, and nothing arrives.
    """
    inputs, static = eqx.partition((ctx.env, ctx.policy), eqx.is_array)
    rest: list[Any] = []

    def played(inputs: Any) -> tuple[Any, Array]:
        env, policy = eqx.combine(inputs, static)
        arrays, rest[:] = eqx.partition((env, settings.play(env, policy).states), eqx.is_array)
        return tree.without_keys(arrays), jnp.array(True)

    shapes = jax.eval_shape(played, inputs)
    nothing = lambda: jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    play = custom_vmap(lambda inputs: played(inputs))
    play.def_vmap(lambda size, mapped, inputs: (nothing(), jax.tree.map(lambda _: False, shapes)))

    due = ctx.iteration_count % settings.interval == 0
    arrays, was_played = lax.cond(due, play, lambda _: nothing(), inputs)
    env, states = eqx.combine(arrays, tuple(rest))
    outbox.emit(handle, PlayedClip(ctx.iteration_count, env, states), when=was_played)
