"""The callback protocol: which hook is called when, with what, and what its answer does."""

import re

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Float, Int
from toys import Idle

from lerax.algorithm import PPO, loop
from lerax.callback import (
    AbstractCallback,
    AbstractCallbackState,
    AbstractCallbackStepState,
    CallbackList,
    EmptyCallback,
    EmptyCallbackState,
    EmptyCallbackStepState,
    LoggingCallback,
    MemoryBackend,
)
from lerax.callback.callback_list import as_callback
from lerax.env.classic_control import CartPole, CartPoleState
from lerax.errors import LeraxWarning
from lerax.policy import MLPActorCriticPolicy


class SuccessCount(AbstractCallbackStepState):
    count: Int[Array, "*env"]


class Solved(AbstractCallbackState):
    total: Int[Array, ""]


class StopOnSuccesses(AbstractCallback):
    """As a user would write it: counts steps in which the pole is nearly upright, and stops at enough."""

    wanted: int = eqx.field(static=True)

    def reset(self, ctx, *, key):
        return Solved(jnp.array(0))

    def step_reset(self, ctx, *, key):
        return SuccessCount(jnp.array(0))

    def on_step(self, ctx, *, key):
        upright = jnp.abs(ctx.locals["next_observation"][2]) < 0.05
        return SuccessCount(ctx.state.count + upright)

    def on_iteration(self, ctx, *, key):
        return Solved(jnp.sum(ctx.step_state.count))

    def continue_training(self, ctx, *, key):
        return ctx.state.total < self.wanted


class StepCheck(AbstractCallbackStepState):
    steps: Int[Array, "*env"]
    terminals: Int[Array, "*env"]
    truncations: Int[Array, "*env"]
    error: Float[Array, "*env"]


class CheckSteps(AbstractCallback):
    """Holds every step's context against the environment itself."""

    def step_reset(self, ctx, *, key):
        return StepCheck(jnp.array(0), jnp.array(0), jnp.array(0), jnp.array(0.0))

    def on_step(self, ctx, *, key):
        seen = ctx.locals
        after = ctx.env.transition(CartPoleState(seen["observation"], jnp.array(0)), seen["action"])
        errors = [
            jnp.max(jnp.abs(after.y - seen["next_observation"])),
            jnp.abs(ctx.reward - 1.0),
            ctx.done != (seen["terminal"] | seen["truncated"]),
            ctx.env.terminal(after) != seen["terminal"],
        ]
        error = jnp.maximum(ctx.state.error, jnp.max(jnp.stack([jnp.asarray(e, float) for e in errors])))
        terminals = ctx.state.terminals + seen["terminal"]
        return StepCheck(ctx.state.steps + 1, terminals, ctx.state.truncations + seen["truncated"], error)


@pytest.fixture(scope="module")
def watched(policy):
    """Both callbacks in one training, which the first of them ends."""
    algorithm = PPO(num_envs=3, num_steps=32, num_epochs=1, num_batches=1)
    callback = as_callback([StopOnSuccesses(500), CheckSteps()])
    state = algorithm.init(CartPole(max_episode_steps=12), policy, key=jr.key(0))
    return loop.run_from_host(algorithm, state, callback, 100)


def test_a_users_callback_counts_in_on_step_and_ends_training(watched):
    total = int(watched.callback_state[0].total)
    iterations = int(watched.iteration_count)
    counts = watched.step_state.callback_state[0].count
    assert counts.shape == (3,) and total == counts.sum()
    assert 500 <= total < 500 + 3 * 32 and iterations < 100


