"""Environments of Gymnasium inside compiled programs, against Gymnasium's own stepping."""

import os
import signal

import gymnasium
import jax
import numpy as np
import outside
import pytest
from jax import numpy as jnp
from jax import random as jr

from lerax import tree
from lerax.algorithm import PPO
from lerax.check import check_env
from lerax.env import advance, from_gymnasium, to_gymnasium, to_gymnasium_vector
from lerax.errors import LeraxWarning, SettingError
from lerax.evaluate import evaluate
from lerax.hosted import HostedEnvError
from lerax.hosted.gymnasium import Actions
from lerax.hosted.instances import picture
from lerax.hosted.members import InProcess
from lerax.hosted.words import HEAD, SESSION
from lerax.policy import MLPActorCriticPolicy
from lerax.wrapper import ActionRepeat, ClipReward, TimeLimit

EPISODES = int(os.environ.get("LERAX_PARITY_EPISODES", "3"))  # of each environment
LANES = 3
SMALL = PPO(num_envs=2, num_steps=8, num_epochs=1, num_batches=1)
TASKS = {
    "CartPole-v1": {},
    "MountainCar-v0": {"max_episode_steps": 40},
    "Pendulum-v1": {"max_episode_steps": 40, "g": 9.0},
    "Acrobot-v1": {"max_episode_steps": 40},
    "LunarLander-v3": {},
    "BipedalWalker-v3": {"max_episode_steps": 60},
    "FrozenLake-v1": {},
    "Blackjack-v1": {},
    "Taxi-v4": {"max_episode_steps": 40},
    "CliffWalking-v1": {"max_episode_steps": 40},
    "Hopper-v5": {},
    "Swimmer-v5": {"max_episode_steps": 40},
}


def faulty(what="", **settings):
    return from_gymnasium("outside:Faulty-v0", what=what, **settings)


def as_ours(observation):
    """Floating numbers of 32 bits, and all else of as many."""
    of_32 = lambda x: np.asarray(x, np.float32 if np.asarray(x).dtype.kind == "f" else np.int32)
    return jax.tree.map(of_32, observation)


def policy_for(env):
    return MLPActorCriticPolicy(env=env, hidden_sizes=(4,), key=jr.key(0))


def leaves(steps):
    return jax.tree.leaves(jax.device_get(steps))


@pytest.mark.parametrize("workers", [0, 2], ids=["thread", "processes"])
@pytest.mark.parametrize("id", TASKS)
def test_episodes_are_those_of_gymnasium(id, workers):
    """Observations, the last ones of episodes among them, rewards and ends, as of objects stepped by hand."""
    if workers and id not in ("CartPole-v1", "FrozenLake-v1"):
        pytest.skip("which process has an environment does not depend on the environment")
    env = from_gymnasium(id, **TASKS[id], workers=workers)
    keys = jr.split(jr.key(3), LANES)
    seeds = [int(jr.bits(key, (1,), jnp.uint32)[0]) for key in keys]
    theirs = [gymnasium.make(id, **TASKS[id]) for _ in seeds]
    seen = [one.reset(seed=seed)[0] for one, seed in zip(theirs, seeds, strict=True)]
    same = lambda ours, one: jax.tree.map(np.testing.assert_array_equal, ours, as_ours(one))
    lane = lambda tree, i: jax.tree.map(lambda leaf: np.asarray(leaf[i]), tree)
    states = jax.jit(jax.vmap(lambda key: env.initial(key=key)))(keys)
    step = jax.jit(jax.vmap(lambda state, action: advance(env, state, action, key=jr.key(0))))
    show = jax.jit(jax.vmap(lambda state: env.observation(state)))
    for i, one in enumerate(seen):
        same(lane(show(states), i), one)
    theirs[0].action_space.seed(1)
    ended = 0
    while ended < EPISODES * LANES:
        actions = [theirs[0].action_space.sample() for _ in theirs]
        given = step(states, np.stack(actions))
        states = given.state
        for i, (one, action) in enumerate(zip(theirs, actions, strict=True)):
            next_one, reward, terminal_, truncated, _ = one.step(action)
            same(lane(given.next_observation, i), next_one)
            assert given.reward[i] == np.float32(reward)
            assert (bool(given.terminal[i]), bool(given.truncated[i])) == (terminal_, truncated)
            if terminal_ or truncated:
                next_one, _ = one.reset()
                ended += 1
            same(lane(given.observation, i), next_one)


