"""Environments that are broken in one way each, and the check that has to find it."""

import itertools

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int

from lerax.env import AbstractEnv, AbstractEnvState
from lerax.render import RED, PygameRenderer, Transform
from lerax.space import Box, Discrete

COUNT = itertools.count()
DICE = np.random.default_rng(0)


class State(AbstractEnvState):
    place: Float[Array, ""]
    steps: Int[Array, ""]


class Sound(AbstractEnv):
    """A step to the left or to the right; nothing is wrong with it."""

    name = "Sound"
    action_space = Discrete(2)
    observation_space = Box(-9.0, 9.0, shape=(1,))

    def initial(self, *, key):
        return State(jr.uniform(key, (), jnp.float32), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        return State(state.place + 0.5 * action - 0.25, state.steps + 1)

    def observation(self, state, *, key):
        return state.place[None]

    def reward(self, state, action, next_state, *, key):
        return next_state.place

    def terminal(self, state, *, key):
        return state.place > 1.2

    def truncate(self, state):
        return state.steps >= 4

    def default_renderer(self):
        return PygameRenderer(64, 48, transform=Transform(64, 48, scale=10.0, offset=(32.0, 24.0)))

    def render(self, state, renderer):
        renderer.clear()
        renderer.draw_circle((float(state.place), 0.0), 1.0, RED)
        renderer.draw()


class Nameless(Sound):
    name = 3


class Spaceless(Sound):
    action_space = (2,)


class WholeTerminal(Sound):
    def terminal(self, state, *, key):
        return state.steps


class WideReward(Sound):
    def reward(self, state, action, next_state, *, key):
        return next_state.place[None]


class WideObservation(Sound):
    def observation(self, state, *, key):
        return jnp.stack([state.place, state.place])


class Growing(Sound):
    def transition(self, state, action, *, key):
        return State(state.place, state.steps + 0.5)


class Branching(Sound):
    def transition(self, state, action, *, key):
        return state if action else super().transition(state, action, key=key)


class NarrowMask(Sound):
    def action_mask(self, state, *, key):
        return jnp.ones(1, bool)


class Nowhere:
    """Something that cannot be compared, as an array cannot."""

    def __eq__(self, other):
        raise ValueError("the truth value of this is ambiguous")

    __hash__ = object.__hash__


class Incomparable(Sound):
    goal: Nowhere = eqx.field(static=True, default_factory=Nowhere)


class Weak(Sound):
    def initial(self, *, key):
        return State(0.5, jnp.array(0, jnp.int32))  # type: ignore[arg-type]

    def transition(self, state, action, *, key):
        return State(jnp.asarray(state.place + 0.5 * action - 0.25, jnp.float32), state.steps + 1)


class Counting(Sound):
    def reward(self, state, action, next_state, *, key):
        return next_state.place * next(COUNT)


class NumpyDice(Sound):
    def transition(self, state, action, *, key):
        return State(state.place + float(DICE.uniform(-0.1, 0.1)), state.steps + 1)


class Peeking(Sound):
    def reward(self, state, action, next_state, *, key):
        return next_state.place + isinstance(next_state.place, jax.core.Tracer)


class Crowded(Sound):
    """What a callback gives depends on the others beside it."""

    def reward(self, state, action, next_state, *, key):
        total = lambda place: np.full_like(place, np.sum(place))
        return jax.pure_callback(total, next_state.place, next_state.place, vmap_method="broadcast_all")


class CallbackDice(Sound):
    def reward(self, state, action, next_state, *, key):
        roll = lambda place: np.asarray(DICE.uniform(), np.float32) + 0 * place
        return jax.pure_callback(roll, next_state.place, next_state.place, vmap_method="sequential")


class BornDead(Sound):
    def terminal(self, state, *, key):
        return state.place > -5


class OtherDraw(Sound):
    def draw(self, *, key):
        return State(jnp.array(0.5, jnp.float32), jnp.array(0, jnp.int32))


class BeginsAgain(Sound):
    def begin(self, state):
        return State(state.place, jnp.array(0, jnp.int32))


class BlindSpot(Sound):
    def observation(self, state, *, key):
        return (state.place / jnp.where(state.steps < 2, 1.0, 0.0) * 0.0)[None]


class Unpriced(Sound):
    def reward(self, state, action, next_state, *, key):
        return jnp.where(next_state.steps > 2, jnp.inf, 0.0)


class Outside(Sound):
    observation_space = Box(0.0, 0.1, shape=(1,))


class NoSuchChoice(Sound):
    observation_space = Discrete(2)

    def observation(self, state, *, key):
        return state.steps


class Huge(Sound):
    def reward(self, state, action, next_state, *, key):
        return 1e8 * next_state.place


class NoneAllowed(Sound):
    def action_mask(self, state, *, key):
        return jnp.stack([state.steps < 2] * 2)


class Endless(Sound):
    def terminal(self, state, *, key):
        return jnp.array(False)

    def truncate(self, state):
        return jnp.array(False)


class AtOnce(Sound):
    def terminal(self, state, *, key):
        return state.steps > 0


class TimeIsTask(Sound):
    def terminal(self, state, *, key):
        return state.steps >= 4


class TornPicture(Sound):
    def render(self, state, renderer):
        renderer.draw_circle(state.nowhere, 1.0, RED)


class EmptyPicture(Sound):
    def render(self, state, renderer):
        renderer.clear()
        renderer.draw()


class FarAway(Sound):
    action_space = Box(100.0, 200.0, shape=())

    def transition(self, state, action, *, key):
        return super().transition(state, action / 200, key=key)


class FineSteps(Sound):
    action_space = Box(np.array([-1.0, -0.001]), np.array([1.0, 0.001]))

    def transition(self, state, action, *, key):
        return super().transition(state, action[0], key=key)


class WideSteps(FineSteps):
    action_space = Box(np.array([-1.0, -1000.0]), np.array([1.0, 1000.0]))


FOUND = {
    Nameless: "name",
    Spaceless: "spaces",
    WholeTerminal: "contract",
    WideReward: "contract",
    WideObservation: "contract",
    Growing: "contract",
    Branching: "contract",
    NarrowMask: "contract",
    Incomparable: "static",
    Weak: "types",
    Counting: "traces",
    NumpyDice: "traces",
    Peeking: "jit",
    Crowded: "vmap",
    CallbackDice: "determinism",
    BornDead: "start",
    OtherDraw: "reset",
    BeginsAgain: "reset",
    BlindSpot: "finite",
    Unpriced: "finite",
    Outside: "bounds",
    NoSuchChoice: "bounds",
    Huge: "rewards",
    NoneAllowed: "mask",
    FarAway: "actions",
    FineSteps: "actions",
    WideSteps: "actions",
    Endless: "ends",
    AtOnce: "ends",
    TimeIsTask: "truncation",
    TornPicture: "picture",
    EmptyPicture: "picture",
}
"""The check that finds each."""
ALSO = {CallbackDice: {"jit", "vmap"}, BornDead: {"ends"}}
"""What else is wrong with it for the same reason."""
