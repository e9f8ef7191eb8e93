"""MuJoCo inside compiled programs: the same bits as its own steps, however it is called."""

import functools
import os
import sys
import threading
from pathlib import Path
from typing import ClassVar

import equinox as eqx
import jax
import mujoco
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr
from toys import assert_bitwise_equal

import lerax
from lerax.algorithm import PPO
from lerax.env import host_call
from lerax.env.mujoco import Ant, HalfCheetah, Hopper, InvertedPendulum, Swimmer
from lerax.policy import MLPActorCriticPolicy

ROOT = str(Path(lerax.__file__).parents[1])
PARTS = mujoco.mjtState
STATE = PARTS.mjSTATE_INTEGRATION.value & (2 * PARTS.mjSTATE_CTRL.value - 1)  # what a step changes
REST = PARTS.mjSTATE_INTEGRATION.value & ~STATE
LANES, STEPS = 6, 25


@pytest.fixture(params=["ffi", "callback"])
def transport(request, monkeypatch):
    """Both ways into Python."""
    monkeypatch.setattr(host_call, "call", functools.partial(host_call.call, transport=request.param))
    return request.param


def bits(env, rows):
    """What the engine itself makes of a state, of each row, as words."""
    return np.asarray(rows)[..., : 2 * mujoco.mj_stateSize(env.mujoco_model, STATE)]


def state_of(model, data, parts=STATE):
    state = np.empty(mujoco.mj_stateSize(model, parts))
    mujoco.mj_getState(model, data, state, parts)
    return state.view(np.uint32)


@pytest.mark.parametrize("env", [Hopper(), Ant()], ids=lambda env: env.name)
def test_steps_change_no_more_of_a_state_than_a_row_carries(env):
    data = mujoco.MjData(env.mujoco_model)
    before = state_of(env.mujoco_model, data, REST)
    data.ctrl[:] = 0.5
    mujoco.mj_step(env.mujoco_model, data, nstep=200)
    np.testing.assert_array_equal(before, state_of(env.mujoco_model, data, REST))


def stepped(env, first, actions):
    """The words after each of the actions, by MuJoCo's own steps from the same positions and velocities."""
    model = env.mujoco_model
    beginning, data = env.mujoco_data(first), mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = beginning.qpos, beginning.qvel
    mujoco.mj_forward(model, data)
    words, forces = [state_of(model, data)], [data.cfrc_ext.copy()]
    for action in actions:
        data.ctrl[:] = action
        mujoco.mj_step(model, data, env.frame_skip)
        mujoco.mj_rnePostConstraint(model, data)
        words.append(state_of(model, data))
        forces.append(data.cfrc_ext.copy())
    return np.array(words), np.array(forces)


def row(states, i):
    return jax.tree.map(lambda x: x[i], jax.device_get(states))


def scan(step):
    """Steps through actions on the leading axis, and keeps all states."""
    return lambda state, actions: jax.lax.scan(lambda s, a: (step(s, a),) * 2, state, actions)[1]


def scan_of_vmap(env, states, actions):
    return scan(jax.vmap(env.transition))(states, actions)


def vmap_of_scan(env, states, actions):
    return jax.vmap(scan(env.transition), in_axes=(0, 1), out_axes=1)(states, actions)


def nested(env, states, actions):
    """Of three by two simulations."""
    split = lambda x, axis: x.reshape(*x.shape[:axis], 3, 2, *x.shape[axis + 1 :])
    joined = lambda x: x.reshape(STEPS, LANES, *x.shape[3:])
    step = jax.vmap(jax.vmap(env.transition))
    states = jax.tree.map(lambda x: split(x, 0), states)
    return jax.tree.map(joined, scan(step)(states, split(actions, 1)))


@functools.cache
def expected_of(env):
    """First states, actions, and what MuJoCo makes of them."""
    states = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(0), LANES))
    sample = lambda key: env.action_space.sample(key=key)
    actions = jax.vmap(jax.vmap(sample))(jr.split(jr.key(1), (STEPS, LANES)))
    found = [stepped(env, row(states, i), np.asarray(actions)[:, i]) for i in range(LANES)]
    words, forces = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    np.testing.assert_array_equal(bits(env, states.row), words[0])
    return states, actions, words[1:], forces[1:]