@pytest.mark.parametrize("how", ["inside jit", "inside vmap"])
def test_the_same_callback_inside_a_callers_own_program(policy, how):
    """It ends training at the same iteration; under vmap each lane at its own."""
    algorithm = PPO(num_envs=3, num_steps=32, num_epochs=1, num_batches=1)
    env, keys = CartPole(max_episode_steps=12), jr.split(jr.key(1), 3)

    def records(transform, key):
        memory = MemoryBackend()
        with LoggingCallback(memory, name="run") as logger:
            callbacks = [StopOnSuccesses(500), logger]
            learn = lambda key: algorithm.learn(env, policy, 100 * 96, key=key, callback=callbacks)
            jax.block_until_ready(transform(learn)(key))
        return [scalars for _, scalars in memory.records]

    alone = [len(records(lambda learn: learn, key)) for key in keys]
    if how == "inside jit":
        assert len(records(jax.jit, keys[0])) == alone[0] < 100
    else:
        found = records(lambda learn: jax.jit(jax.vmap(learn)), keys)
        assert [sum(f"seed_{i}/train/loss" in one for one in found) for i in range(3)] == alone


def test_on_step_sees_every_step_of_every_environment_as_it_was(watched):
    check = watched.step_state.callback_state[1]
    assert check.steps.tolist() == [32 * int(watched.iteration_count)] * 3
    assert check.terminals.sum() > 3 and check.truncations.sum() > 3
    assert float(check.error.max()) < 1e-6


class Trail(AbstractCallbackState):
    """The hooks that were called, as digits of a number, and what they were told."""

    hooks: Int[Array, ""]
    iterations: Int[Array, ""]
    total: Int[Array, ""]


RESET, START, ITERATION, CONTINUE, END = 1, 2, 3, 4, 5


class Traces(AbstractCallback):
    """Each of these hooks appends its digit; `continue_training` shows that it saw the state before it."""

    first: int = eqx.field(static=True)

    def _with(self, state, digit, ctx):
        total = ctx.locals.get("total_iterations", state.total)
        return Trail(10 * state.hooks + digit, state.iterations + ctx.iteration_count, jnp.asarray(total))

    def reset(self, ctx, *, key):
        return Trail(jnp.array(10 * self.first + RESET), jnp.array(0), jnp.array(0, jnp.int32))

    def on_training_start(self, ctx, *, key):
        return self._with(ctx.state, START, ctx)

    def on_iteration(self, ctx, *, key):
        return self._with(ctx.state, ITERATION, ctx)

    def continue_training(self, ctx, *, key):
        return ctx.state.hooks % 10 == ITERATION

    def on_training_end(self, ctx, *, key):
        return self._with(ctx.state, END, ctx)


def run(callback, env, policy, iterations=3, traced=False):
    algorithm = Idle()
    state = algorithm.init(env, policy, key=jr.key(0))
    run = lambda state: algorithm.run(state, 10 * iterations, callback=callback)
    return eqx.filter_jit(run)(state) if traced else run(state)


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_hooks_are_called_in_order(env, policy, traced):
    """And each member of a list, nested or not, keeps a state of its own."""
    callback = [Traces(7), EmptyCallback(), CallbackList([Traces(8), Traces(9)])]
    one, empty, (two, three) = run(callback, env, policy, traced=traced).callback_state
    assert int(one.hooks) == 71_2_333_5
    assert (int(two.hooks), int(three.hooks)) == (81_2_333_5, 91_2_333_5)
    assert int(one.iterations) == 0 + (1 + 2 + 3) + 3 and int(one.total) == 3
    assert isinstance(empty, EmptyCallbackState)


def test_training_start_is_told_the_steps_and_iterations(env, policy):
    class Told(AbstractCallback):
        def on_training_start(self, ctx, *, key):
            return {"steps": ctx.total_timesteps, "iterations": ctx.locals["total_iterations"]}

        def reset(self, ctx, *, key):
            return {"steps": jnp.array(0), "iterations": jnp.array(0)}

    state = run(Told(), env, policy)
    assert jax.tree.map(int, state.callback_state) == ({"steps": 30, "iterations": 3},)


