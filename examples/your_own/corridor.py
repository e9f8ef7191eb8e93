"""An environment: walk to the right end of a corridor."""

from jax import numpy as jnp
from jaxtyping import Array, Int

from lerax.env import AbstractEnv, AbstractEnvState
from lerax.settings import setting
from lerax.space import Box, Discrete


class CorridorState(AbstractEnvState):
    place: Int[Array, ""]
    steps: Int[Array, ""]


class Corridor(AbstractEnv[CorridorState]):
    """Left is 0, right is 1. Each step costs a little; the end is worth 1."""

    length: int = setting(8, "Places from the beginning to the end.", at_least=1)
    step_cost: float = setting(0.01, "Price of a step.", at_least=0)

    name = "Corridor"
    action_space = Discrete(2)
    observation_space = Box(0.0, 1.0, shape=(2,))

    def initial(self, *, key):
        return CorridorState(jnp.array(0, jnp.int32), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        place = jnp.clip(state.place + 2 * action - 1, 0, self.length)
        return CorridorState(place, state.steps + 1)

    def observation(self, state, *, key):
        return jnp.stack([1.0, state.place / self.length]).astype(jnp.float32)

    def reward(self, state, action, next_state, *, key):
        return (next_state.place == self.length) - self.step_cost

    def terminal(self, state, *, key):
        return state.place == self.length

    def truncate(self, state):
        return state.steps >= 8 * self.length