def test_training_is_the_same_in_processes_and_under_a_wrapper():
    """The same seed gives the same policy wherever the objects are, and a wrapper changes what it changes."""
    train = lambda env: leaves(SMALL.learn(env, policy_for(env), 64, key=jr.key(1)))
    apart, here = train(faulty(at=10**6, workers=2)), train(faulty(at=10**6))
    wrapped = train(ClipReward(faulty(at=10**6), low=-1.0, high=1.0))  # they are 0 and 1
    for one, other, third in zip(apart, here, wrapped, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


@pytest.mark.parametrize("workers", [0, 1], ids=["thread", "process"])
@pytest.mark.parametrize(
    ("what", "said"),
    {
        "raise": "RuntimeError: the wheel came off",
        "exit": "SystemExit: 3",
        "interrupt": "KeyboardInterrupt",
        "shape": "an observation of shape (3,); its space has (1,)",
        "dtype": "an observation of <U3; its space has float32",
        "nothing": "TypeError",
    }.items(),
)
def test_an_environment_that_fails_ends_training_with_what_was_learned(what, said, workers):
    if workers and what != "raise":
        pytest.skip("what fails is told alike from there")
    env = faulty(what, at=20, workers=workers)
    with pytest.raises(HostedEnvError) as failed:
        SMALL.learn(env, policy_for(env), 640, key=jr.key(1))
    assert said in str(failed.value) and "outside:Faulty-v0" in str(failed.value)
    assert "outside.py" in failed.value.traceback or what in ("shape", "dtype", "nothing")
    state = failed.value.state
    assert int(state.iteration_count) == 3  # the step in which it fails is in the third iteration of 8
    assert all(np.isfinite(leaf).all() for leaf in leaves(state.policy))
    with pytest.raises(HostedEnvError, match="wheel|SystemExit|Keyboard|observation|TypeError"):
        SMALL.run(state, 640)


def test_one_that_hangs_or_dies_is_left_behind():
    for what, said in {"hang": "no answer for 2 s", "die": "its process has died"}.items():
        env = faulty(what, at=3, workers=1, timeout=60.0 if what == "die" else 1.0)  # of each of the two
        with pytest.raises(HostedEnvError, match=said):
            SMALL.learn(env, policy_for(env), 64, key=jr.key(1))
        session = next(iter(env._facts.sessions._open.values()))
        assert session._members == [None]


def test_each_device_has_its_own_and_a_part_of_the_processes():
    env = faulty(at=10**6, workers=2)
    sessions = env._facts.sessions
    sessions.close()  # those of other tests
    state = SMALL.init(env, policy_for(env), key=jr.key(1), devices=2)
    assert [len(session._members) for session in sessions._open.values()] == [1, 1]
    numbers = np.asarray(state.standing.env_state.row[:, SESSION])
    assert numbers[0] != numbers[1]
    sessions.close()
    with pytest.warns(LeraxWarning, match="its episodes begin anew"):
        state = SMALL.run(state, 32)
    assert env.fault(state.standing.env_state) is None
    sessions.close()


def test_signals_to_all_processes_of_a_training_are_not_for_those_of_its_environments():
    member = InProcess(faulty(workers=1)._facts.sessions._kind, 1)
    rows = np.zeros((1, HEAD + 1), np.uint32)
    for moment in ("as it starts", "as it waits"):
        for one in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            member._process.send_signal(one)
        if moment == "as it starts":
            assert member.answer(60.0) == (None, None)
        member.ask("begin", [0], np.array([1]), rows)
        assert member.answer(60.0)[1] is None
    member._process.kill()
    with pytest.raises(EOFError):
        member.answer(60.0)
    member.close()


def test_one_whose_episode_is_over_is_not_stepped():
    env = ActionRepeat(faulty("strict", length=5, at=10**6), repeats=3)
    step = jax.jit(jax.vmap(lambda state: env.transition(state, jnp.array(1), key=jr.key(0))))
    states = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(0), 2))
    for reward in (3.0, 2.0, 0.0):
        states = step(states)
        assert states.reward.tolist() == [reward] * 2 and env.fault(states) is None
    assert jax.vmap(env.env.terminal)(states.inner).all()