def test_defaults_do_nothing(env, policy):
    state = run(EmptyCallback(), env, policy)
    assert isinstance(state.callback_state[0], EmptyCallbackState)
    assert isinstance(state.step_state.callback_state[0], EmptyCallbackStepState)
    assert int(state.iteration_count) == 3


class Composite(AbstractCallback):
    """A user's own callback that happens to hold others, without being a CallbackList."""

    callbacks: tuple

    def reset(self, ctx, *, key):
        return jnp.array(0)

    def on_training_end(self, ctx, *, key):
        return ctx.state + 1


def test_a_users_callback_may_hold_others(env, policy):
    assert int(run(Composite(callbacks=()), env, policy).callback_state[0]) == 1


class AlgorithmLog(AbstractCallback):
    def reset(self, ctx, *, key):
        return {"loss": jnp.array(0.0), "weight": jnp.array(0.0)}

    def on_iteration(self, ctx, *, key):
        assert ctx.algorithm.name == "Idle" and ctx.env.name == "CartPole-v1"  # static, known while tracing
        return {"loss": ctx.training_log["loss"], "weight": ctx.policy.actor.weights[0][0, 0]}


def test_on_iteration_sees_the_log_and_the_policy(env, policy):
    (seen,) = run(AlgorithmLog(), env, policy).callback_state
    assert float(seen["loss"]) == pytest.approx(np.sqrt(3))
    assert float(seen["weight"]) == float(policy.actor.weights[0][0, 0])


class Stuck(AbstractCallback):
    """Confuses an interval with a schedule."""

    answer: int = eqx.field(static=True)

    def next_due(self, iteration):
        return self.answer


@pytest.mark.parametrize("answer", [0, -1, 2])
def test_an_iteration_that_is_past_is_not_due(env, policy, answer):
    """The error names the callback, however deep it stands in lists."""
    callback = [EmptyCallback(), CallbackList([Stuck(answer)])]
    with pytest.raises(ValueError, match=rf"^Stuck\.next_due: not in the future .got {answer} at iteration"):
        run(callback, env, policy)


@pytest.mark.parametrize("callback", [None, [], ()])
def test_no_callback_is_a_callback(env, policy, callback):
    assert int(run(callback, env, policy).iteration_count) == 3


class CountsFromANumber(AbstractCallback):
    def reset(self, ctx, *, key):
        return 0

    def on_iteration(self, ctx, *, key):
        return ctx.state + 1


def test_a_state_may_begin_as_a_python_number(env, policy):
    state = Idle().init(env, policy, key=jr.key(0))
    (found,) = Idle().run(state, 40, callback=CountsFromANumber()).callback_state
    assert int(found) == 4


class Counts(AbstractCallback):
    """Counts in all its hooks, and gives back what it is told to in one of them."""

    wrong_in: str = eqx.field(static=True)
    wrong: object = eqx.field(static=True)

    def reset(self, ctx, *, key):
        return jnp.array(0), {"key": jr.key(0)}

    step_reset = reset

    def _next(self, hook, ctx):
        count, rest = ctx.state
        return (
            {"nothing": None, "float": (count + 0.5, rest), "wider": (jnp.stack([count] * 2), rest)}[
                self.wrong
            ]
            if hook == self.wrong_in
            else (count + 1, rest)
        )

    def on_step(self, ctx, *, key):
        return self._next("on_step", ctx)

    def on_iteration(self, ctx, *, key):
        return self._next("on_iteration", ctx)

    def on_training_start(self, ctx, *, key):
        return self._next("on_training_start", ctx)

    def on_training_end(self, ctx, *, key):
        return self._next("on_training_end", ctx)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [("nothing", "None"), ("float", r"\(f32\[\], .*"), ("wider", r"\(i32\[2\], .*")],
)
@pytest.mark.parametrize("hook", ["on_step", "on_iteration", "on_training_start", "on_training_end"])
def test_a_hook_that_gives_no_next_state_is_named(hook, wrong, got):
    env = CartPole()
    policy = MLPActorCriticPolicy(env=env, hidden_sizes=(4,), key=jr.key(0))
    expected = rf"Counts\.{hook}: must return the next state.* \(got {got} after \(i32\[\], .*\)"
    with pytest.raises(TypeError) as error:
        PPO(num_envs=1, num_steps=8, num_batches=1).learn(
            env, policy, 16, key=jr.key(0), callback=Counts(hook, wrong)
        )
    assert re.fullmatch(expected, str(error.value).splitlines()[0])  # JAX adds lines about its own frames