@pytest.mark.parametrize("loop", [scan_of_vmap, vmap_of_scan, nested])
@pytest.mark.parametrize("cls", [Hopper, HalfCheetah, Ant])
def test_simulations_are_mujocos_to_the_bit(cls, loop, transport):
    env = cls()
    states, actions, words, forces = expected_of(env)
    program = jax.jit(functools.partial(loop, env))
    assert (host_call.TARGET in program.lower(states, actions).as_text()) == (transport == "ffi")
    played = program(states, actions)
    np.testing.assert_array_equal(bits(env, played.row), words)
    if cls is Ant:  # whose observation ends with contact forces
        shown = np.asarray(played.outcome)[..., :-2]
        contacts = np.clip(forces[..., 1:, :], -1, 1).reshape(STEPS, LANES, -1).astype(np.float32)
        np.testing.assert_array_equal(shown[..., -contacts.shape[-1] :], contacts)
        assert contacts.any()


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("cls", [Hopper, Ant])
def test_threads_change_no_bit(cls, threads):
    states, actions, words, _ = expected_of(cls())
    env = cls(threads=threads)
    played = jax.jit(functools.partial(scan_of_vmap, env))(states, actions)
    np.testing.assert_array_equal(bits(env, played.row), words)


def test_finished_episodes_begin_anew_and_all_others_go_on():
    env = InvertedPendulum()
    drawn = jax.vmap(lambda key: env.draw(key=key))(jr.split(jr.key(3), 4))
    whole = jax.vmap(lambda key: env.initial(key=key))(jr.split(jr.key(3), 4))
    assert_bitwise_equal(jax.vmap(env.begin)(drawn), whole)
    assert_bitwise_equal(jax.vmap(env.begin)(whole), whole)
    mixed = jax.tree.map(lambda one, other: jnp.concatenate([one[:2], other[2:]]), drawn, whole)
    assert_bitwise_equal(jax.jit(jax.vmap(env.begin))(mixed), whole)


def test_environments_of_one_class_do_not_mix():
    slow, fast = Hopper(frame_skip=1), Hopper(frame_skip=8)
    both = jax.jit(lambda s, a: (slow.transition(s, a), fast.transition(s, a)))
    states, actions, *_ = expected_of(slow)
    first, action = row(states, 0), np.asarray(actions)[0, 0]
    for env, after in zip((slow, fast), both(first, action), strict=True):
        np.testing.assert_array_equal(bits(env, after.row), stepped(env, first, [action])[0][-1])
    assert not np.array_equal(*(after.row for after in both(first, action)))


CALLS = f"""
import os, sys
if sys.argv[1] == "one":
    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
sys.path.insert(0, {str(Path(__file__).parent)!r})
import jax, numpy as np
from jax import numpy as jnp, random as jr
from lerax.env.mujoco import Ant, Hopper
from test_mujoco_bridge import bits, row, scan, stepped

rng = np.random.default_rng(0)
envs = [Hopper(), Ant()]
first = [jax.jit(lambda key, env=env: env.initial(key=key))(jr.key(0)) for env in envs]
states, taken = list(first), [[], []]
eager = [jax.vmap(env.transition) for env in envs]
jitted = [jax.jit(env.transition) for env in envs]
mapped = [jax.jit(jax.vmap(env.transition)) for env in envs]
scanned = [jax.jit(scan(env.transition)) for env in envs]
for call in range(1000):
    which, kind = int(rng.integers(2)), int(rng.integers(10))
    env, state = envs[which], states[which]
    size = (int(rng.choice([1, 64])), *env.action_space.shape)
    actions = rng.uniform(-1, 1, size).astype(np.float32)
    many = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(actions), *x.shape)), state)
    if kind == 0:
        state, done = env.transition(state, actions[0]), actions[:1]
    elif kind == 1:
        state, done = jax.tree.map(lambda x: x[0], eager[which](many, actions)), actions[:1]
    elif kind == 2:
        state, done = row(scanned[which](state, actions[:3]), -1), actions[:3]
    elif kind < 6:
        state, done = jax.tree.map(lambda x: x[-1], mapped[which](many, actions)), actions[-1:]
    else:
        state, done = jitted[which](state, actions[0]), actions[:1]
    states[which] = state
    taken[which].extend(done)
for env, begun, state, actions in zip(envs, first, states, taken):
    np.testing.assert_array_equal(bits(env, state.row), stepped(env, jax.device_get(begun), actions)[0][-1])
print(sum(map(len, taken)))
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Where the two below keep what they compile, since they compile the same."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("programs")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@pytest.mark.parametrize("cores", ["one", "all"])
def test_a_thousand_mixed_calls_return(cores, programs, tmp_path):
    """Of any kind, in any order, of two models; a hang would end in a time-out."""
    python = {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path]), **programs}
    done = terminal.finish([sys.executable, "-W", "error", "-c", CALLS, cores], tmp_path, python)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1000


STORED = """
import sys, jax, numpy as np
from lerax.env.mujoco import Hopper

jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
for skip in map(int, sys.argv[1:]):
    env = Hopper(frame_skip=skip)
    words = np.load("words.npy")
    state = env.draw(key=jax.random.key(0))
    state = type(state)(words, state.outcome, state.steps)
    program = jax.jit(lambda s, a: env.transition(s, a).row)
    np.save(f"after-{skip}.npy", program(state, np.ones(3, np.float32)))
"""


def test_a_stored_program_steps_the_right_model(tmp_path):
    first = row(expected_of(Hopper())[0], 0)
    np.save(tmp_path / "words.npy", first.row)
    changes = {
        "PYTHONPATH": os.pathsep.join([ROOT, *sys.path]),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
    }
    stored = []
    for skips in (["4"], ["2", "4"], ["4", "2"]):  # in the second process the first is not the first to come
        done = terminal.finish([sys.executable, "-W", "error", "-c", STORED, *skips], tmp_path, changes)
        assert done.returncode == 0, done.stderr
        stored.append(len(list((tmp_path / "cache").glob("jit__lambda*-cache"))))
        for skip in skips:
            env, file = Hopper(frame_skip=int(skip)), tmp_path / f"after-{skip}.npy"
            expected = stepped(env, first, [np.ones(3)])[0][-1]
            np.testing.assert_array_equal(bits(env, np.load(file)), expected)
            file.unlink()
    assert stored == [1, 2, 2]  # a program is stored once, and found again


def test_training_is_the_same_from_the_host_and_inside_jit_and_vmap():
    env = Swimmer(max_episode_steps=20)
    algorithm = PPO(num_envs=2, num_steps=32, num_epochs=1, num_batches=2)
    policy = MLPActorCriticPolicy(env=env, hidden_sizes=(8,), key=jr.key(0))
    keys = jr.split(jr.key(1), 2)
    learn = lambda key: algorithm.learn(env, policy, 256, key=key)
    from_host = [learn(key) for key in keys]

    compiled = eqx.filter_jit(learn)
    mapped = eqx.filter_jit(eqx.filter_vmap(learn))(keys)
    for i, expected in enumerate(from_host):
        inside = compiled(keys[i])
        for ours, jitted, lanes in zip(*map(leaves, (expected, inside, mapped)), strict=True):
            np.testing.assert_allclose(ours, jitted, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(ours, lanes[i], rtol=1e-3, atol=1e-4)
    before, after = leaves(policy), leaves(from_host[0])
    assert any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def leaves(policy):

    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array))]


def test_a_thread_of_xlas_keeps_its_state_in_python():
    """What Python would make anew, and throw away, for each call."""
    local, calls = threading.local(), []

    def count(inputs, outputs):
        local.count = getattr(local, "count", 0) + 1
        calls.append((threading.get_native_id(), local.count))
        outputs[0][:] = inputs[0]

    number = host_call.register("a test", b"counts its calls", count)
    shape = jax.ShapeDtypeStruct((1,), jnp.float32)
    step = lambda x, _: (host_call.call(number, [shape], x, transport="ffi")[0], None)
    run = jax.jit(lambda x: jax.lax.scan(step, x, length=5)[0])
    own, tries = threading.get_native_id(), 0
    busy = jax.jit(lambda x: jnp.linalg.matrix_power(x, 64)[0, :1])  # what waits for it has a thread of XLA's
    while tries < 5 or all(thread == own for thread, _ in calls):
        run(busy(jnp.zeros((300, 300)))).block_until_ready()
        tries += 1
        assert tries < 200, "it always runs on the caller's own thread"
    for thread in {thread for thread, _ in calls}:
        counts = [count for at, count in calls if at == thread]
        assert counts == list(range(1, len(counts) + 1))


class NamesAll(Hopper):
    fields: ClassVar[tuple[str, ...]] = ("qpos", "xpos")


def test_a_task_may_name_what_is_read_anyway():
    def after_a_step(env):
        return env.transition(env.initial(key=jr.key(0)), jnp.ones(3)).outcome

    np.testing.assert_array_equal(after_a_step(NamesAll()), after_a_step(Hopper()))
