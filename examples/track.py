"""An environment of one's own, with drawing: roll a ball to the middle of a track."""

from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int

from lerax.env import AbstractEnv, AbstractEnvState
from lerax.render import GRAY, RED, PygameRenderer, Transform
from lerax.settings import setting
from lerax.space import Box


class TrackState(AbstractEnvState):
    ball: Float[Array, "2"]  # position (m) and velocity (m/s)
    steps: Int[Array, ""]


class Track(AbstractEnv[TrackState]):
    length: int = setting(100, "Steps of an episode.", at_least=1)

    name = "Track"
    action_space = Box(-1.0, 1.0, shape=(1,))
    observation_space = Box(-jnp.inf, jnp.inf, shape=(2,))

    def initial(self, *, key):
        return TrackState(jr.uniform(key, (2,), minval=-1.0), jnp.array(0))

    def transition(self, state, action, *, key):
        position, velocity = state.ball
        ball = jnp.stack([position + 0.05 * velocity, 0.9 * velocity + 0.1 * action[0]])
        return TrackState(ball, state.steps + 1)

    def observation(self, state, *, key):
        return state.ball

    def reward(self, state, action, next_state, *, key):
        return -jnp.abs(next_state.ball[0])

    def terminal(self, state, *, key):
        return jnp.abs(state.ball[0]) > 2.0

    def truncate(self, state):
        return state.steps >= self.length

    def default_renderer(self):
        return PygameRenderer(640, 160, transform=Transform(640, 160, scale=150.0, offset=(320.0, 80.0)))

    def render(self, state, renderer):
        renderer.clear()
        renderer.draw_line((-2.0, 0.0), (2.0, 0.0), GRAY, width=4)
        renderer.draw_circle((state.ball[0], 0.0), 0.1, RED)
        renderer.draw()
