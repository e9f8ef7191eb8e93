"""Spaces at work: what policies see and do in them, in training, in Gymnasium's form and in files."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv
from jax import numpy as jnp
from jax import random as jr
from test_export import needs_onnx, session
from toys import Echo, arrays

from lerax.algorithm import A2C, DQN, PPO, PQN, REINFORCE, DiscreteSAC
from lerax.algorithm.footprint import check as check_footprint
from lerax.algorithm.off_policy.exploring import random_action, random_noise
from lerax.collect import begin_all, collect
from lerax.env import EnvContractError, to_gymnasium, to_gymnasium_vector
from lerax.env.classic_control import CartPole
from lerax.env.step import check_contract
from lerax.errors import SettingError
from lerax.evaluate import episode, evaluate
from lerax.export import export
from lerax.policy import (
    GRUActorCriticPolicy,
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPDeterministicPolicy,
    MLPPQNPolicy,
    MLPQPolicy,
    RandomPolicy,
)
from lerax.space import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from lerax.wrapper import ClipAction, FlattenObservation, FrameStack, RescaleAction, StickyActions

KEY = jr.key(0)
SPACES = [Discrete(3, start=-2), MultiDiscrete((2, 3)), MultiBinary((1, 3))]
IDS = [str(space) for space in SPACES]
SMALL = {"num_envs": 4, "num_steps": 8}
BUFFERED = SMALL | {"buffer_size": 64, "batch_size": 8, "learning_starts": 8}
SIZES = {"hidden_sizes": (8,)}
STARTED = SPACES[0]


def test_an_echo_keeps_the_contract_of_each_kind():
    for space in SPACES:
        check_contract(Echo(space, strict=True))


def played(env, policy, num_steps=8):
    """Steps of a policy that samples."""
    act = lambda memory, seen, mask, key: (*policy(memory, seen, key=key, action_mask=mask), None)
    standing = begin_all(env, policy, jr.split(KEY, (4, 3)))
    return collect(env, policy, act, standing, noise=lambda key: key, key=KEY, num_steps=num_steps)[1]


def makers(space):
    makes = [MLPActorCriticPolicy, GRUActorCriticPolicy]
    makes += [MLPQPolicy, MLPCategoricalPolicy] if isinstance(space, Discrete) else []
    return [lambda env, make=make: make(env, **SIZES, key=KEY) for make in makes] + [RandomPolicy]


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_policies_do_what_is_in_the_space_and_what_is_allowed(space):
    """Where all but what is seen is forbidden the reward is the best that there is."""
    for make in makers(space):
        free, strict = Echo(space), Echo(space, strict=True)
        steps = played(free, make(free))
        assert jax.vmap(jax.vmap(space.contains))(steps.action).all() and steps.action.dtype == jnp.int32
        assert float(steps.reward.min()) < 0
        steps = played(strict, make(strict))
        masks = steps.action_mask.reshape(8, 4, -1)
        flat = jax.vmap(jax.vmap(space.flatten))(steps.action)
        assert not (flat * ~masks).any()
        assert isinstance(space, MultiBinary) or not steps.reward.any()
        policy = make(strict)
        if not isinstance(policy, RandomPolicy):
            found = evaluate(strict, policy, key=KEY, num_episodes=3)
            assert found.lengths.tolist() == [4] * 3
        assert len(list(episode(strict, policy, key=KEY, deterministic=False))) == 5


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_random_actions_are_allowed_and_each_as_often_as_the_other(space):
    env = Echo(space, strict=True)
    state = env.initial(key=jr.key(3))
    mask = env.action_mask(state, key=KEY)
    draw = lambda mask, key: random_action(space, mask, random_noise(space, key=key))
    keys = jr.split(KEY, 2000)
    allowed = np.asarray(jax.vmap(lambda key: draw(mask, key))(keys))
    if isinstance(space, MultiBinary):
        np.testing.assert_array_equal(allowed.max(axis=0), state.target)
    else:
        assert (allowed == np.asarray(state.target)).all()
    free = np.asarray(jax.vmap(lambda key: space.flatten(draw(None, key)))(keys))
    low, high = (np.asarray(bound).ravel() for bound in space.bounds)
    chance = [0.5] * 3 if isinstance(space, MultiBinary) else np.repeat(1 / (high - low + 1), high - low + 1)
    np.testing.assert_allclose(free.mean(axis=0), chance, atol=0.05)  # over four standard errors


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("make", [MLPActorCriticPolicy, GRUActorCriticPolicy])
def test_ppo_trains_each_kind(space, make):
    env = Echo(space, strict=True)
    policy = make(env, **SIZES, normalize_observations=True, key=KEY)
    algorithm = PPO(**SMALL, num_epochs=1, num_batches=2)
    check_footprint(algorithm, env, policy)
    trained = algorithm.learn(env, policy, 64, key=KEY)
    changed = [not np.array_equal(*pair) for pair in zip(arrays(trained), arrays(policy), strict=True)]
    assert sum(changed) > 4 and all(np.isfinite(leaf).all() for leaf in arrays(trained))


@pytest.mark.parametrize(
    ("algorithm", "make"),
    [
        (A2C(**SMALL), MLPActorCriticPolicy),
        (REINFORCE(**SMALL), MLPActorCriticPolicy),
        (PQN(**SMALL, num_epochs=1, num_batches=2), MLPPQNPolicy),
        (DQN(**BUFFERED), MLPQPolicy),
        (DiscreteSAC(**BUFFERED), MLPCategoricalPolicy),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_where_choices_begin_changes_nothing(algorithm, make):
    """Two trainings in the same environment, but that its actions begin elsewhere in one, are the same."""
    trained = []
    for start in (0, 5):
        env = Shifted(start)
        trained.append(algorithm.learn(env, make(env, **SIZES, key=KEY), 64, key=KEY))
        assert float(evaluate(env, trained[-1], key=KEY, num_episodes=2).lengths.min()) == 4
    for one, other in zip(*map(arrays, trained), strict=True):
        np.testing.assert_array_equal(one, other)


class Shifted(Echo):
    """What is seen does not say where the actions begin."""

    def __init__(self, start):
        self.action_space, self.strict = Discrete(3, start=start), True
        self.observation_space = Dict({"target": Discrete(3), "steps": Tuple((Discrete(5, start=1),))})

    def observation(self, state, *, key):
        return super().observation(state, key=key) | {"target": state.target - self.action_space.start}


def test_a_q_policy_values_what_it_does_wherever_choices_begin():
    env = Echo(STARTED)
    policy = MLPQPolicy(env, **SIZES, key=KEY)
    for seed in range(5):
        seen = env.observation_space.sample(key=jr.key(seed))
        action = int(policy(None, seen)[1])
        assert action == int(np.argmax(policy.q_values(seen))) - 2
        assert int(policy.choices.index(jnp.array(action))) == action + 2


def test_choices_among_observations_are_not_normalized():
    """Numbers are brought to mean 0 and deviation 1; zeros and ones stay, and bytes go from 0 to 1."""
    parts = {
        "choice": Discrete(3),
        "number": Box(-100.0, 100.0, (2,)),
        "picture": Box(0, 255, (2, 2, 1), "uint8"),
    }

    class Seen(Echo):
        def __init__(self, spaces):
            self.action_space, self.observation_space, self.strict = Discrete(2), spaces, False

    env = Seen(Dict(parts))
    many = jax.vmap(lambda key: env.observation_space.sample(key=key))(jr.split(KEY, 500))
    policy = MLPActorCriticPolicy(env, **SIZES, normalize_observations=True, key=KEY).after_rollout(many)
    rows = np.asarray(jax.vmap(policy.normalized)(many))
    np.testing.assert_array_equal(rows[:, :3], np.eye(3)[many["choice"]])
    np.testing.assert_allclose(rows[:, 3:].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows[:, 3:].std(axis=0), 1, atol=1e-4)
    network = MLPActorCriticPolicy(env, **SIZES, key=KEY).actor
    one = jax.tree.map(lambda x: x[0], many)
    flat = np.concatenate([np.eye(3)[one["choice"]], one["number"], np.ravel(one["picture"]) / 255])
    hidden = np.tanh(flat @ network.weights[0] + network.biases[0])
    np.testing.assert_allclose(
        network(one), hidden @ network.weights[1] + network.biases[1], rtol=1e-4, atol=1e-6
    )


def test_other_policies_refuse_with_what_fits():
    for space in SPACES[1:]:
        for make, fits in ((MLPQPolicy, "Discrete"), (MLPDeterministicPolicy, "Box of floats")):
            with pytest.raises(TypeError, match=f"{make.name}: unsupported action space .* allowed: {fits}$"):
                make(Echo(space), key=KEY)
    several = Echo(Tuple((Discrete(2), Discrete(3))))
    with pytest.raises(TypeError, match="allowed: Discrete, MultiDiscrete, MultiBinary, Box of floats$"):
        MLPActorCriticPolicy(several, key=KEY)
    assert several.action_space.contains(RandomPolicy(several)(None, None, key=KEY)[1])


def test_a_policy_of_other_spaces_is_refused():
    policy = MLPActorCriticPolicy(Echo(STARTED), **SIZES, key=KEY)
    with pytest.raises(
        SettingError, match=r"its observation_space is Dict\(steps: Tuple\(Discrete\(5, start=1\)"
    ):
        evaluate(Echo(Discrete(3)), policy, key=KEY)


# The contract


def broken(shown, space=None):
    class Broken(Echo):
        def observation(self, state, *, key):
            return shown(state)

    return Broken(space or MultiDiscrete((2, 3)))


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (lambda s: s.target, "a dict of steps, target"),
        (lambda s: {"target": s.target}, "a dict of steps, target"),
        (lambda s: {"target": s.target, "steps": s.steps}, "at steps a tuple of 1"),
        (lambda s: {"target": s.target, "steps": (s.steps * 1.0,)}, "at steps at 0 one integer"),
        (lambda s: {"target": s.target[:1], "steps": (s.steps,)}, r"at target integers of shape \(2,\)"),
        (lambda s: {"target": s.target * 0.5, "steps": (s.steps,)}, r"at target integers of shape \(2,\)"),
    ],
)
def test_observations_of_another_structure_are_refused(shown, wanted):
    with pytest.raises(EnvContractError, match=f"Broken.observation of Echo: .*wanted: {wanted}"):
        check_contract(broken(shown))


def test_first_choices_outside_of_their_spaces_are_refused():
    env = broken(lambda s: {"target": s.target + jnp.array([0, 3]), "steps": (s.steps + 1,)})
    policy = MLPActorCriticPolicy(env, **SIZES, key=KEY)
    with pytest.raises(EnvContractError, match="wanted: an integer from 0 to 2"):
        PPO(**SMALL, num_batches=2).init(env, policy, key=KEY)
    env = broken(lambda s: {"target": s.target, "steps": (s.steps,)})
    with pytest.raises(EnvContractError, match="got 0.; wanted: an integer from 1 to 5"):
        next(episode(env, RandomPolicy(env), key=KEY))


@pytest.mark.parametrize(("space", "sizes"), [(SPACES[1], "5"), (SPACES[2], "1,3")], ids=IDS[1:])
def test_masks_of_other_sizes_are_refused(space, sizes):
    class Short(Echo):
        def action_mask(self, state, *, key):
            return jnp.ones(3, bool)

    with pytest.raises(EnvContractError, match=rf"None, or a boolean for each action, bool\[{sizes}\]"):
        check_contract(Short(space))


# Wrappers


def test_wrappers_take_what_they_can_and_refuse_the_rest():
    for space in SPACES:
        env = Echo(space)
        flat = FlattenObservation(env)
        low, high = flat.observation_space.bounds
        assert (
            flat.observation_space.shape == (space.flat_size + 5,) and (low == 0).all() and (high == 1).all()
        )
        steps = played(StickyActions(flat, 0.5), MLPActorCriticPolicy(flat, **SIZES, key=KEY))
        assert jax.vmap(jax.vmap(flat.observation_space.contains))(steps.observation).all()
        for make in (ClipAction, RescaleAction):
            with pytest.raises(TypeError, match=f"{make.__name__}: needs actions in a Box"):
                make(env)
        with pytest.raises(TypeError, match="FrameStack: needs observations in a Box"):
            FrameStack(env, 2)


def test_flattened_numbers_keep_their_bounds():
    class Mixed(Echo):
        def __init__(self):
            spaces = {"a": Box([-1.0, 0.0], [2.0, np.inf]), "b": Discrete(2), "c": Box(0, 9, (1,), "uint8")}
            self.action_space, self.observation_space, self.strict = Discrete(2), Dict(spaces), False

    low, high = FlattenObservation(Mixed()).observation_space.bounds
    assert (low.tolist(), high.tolist()) == ([-1, 0, 0, 0, 0], [2, np.inf, 1, 1, 9])


# In Gymnasium's form


def same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
    if isinstance(theirs, dict | tuple):
        pairs = [(ours[i], theirs[i]) for i in (theirs if isinstance(theirs, dict) else range(len(theirs)))]
        assert len(ours) == len(theirs)
        return [same(*pair) for pair in pairs]
    if isinstance(theirs, np.ndarray):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if theirs.dtype == object:
            return [same(*pair) for pair in zip(ours, theirs, strict=True)]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_gymnasiums_checker_takes_each_kind(space):
    made = to_gymnasium(Echo(space, strict=True))
    check_env(made, skip_render_check=True)
    observation, info = made.reset(seed=0)
    for _ in range(3):
        action = made.action_space.sample(info["action_mask"])
        assert isinstance(space, MultiBinary) or np.array_equal(action, observation["target"])
        observation, reward, *_, info = made.step(action)
        assert made.observation_space.contains(observation) and (
            reward == 0 or isinstance(space, MultiBinary)
        )


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_vectors_are_gymnasiums(space, mode):
    env = Echo(space, strict=True)
    ours = to_gymnasium_vector(env, 2, autoreset_mode=mode)
    theirs = SyncVectorEnv(
        [lambda: to_gymnasium(env)] * 2, autoreset_mode=gymnasium.vector.AutoresetMode(mode)
    )
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    ours.action_space.seed(0)
    same(ours.reset(seed=1), theirs.reset(seed=1))
    for _ in range(6):
        actions = ours.action_space.sample()
        same(ours.step(actions), theirs.step(actions))


def test_actions_of_several_parts_go_in_and_out():
    space = Dict({"a": Discrete(3, start=1), "b": Tuple((MultiBinary(2), Box(-1.0, 1.0, (2,))))})

    class Several(Echo):
        def reward(self, state, action, next_state, *, key):
            return action["a"] + jnp.sum(action["b"][0]) + jnp.sum(action["b"][1])

    for made, lead in ((to_gymnasium(Several(space)), ()), (to_gymnasium_vector(Several(space), 2), (2,))):
        made.reset(seed=0)
        made.action_space.seed(0)
        action = made.action_space.sample()
        wanted = action["a"] + action["b"][0].sum(-1) + action["b"][1].sum(-1)
        np.testing.assert_allclose(made.step(action)[1], wanted, rtol=1e-5)
        for wrong in (
            3,
            {"a": action["a"]},
            action | {"b": action["b"][:1]},
            action | {"a": action["a"] * 0},
        ):
            with pytest.raises(ValueError, match="action: must be"):
                made.step(wrong)
        assert made.action_space["a"].shape == lead


@pytest.mark.parametrize(
    ("space", "wrong", "said"),
    [
        (STARTED, [1, -3, 0.0], "an integer from -2 to 0"),
        (SPACES[1], [[2, 0], [0, -1], [0], 1], r"integers from \[0, 0\] to \[1, 2\], of shape \(2,\)"),
        (SPACES[2], [[[0, 1, 2]], [0, 1, 0]], "integers from"),
    ],
    ids=IDS,
)
def test_actions_that_there_are_not_are_refused(space, wrong, said):
    made = to_gymnasium(Echo(space))
    made.reset(seed=0)
    for action in wrong:
        with pytest.raises(ValueError, match=f"action: must be {said}"):
            made.step(action)


# Files


@needs_onnx
@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_onnxruntime_does_the_same(space, tmp_path):
    env = FlattenObservation(Echo(space, strict=True))
    policy = MLPActorCriticPolicy(env, **SIZES, key=KEY)
    policy = jax.tree.map(lambda x: 10 * x, policy)
    found = export(tmp_path / "policy.onnx", policy, env, key=KEY, num_observations=50)
    assert found.ties == 0 and found.difference < 1e-5
    seen = jax.vmap(lambda key: env.observation_space.sample(key=key))(jr.split(KEY, 20))
    mask = jnp.ones((20, *(space.shape if isinstance(space, MultiBinary) else (space.flat_size,))), bool)
    given = {"observation": np.asarray(seen), "action_mask": np.asarray(mask)}
    (action,) = session(tmp_path / "policy.onnx").run(["action"], given)
    np.testing.assert_array_equal(action, jax.vmap(lambda one: policy(None, one)[1])(seen))
    assert len(np.unique(action)) > 1


@needs_onnx
def test_what_is_made_of_several_parts_is_not_exported(tmp_path):
    env = Echo(STARTED)
    policy = MLPActorCriticPolicy(env, **SIZES, key=KEY)
    with pytest.raises(SettingError, match="observations are made of several parts.*FlattenObservation"):
        export(tmp_path / "policy.onnx", policy, env, key=KEY)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_files_know_their_spaces(space, tmp_path):
    env = Echo(space)
    policy = MLPActorCriticPolicy(env, **SIZES, key=KEY)
    policy.serialize(tmp_path / "policy.eqx")
    again = MLPActorCriticPolicy.deserialize(tmp_path / "policy.eqx", env)
    for one, other in zip(arrays(again), arrays(policy), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="does not fit"):
        MLPActorCriticPolicy.deserialize(tmp_path / "policy.eqx", CartPole())
