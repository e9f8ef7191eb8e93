"""Environments that break the contract: one line that says where, what they gave and what is wanted."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int
from toys import Idle

from lerax.algorithm import PPO
from lerax.callback import EvalCallback, StopOnNonFinite
from lerax.env import AbstractEnv, AbstractEnvState, EnvContractError, advance, contract
from lerax.env.classic_control import CartPole, MountainCar
from lerax.evaluate import episode, evaluate
from lerax.policy import MLPActorCriticPolicy, RandomPolicy
from lerax.space import Box, Discrete

ALGORITHM = PPO(num_envs=2, num_steps=4, num_epochs=1, num_batches=1)


class WalkState(AbstractEnvState):
    x: Float[Array, "2"]
    steps: Int[Array, ""]


class Walk(AbstractEnv):
    name = "Walk-v0"
    action_space = Discrete(2)
    observation_space = Box(-10.0, 10.0, shape=(2,))

    def initial(self, *, key):
        return WalkState(jr.uniform(key, (2,)), jnp.array(0, jnp.int32))

    def transition(self, state, action, *, key):
        return WalkState(state.x + action, state.steps + 1)

    def observation(self, state, *, key):
        return state.x

    def reward(self, state, action, next_state, *, key):
        return next_state.x[0]

    def terminal(self, state, *, key):
        return state.x[0] > 3

    def truncate(self, state):
        return state.steps >= 5


def broken(**changes):
    """A walk that is different somewhere: attributes, or what methods give."""
    as_method = lambda give: lambda self, *args, **keys: give(*args)
    methods = {name: as_method(give) if callable(give) else give for name, give in changes.items()}
    return type("Broken", (Walk,), methods)()


STATE = lambda x, steps: WalkState(jnp.asarray(x), jnp.asarray(steps))
BREACHES = [
    ("terminal", lambda s: jnp.where(s.x[0] > 3, 1, 0), r"i32\[\]", r"one boolean, bool\[\]"),
    ("terminal", lambda s: s.x > 3, r"bool\[2\]", "one boolean"),
    ("terminal", lambda s: None, "None", "one boolean"),
    ("truncate", lambda s: s.steps // 5, r"i32\[\]", "one boolean"),
    ("reward", lambda s, a, n: n.x[:1], r"f32\[1\]", r"one number, f32\[\]"),
    ("reward", lambda s, a, n: {"reward": n.x[0]}, r"\{'reward': f32\[\]\}", "one number"),
    ("reward", lambda s, a, n: n.x[0] * 1j, r"c64\[\]", "one number"),
    ("observation", lambda s: jnp.zeros(3), r"f32\[3\]", r"numbers of shape \(2,\)"),
    ("observation", lambda s: (s.x[0], s.x[1]), r"\(f32\[\], f32\[\]\)", "numbers of shape"),
    ("transition", lambda s, a: STATE(s.x, s.steps + 0.5), r"\.steps: f32\[\]", r"\.steps: i32\[\]"),
    ("transition", lambda s, a: STATE(jnp.zeros(3), s.steps), r"\.x: f32\[3\]", r"\.x: f32\[2\]"),
    ("transition", lambda s, a: (s, {}), r"\(WalkState.*", "WalkState"),
    ("transition", lambda s, a: None, "None", "WalkState"),
    ("draw", lambda: STATE(jnp.zeros(2), 0.0), r"\.steps: .*f32\[\]", r"\.steps: i32"),
    ("begin", lambda s: s.x, r"f32\[2\]", "WalkState"),
    ("action_mask", lambda s: jnp.ones(3, bool), r"bool\[3\]", r"for each action, bool\[2\]"),
    ("action_mask", lambda s: jnp.ones(2, jnp.int32), r"i32\[2\]", "a boolean for each action"),
    ("name", 3, "3", "a string"),
    ("action_space", (2,), r"\(2,\)", r"such as Discrete\(2\)"),
    ("observation_space", "Box", "'Box'", "a space of lerax.space"),
]
POLICY = MLPActorCriticPolicy(Walk(), hidden_sizes=(4,), key=jr.key(0))
KEY = jr.key(0)
DOORS = {
    "learn": lambda env: ALGORITHM.learn(env, POLICY, 8, key=KEY),
    "template": lambda env: ALGORITHM.template(env, POLICY),
    "inside jit": lambda env: jax.jit(lambda key: ALGORITHM.learn(env, POLICY, 8, key=key))(KEY),
    "inside vmap": lambda env: jax.vmap(lambda key: ALGORITHM.learn(env, POLICY, 8, key=key))(KEY[None]),
    "evaluate": lambda env: evaluate(env, POLICY, key=KEY, num_episodes=2),
    "episode": lambda env: next(episode(env, POLICY, key=KEY)),
}


@pytest.mark.parametrize(("method", "gives", "got", "wanted"), BREACHES)
def test_a_breach_is_one_line_before_anything_is_compiled(caplog, method, gives, got, wanted):
    env = broken(**{method: gives})
    with jax.log_compiles(), pytest.raises(EnvContractError) as error:
        DOORS["learn"](env)
    assert error.value.method == f"Broken.{method}" and error.value.env == str(env.name)
    said = rf"Broken\.{method} of {env.name}: breaks the contract \(got {got}\); wanted: .*{wanted}.*"
    assert re.fullmatch(said, str(error.value)), str(error.value)
    assert "jit(_init)" not in "".join(r.message for r in caplog.records if "XLA" in r.message)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("breach", [BREACHES[0], BREACHES[4]], ids=["terminal", "reward"])
def test_training_evaluation_and_play_say_the_same(door, breach):
    """Wherever the environment is given: relatives of training from the host."""
    method, gives = breach[:2]
    with pytest.raises(EnvContractError, match=rf"^Broken\.{method} of Walk-v0: breaks"):
        DOORS[door](broken(**{method: gives}))


def test_the_environment_of_an_evaluation_is_looked_at_when_training_begins():
    for env, error in ((broken(terminal=lambda s: 0), EnvContractError), (MountainCar(), ValueError)):
        with pytest.raises(error, match=r"Broken\.terminal|made for another environment"):
            Idle().learn(Walk(), POLICY, 20, key=KEY, callback=EvalCallback(1000, env=env))


def test_stepping_by_hand_is_held_too():
    env = broken(terminal=lambda s: 1)
    with pytest.raises(EnvContractError, match=r"Broken\.terminal"):
        advance(env, Walk().initial(key=KEY), jnp.array(0), key=KEY)


THREE = broken(
    observation_space=CartPole.observation_space,
    action_space=Discrete(3),
    observation=lambda s: jnp.zeros(4),
)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (MountainCar(), r"observation_space is Box of shape \(4,\), that of MountainCar-v0 is .*\(2,\)"),
        (THREE, r"action_space is Discrete\(2\), that of Walk-v0 is Discrete\(3\)"),
    ],
)
@pytest.mark.parametrize("door", ["init", "evaluate", "episode"])
def test_a_policy_of_another_environment_is_refused(policy, other, said, door):
    doors = {
        "init": lambda: ALGORITHM.init(other, policy, key=KEY),
        "evaluate": lambda: evaluate(other, policy, key=KEY),
        "episode": lambda: next(episode(other, policy, key=KEY)),
    }
    with pytest.raises(ValueError, match=f"^policy: made for another environment .*{said}.*make one for it"):
        doors[door]()


def test_the_bounds_of_a_box_are_no_reason_to_refuse_a_policy():
    wider = broken(observation_space=Box(-20.0, 20.0, shape=(2,)))
    assert ALGORITHM.template(wider, POLICY).env.name == "Walk-v0"


def test_bytes_are_held_to_be_bytes():
    space = Box(0, 255, shape=(2,), dtype="uint8")
    right = broken(observation_space=space, observation=lambda s: s.x.astype(jnp.uint8))
    assert contract.observation(right, jnp.zeros(2, jnp.uint8)).dtype == jnp.uint8
    with pytest.raises(EnvContractError, match=r"got f32\[2\].*wanted: uint8 of shape \(2,\)"):
        contract.observation(right, jnp.zeros(2))
    with pytest.raises(
        ValueError, match=r"is Box of shape \(2,\), that of .* is Box of shape \(2,\) of bytes"
    ):
        ALGORITHM.template(right, POLICY)


CELLS = {"observation_space": Discrete(5), "observation": lambda s: s.steps}


def test_a_first_choice_outside_of_its_space_is_refused():
    env = broken(**CELLS | {"observation": lambda s: s.steps + 7})
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=KEY)
    said = r"Broken\.observation of Walk-v0: .*got 7\); wanted: an integer from 0 to 4$"
    for play in (
        lambda: ALGORITHM.init(env, policy, key=KEY),
        lambda: next(episode(env, RandomPolicy(env), key=KEY)),
    ):
        with pytest.raises(EnvContractError, match=said):
            play()


def test_a_later_choice_outside_of_its_space_is_noticed():
    """The sixth step of an episode has the observation 5 of 5: in the second iteration of four steps."""
    env = broken(**CELLS, truncate=lambda s: False, terminal=lambda s: False)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(4,), key=KEY)
    state = ALGORITHM.run(ALGORITHM.init(env, policy, key=KEY), 800, callback=StopOnNonFinite())
    assert int(state.callback_state[0].iteration) == 2
    assert "the environment gave what is not finite (observation" in state.callback_state[0].reason
    assert np.isnan(Discrete(5).flatten(jnp.array(-1))).all()


def test_what_means_the_same_is_allowed():
    """Python's numbers and booleans, whole numbers as rewards, and states that begin with numbers."""
    env = broken(
        initial=lambda: WalkState(jnp.zeros(2), 0),
        terminal=lambda s: False,
        reward=lambda s, a, n: 1,
        observation=lambda s: s.x.astype(jnp.int32),
        action_mask=lambda s: None,
    )
    policy = ALGORITHM.learn(env, POLICY, 8, key=KEY)
    assert evaluate(env, policy, key=KEY, num_episodes=2).returns.tolist() == [5, 5]
    assert [step.reward for step in episode(env, policy, key=KEY)] == [0, 1, 1, 1, 1, 1]


class Empty(AbstractEnvState):
    """Nothing."""


class Bandit(AbstractEnv):
    """Two arms, each pull an episode of its own."""

    name = "Bandit"
    action_space, observation_space = Discrete(2), Box(-1.0, 1.0, shape=(1,))

    def initial(self, *, key):
        return Empty()

    def transition(self, state, action, *, key):
        return state

    def observation(self, state, *, key):
        return jnp.zeros(1)

    def reward(self, state, action, next_state, *, key):
        return (action == 1).astype(jnp.float32)

    def terminal(self, state, *, key):
        return jnp.array(True)


def test_a_state_without_arrays_is_trained_and_evaluated():
    policy = MLPActorCriticPolicy(env=Bandit(), hidden_sizes=(4,), key=jr.key(0))
    algorithm = PPO(num_envs=4, num_steps=16, num_batches=1, num_epochs=2, learning_rate=0.1)
    policy = algorithm.learn(Bandit(), policy, 640, key=jr.key(1))
    assert evaluate(Bandit(), policy, key=jr.key(2), num_episodes=2, deterministic=True).returns.all()
