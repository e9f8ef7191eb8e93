"""Training in pieces: schedules that fall once, and states that are saved, loaded and trained on."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from toys import Idle, assert_bitwise_equal, untimed

from lerax import checkpoint
from lerax.algorithm import PPO
from lerax.callback import AbstractCallback, LoggingCallback, MemoryBackend, StopOnNonFinite
from lerax.checkpoint import CheckpointError

STEPS = 64  # of an iteration
FALLING = PPO(
    num_envs=4,
    num_steps=16,
    num_epochs=1,
    num_batches=1,
    learning_rate_schedule="linear",
    clip_schedule="linear",
)


def callbacks(memory=None):
    return [LoggingCallback(memory or MemoryBackend(), name="run"), StopOnNonFinite()]


def train(state, *pieces):
    """The state after training up to each of some numbers of iterations, and what was logged."""
    memory = MemoryBackend()
    watching = callbacks(memory)
    with watching[0]:
        for iterations in pieces:
            state = FALLING.run(state, iterations * STEPS, callback=watching)
    return state, untimed(memory.records)


def begin(env, policy, iterations=None):
    total = None if iterations is None else iterations * STEPS
    return FALLING.init(env, policy, key=jr.key(1), total_timesteps=total)


@pytest.fixture(scope="module")
def whole(env, policy):
    """Eight iterations in one run, which says how long the training is."""
    return train(begin(env, policy), 8)


@pytest.mark.parametrize("pieces", [(8,), (3, 8), (1, 2, 7, 8)])
def test_schedules_fall_once_however_training_is_cut(env, policy, whole, pieces):
    """Learning rate and clip: the parameters are bitwise the same."""
    state, records = train(begin(env, policy, 8), *pieces)
    assert_bitwise_equal(state, whole[0])
    assert records == whole[1]
    rates = [scalars["train/learning_rate"] for _, scalars in records]
    np.testing.assert_allclose(rates, FALLING.learning_rate * (1 - np.arange(8) / 8), rtol=1e-6)


def test_the_first_run_says_how_long_the_training_is_where_nobody_else_does(env, policy, whole):
    """And a later one beyond that end is refused, for nothing is left of the learning rate."""
    state, records = train(begin(env, policy), 4)
    assert [scalars["train/learning_rate"] for _, scalars in records] == [
        scalars["train/learning_rate"] for _, scalars in whole[1][::2]
    ]
    said = (
        r"total_timesteps: beyond .* nothing is left by learning_rate_schedule and clip_schedule "
        r"\(got 512, it ends at 256\); begin it with init\(\.\.\., total_timesteps=512\)$"
    )
    with pytest.raises(ValueError, match=said):
        train(state, 8)


def test_where_nothing_falls_training_goes_on(env, policy):
    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 30)
    assert int(Idle().run(state, 60).iteration_count) == 6


class Told(AbstractCallback):
    """Keeps what it is told of the length of the training."""

    def reset(self, ctx, *, key):
        return {"steps": jnp.array(0), "iterations": jnp.array(0)}

    def on_training_start(self, ctx, *, key):
        return {"steps": ctx.total_timesteps, "iterations": ctx.locals["total_iterations"]}

    on_training_end = on_training_start


@pytest.mark.parametrize(("total", "pieces", "told"), [(60, [30], 6), (60, [30, 60], 6), (30, [30, 60], 6)])
def test_callbacks_are_told_the_length_of_the_whole_training(env, policy, total, pieces, told):
    """A relative of the schedules: what a progress bar counts to; a run beyond the end moves it."""
    state = Idle().init(env, policy, key=jr.key(0), total_timesteps=total)
    for steps in pieces:
        state = Idle().run(state, steps, callback=Told())
    assert jax.tree.map(int, state.callback_state) == ({"steps": 10 * told, "iterations": told},)


def test_inside_jit_the_end_that_was_given_counts_too(env, policy):
    """And beyond it, where nothing can be refused, schedules stay at their end."""

    def rate_after(iterations):
        @jax.jit
        def run(state):
            return FALLING.run(FALLING.run(state, STEPS), iterations * STEPS).opt_state

        return float(run(begin(env, policy, 4)).hyperparams["learning_rate"])

    assert rate_after(3) == pytest.approx(FALLING.learning_rate / 2)  # of the third iteration
    assert rate_after(6) == 0


@pytest.mark.parametrize("steps", [0, 63])
def test_too_short_a_training_is_refused_at_its_beginning(env, policy, steps):
    with pytest.raises(ValueError, match=f"total_timesteps.*got {steps}.*at least 64"):
        FALLING.init(env, policy, key=jr.key(0), total_timesteps=steps)


@pytest.fixture(scope="module")
def saved(env, policy, tmp_path_factory):
    """A state that was saved in the middle of training, while callbacks watched."""
    path = tmp_path_factory.mktemp("state") / "state.eqx"
    checkpoint.save(path, train(begin(env, policy, 8), 3)[0])
    return path


def test_a_state_that_was_saved_while_callbacks_watched_goes_on(env, policy, whole, saved):
    """Parameters, optimizer, moving averages and the end of the schedules, as if it had never stopped."""
    watching = callbacks()
    with watching[0]:
        template = FALLING.template(env, policy, callback=watching)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(template))
    state, records = train(checkpoint.load(saved, template), 8)
    assert_bitwise_equal(state, whole[0])
    assert records == whole[1][3:]


@pytest.mark.parametrize("watching", [None, [], [StopOnNonFinite()], [StopOnNonFinite(), StopOnNonFinite()]])
def test_other_callbacks_than_those_of_the_run_are_named(env, policy, saved, watching):
    template = FALLING.template(env, policy, callback=watching)
    said = r"state.eqx: \S*callback_state\S* does not fit \(.*\); give `template` the callbacks of the run$"
    with pytest.raises(CheckpointError, match=said):
        checkpoint.load(saved, template)


def test_a_state_of_other_settings_is_named(env, policy, saved):
    """A relative of other callbacks."""
    wider = PPO(num_envs=8, num_steps=16)
    with pytest.raises(CheckpointError, match=r"does not fit \(expected \('\w+', \(8"):
        checkpoint.load(saved, wider.template(env, policy, callback=callbacks()))


def test_a_template_is_nothing_to_save(env, policy, tmp_path):
    with pytest.raises(TypeError, match="cannot be saved .got the form of an array"):
        checkpoint.save(tmp_path / "x", FALLING.template(env, policy))
    assert not list(tmp_path.iterdir())


def test_keys_of_every_kind_come_back_into_a_form(tmp_path):
    keys = {"a": jr.key(3, impl="rbg"), "b": jr.split(jr.key(4), 2)}
    checkpoint.save(tmp_path / "x", keys)
    assert_bitwise_equal(checkpoint.load(tmp_path / "x", jax.eval_shape(lambda: keys)), keys)
