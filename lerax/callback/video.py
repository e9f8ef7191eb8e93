"""Videos of the policy while it is trained."""

import queue
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Int

from lerax import tree
from lerax.backend import Dispatcher
from lerax.env.base_env import unstack
from lerax.evaluate import Rollout, rollout

from . import outbox
from .base_callback import IterationContext, next_multiple
from .records import Steps

TAG = "eval/video"
SEED = 0  # the same for every clip, so that clips can be compared


class VideoSettings(NamedTuple):
    """When and how videos are recorded.

    Attributes:
        interval: Iterations from one clip to the next; the first comes after as many.
        num_steps: Environment steps in a clip; it has one frame more, the initial one.
        width: Pixels.
        height: Pixels.
        fps: Frames per second when played.
        deterministic: Show the most probable actions instead of samples.
    """

    interval: int
    num_steps: int
    width: int
    height: int
    fps: float
    deterministic: bool

    def play(self, env: Any, policy: Any) -> Rollout:
        """The steps of a clip."""
        return rollout(
            env, policy, key=jr.key(SEED), num_steps=self.num_steps, deterministic=self.deterministic
        )

    def check(self) -> "VideoSettings | None":
        """The settings, or None where the interval is 0.

        Raises:
            ValueError: One of them is out of range.
        """
        for name in ("interval", "num_steps", "width", "height", "fps"):
            value, least = getattr(self, name), 0 if name == "interval" else 1
            if not least <= value < float("inf"):
                raise ValueError(f"video_{name}: out of range (got {value}); allowed: at least {least}")
        return self if self.interval else None


class VideoRecorder:
    """Plays the policy, and renders and hands over the frames on a thread of its own, one clip at a time.

    A clip that is due while the last one is still being made is left out, and counted. Whatever goes wrong
    is one warning, and there are no more videos; training is never touched.

    Args:
        settings: When and how.
        dispatchers: The backends that get the clips.
    """

    def __init__(self, settings: VideoSettings, dispatchers: Sequence[Dispatcher]):
        self.settings = settings
        self._dispatchers = dispatchers
        self._queue: queue.SimpleQueue[tuple[Any, Any, int] | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._failure: str | None = None
        self._told = False
        self._skipped = 0

    def next_due(self, iteration: int) -> int:
        """The first iteration after `iteration` at which a clip is due."""
        return next_multiple(iteration, self.settings.interval)

    def record(self, env: Any, policy: Any, step: int) -> None:
        """Records a clip of a policy that has learned for `step` environment steps."""
        if not self._is_free():
            return
        try:
            env, states = tree.on_host((env, self.settings.play(env, policy).states))
        except Exception as error:
            self._fail(error)
            self.tell()
            return
        self._render_later(env, states, step)

    def receive(self, about: tuple, values: dict[str, np.ndarray], steps: Steps) -> None:
        """Takes a rollout from a program that traces training as a whole."""
        if self._is_free():
            step = steps.at(int(values.pop("iteration")[0]))
            leaves = [values[str(i)][0] for i in range(len(values))]
            structure, static = about
            env, states = eqx.combine(jax.tree.unflatten(structure, leaves), static)
            self._render_later(env, states, step)

    def tell(self) -> None:
        """Warns once of what went wrong."""
        if self._failure is not None and not self._told:
            self._told = True
            _warn(f"no videos: {self._failure}; training goes on without them")

    def refuse(self, reason: str) -> None:
        """Records nothing from now on, and says why."""
        self._failure = self._failure or reason
        self.tell()

    def close(self, deadline: float) -> None:
        """Waits for the clip that is being made, and says what was left out.

        Args:
            deadline: `time.monotonic()` after which it is left behind.
        """
        self._queue.put(None)
        if not self._idle.wait(max(0.0, deadline - time.monotonic())):
            _warn("the last video is still being made and was left behind")
        self.tell()
        if self._skipped:
            _warn(f"{self._skipped} videos were left out: the one before was still being made")

    @property
    def is_idle(self) -> bool:
        """Whether no clip is being made, nor waits for a backend."""
        return self._idle.is_set() and not any(dispatcher.has_clip for dispatcher in self._dispatchers)

    def _is_free(self) -> bool:
        """Whether a clip can be made now; counts it as left out where the last one is not done yet."""
        self.tell()
        if self._failure is not None:
            return False
        free = self.is_idle
        self._skipped += not free
        return free

    def _render_later(self, env: Any, states: Any, step: int) -> None:
        self._idle.clear()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="lerax video")
            self._thread.start()
        self._queue.put((env, states, step))

    def _work(self) -> None:
        renderer: Any = None  # lives on this thread: a GL context belongs to one
        while (clip := self._queue.get()) is not None:
            env, states, step = clip
            try:
                if renderer is None:
                    renderer = self._renderer(env)
                frames = _frames(env, states, renderer)
                for dispatcher in self._dispatchers:
                    dispatcher.log_video(TAG, frames, step, self.settings.fps)
            except Exception as error:
                self._fail(error)
            finally:
                self._idle.set()
        if renderer is not None:
            renderer.close()

    def _renderer(self, env: Any) -> Any:
        from lerax.render import headless_renderer

        return headless_renderer(env, self.settings.width, self.settings.height)

    def _fail(self, error: Exception) -> None:
        self._failure = " ".join(f"{type(error).__name__}: {error}".split())


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


def _frames(env: Any, states: Any, renderer: Any) -> np.ndarray:
    """Frames `[time, height, width, 3]` of states with a leading time axis."""
    frames = []
    for state in unstack(states):
        env.render(state, renderer)
        frames.append(renderer.as_array())
    return np.stack(frames)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