@pytest.mark.parametrize(
    "given", [None, [[0]], np.full((4, 6, 3), 0.5), np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(given):
    with pytest.raises(ValueError, match=r"^render\(\) gave (an array of|NoneType|list)[^\n]*; a picture is"):
        picture(given)


def test_one_that_cannot_begin_ends_everything_before_training():
    env = faulty("reset")
    with pytest.raises(HostedEnvError, match="the maze is closed"):
        SMALL.init(env, policy_for(env), key=jr.key(1))
    with pytest.raises(HostedEnvError, match="the maze is closed"):
        evaluate(env, policy_for(env), key=jr.key(1), num_episodes=1)
    with pytest.raises(RuntimeError, match=r"maze\.txt"):
        faulty("make")


def test_a_state_of_which_the_objects_are_gone_begins_episodes_anew():
    env = faulty(at=10**6)
    state = SMALL.init(env, policy_for(env), key=jr.key(1))
    env._facts.sessions.close()
    with pytest.warns(LeraxWarning, match="its episodes begin anew"):
        state = SMALL.run(state, 32)
    assert env.fault(state.standing.env_state) is None
    assert SMALL.run(state, 64).iteration_count == 4


def test_what_is_checked_of_one_is_what_holds_of_objects():
    found = {one.name: one for one in check_env(faulty(at=10**6), num_steps=30, num_envs=2)}
    assert all(one.ok for one in found.values()), found
    assert {"steps", "ends", "picture"} <= found.keys() and not {"vmap", "determinism"} & found.keys()
    found = {one.name: one for one in check_env(faulty("no picture", at=10**6), num_steps=30, num_envs=2)}
    assert [name for name, one in found.items() if not one.ok] == ["picture"]
    assert "render() gave NoneType" in found["picture"].got
    found = {one.name: one for one in check_env(faulty("shape", at=10), num_steps=30, num_envs=2)}
    assert not found["steps"].ok and "its space has (1,)" in found["steps"].got


def test_one_in_gymnasiums_form_again_is_the_same_alone_and_among_many():
    env, ended = TimeLimit(faulty("strict", at=10**6, length=3), 9), [False, False, True]
    one, many = to_gymnasium(env), to_gymnasium_vector(env, 2, autoreset_mode="SameStep")
    assert one.reset(seed=1)[0] == [0] and many.reset(seed=1)[0].tolist() == [[0], [0]]
    for count, over in enumerate(ended * 2, 1):
        seen, reward, terminal, truncated, _ = one.step(1)
        assert (seen, reward, terminal, truncated) == (np.float32((count - 1) % 3 + 1) / 10, 1.0, over, False)
        seen, rewards, terminal, _, infos = many.step(np.array([0, 1]))
        assert (
            rewards.tolist() == [0, 1] and terminal.tolist() == [over] * 2 and ("final_obs" in infos) == over
        )
        assert over == (seen == 0).all() and (not over or one.reset()[0] == [0])
    sessions = env.env._facts.sessions
    assert len(sessions._open) == 2
    one.close(), many.close()
    assert not sessions._open and not sessions._kept
    single, among = (
        to_gymnasium(from_gymnasium("CartPole-v1")),
        to_gymnasium_vector(from_gymnasium("CartPole-v1"), 2),
    )
    first, firsts = single.reset(seed=5)[0], among.reset(seed=4)[0]
    np.testing.assert_array_equal(first, firsts[1])
    second = single.reset()[0]
    assert (second != first).any()
    np.testing.assert_array_equal(second, among.reset()[0][1])
    np.testing.assert_array_equal(single.reset(seed=5)[0], first)


def test_a_fault_is_raised_in_gymnasiums_form_and_the_next_episode_begins_with_another_object():
    env = to_gymnasium(faulty("raise", at=2), render_mode="rgb_array")
    for _ in range(2):
        env.reset(seed=0)
        env.step(1)
        assert (env.render()[240] > 128).mean() == pytest.approx(0.1, abs=0.01)
        with pytest.raises(HostedEnvError, match="wheel"):
            env.step(1)


def stepped(env):
    """Why an environment goes no further after a step with an action of its space."""
    action = jax.tree.map(lambda x: x[None], env.action_space.sample(key=jr.key(0)))
    states = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(0), 1))
    assert env.fault(states) is None
    step = jax.jit(jax.vmap(lambda state, action: env.transition(state, action)))
    return env.fault(step(states, action))