class Relative(AbstractCallback):
    def next_due(self, iteration):
        return iteration + 2


def test_a_due_iteration_that_moves_away_is_refused(env, policy):
    with pytest.raises(ValueError, match="Relative.next_due: no schedule"):
        Idle().learn(env, policy, 40, key=jr.key(0), callback=Relative())


def test_importing_everything_hides_no_builtin():
    names = {}
    exec("from lerax.callback import *", names)
    assert not {"list", "type", "print"} & set(names) and "CallbackList" in names


class CountsIterations(AbstractCallback):
    def reset(self, ctx, *, key):
        return jnp.array(0)

    def on_iteration(self, ctx, *, key):
        return ctx.state + 1


class CountsDouble(CountsIterations):
    def on_iteration(self, ctx, *, key):
        return ctx.state + 2


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_a_run_goes_on_with_the_states_of_each_callback_wherever_it_stands(env, policy, traced):
    algorithm = Idle()
    state = algorithm.init(env, policy, key=jr.key(0))
    one, two = CountsIterations(), CountsDouble()
    state = algorithm.run(state, 20, callback=[one, two, one])
    go_on = lambda state: algorithm.run(state, 30, callback=[two, EmptyCallback(), one, one])
    state = eqx.filter_jit(go_on)(state) if traced else go_on(state)
    assert [int(x) for x in jax.tree.leaves(state.callback_state)] == [6, 3, 3]


class CountsInPairs(AbstractCallback):
    def __init__(self):
        type(self).__name__ = "CountsIterations"  # of the same name, and another form

    def reset(self, ctx, *, key):
        return jnp.zeros(2)


@pytest.mark.parametrize("other", [[], [EmptyCallback()], [CountsInPairs()]])
def test_states_that_are_not_gone_on_with_are_named(env, policy, other):
    """Empty ones are not: nothing is lost with them."""
    algorithm = Idle()
    state = algorithm.init(env, policy, key=jr.key(0))
    state = algorithm.run(state, 20, callback=[EmptyCallback(), CountsIterations()])
    with pytest.warns(LeraxWarning, match="the states of CountsIterations are not gone on with"):
        algorithm.run(state, 30, callback=other)


def test_a_host_method_sees_all_and_its_own(env, policy):
    seen = []

    class Looks(CountsIterations):
        def next_due(self, iteration):
            return iteration + 1 if iteration < 2 else None

        def on_host(self, state, own, iteration):
            seen.append((iteration, int(own.state), jax.tree.map(int, state.callback_state)))

    algorithm = Idle()
    state = algorithm.init(env, policy, key=jr.key(0))
    algorithm.run(state, 30, callback=[CountsDouble(), Looks()])
    assert seen == [(1, 1, (2, 1)), (2, 2, (4, 2))]


class WithoutOwn(EmptyCallback):
    def on_host(self, state, iteration):
        pass


class WithoutKey(EmptyCallback):
    def on_iteration(self, ctx):
        return ctx.state


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (
            WithoutOwn(),
            "on_host: must be def on_host(self, state, own, iteration) (got on_host(self, state, it",
        ),
        (
            WithoutKey(),
            "on_iteration: must be def on_iteration(self, ctx, *, key) (got on_iteration(self, ctx))",
        ),
    ],
)
def test_a_hook_of_another_signature_is_refused_before_training(env, policy, callback, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        Idle().learn(env, policy, 10, key=jr.key(0), callback=callback)
