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
from lerax.evaluate import Rollout, rollout
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

    def play(self, env: Any, policy: Any) -> Rollout:
        """The steps of a clip."""
        return rollout(
            env, policy, key=jr.key(SEED), num_steps=self.num_steps, deterministic=self.deterministic
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


def send_clip(handle: Int[Array, ""], ctx: IterationContext, settings: VideoSettings) -> None:
    """Emits a rollout when a clip is due, for a program that traces training as a whole.

    Under `jax.vmap` nothing is played, and nothing arrives.
    """
    inputs, static = eqx.partition((ctx.env, ctx.policy), eqx.is_array)
    parts: list[Any] = []

    def played(inputs: Any) -> list[Array]:
        env, policy = eqx.combine(inputs, static)
        arrays, rest = eqx.partition((env, settings.play(env, policy).states), eqx.is_array)
        leaves, structure = jax.tree.flatten(tree.without_keys(arrays))
        parts[:] = [structure, rest]
        return [*leaves, jnp.array(True)]

    shapes = jax.eval_shape(played, inputs)
    nothing = lambda: [jnp.zeros(shape.shape, shape.dtype) for shape in shapes]
    play = custom_vmap(lambda inputs: played(inputs))
    play.def_vmap(lambda size, mapped, inputs: (nothing(), [False] * len(shapes)))

    due = ctx.iteration_count % settings.interval == 0
    *leaves, was_played = lax.cond(due, play, lambda _: nothing(), inputs)
    values = {str(i): leaf for i, leaf in enumerate(leaves)} | {"iteration": ctx.iteration_count}
    outbox.emit(handle, values, kind="clip", about=tuple(parts), when=was_played)