@pytest.mark.filterwarnings("ignore:.*render_modes")  # there are none
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, ""),
        (None, "an observation is of type NoneType; its space is a dict of door, pair"),
        ({"window": 1}, "an observation is a dict of door, pair, window; its space is a dict of door, pair"),
        ({"pair": [np.ones(2, np.int8)]}, "an observation is of type list of 1; its space is a tuple of 2"),
        ({"door": 0}, "0 is not in Discrete(20, start=1)"),
        ({"door": np.int64(21)}, "21 is not in Discrete(20, start=1)"),
        ({"pair": (np.full(2, 2, np.int8), np.array([1, 2]))}, "[2, 2] is not in MultiBinary(2)"),
        ({"pair": (np.ones(2, np.int8), np.array([1, 3]))}, "[1, 3] is not in MultiDiscrete([2 3])"),
        ({"door": 1.5}, "an observation of float64; its space has int32"),
    ],
)
def test_observations_and_actions_of_several_parts_are_those_of_their_spaces(wrong, said, monkeypatch):
    monkeypatch.setattr(outside.Parts, "wrong", wrong)
    fault = stepped(from_gymnasium("outside:Parts-v0"))
    assert (fault is None) if not said else str(fault).endswith(f"ValueError: {said}")


def test_actions_of_64_bits_lie_within_their_bounds():
    space = gymnasium.spaces.Box(-0.1, 0.1, (2,), np.float64)
    (action,) = Actions(space)([np.array([[0.1, -0.1]], np.float32)])
    assert action.tolist() == [0.1, -0.1] and space.contains(action)


def test_what_is_registered_for_vectors_alone_is_refused():
    with pytest.raises(gymnasium.error.Error, match="^Many-v0 is registered for vectors"):
        from_gymnasium("outside:Many-v0")


def test_arguments_that_are_equal_and_of_other_types_make_other_environments():
    show = tree.compiled(lambda env: env.observation(env.initial(key=jr.key(0))))
    for given, seen in [(True, 0.25), (1, 0.5), (1.0, 0.75), (True, 0.25)]:
        assert show(from_gymnasium("outside:Typed-v0", given=given)).tolist() == [seen]


def test_settings_are_the_arguments_of_what_is_registered():
    env = from_gymnasium("FrozenLake-v1", is_slippery=False, success_rate=0.5)
    assert (env.is_slippery, env.map_name, env.observation_space.n) == (False, "4x4", 16)
    assert from_gymnasium("FrozenLake-v1", map_name="8x8").observation_space.n == 64
    with pytest.raises(SettingError, match="is_slippery"):
        from_gymnasium("FrozenLake-v1", is_slippery="no")
    with pytest.raises(TypeError, match="slippery"):
        from_gymnasium("FrozenLake-v1", slippery=False)
