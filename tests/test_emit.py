"""The one door out of traced code: `emit`."""

import equinox as eqx
import jax
import numpy as np
import pytest
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Int
from toys import Idle

from lerax.algorithm import PPO
from lerax.callback import AbstractCallback, emit, outbox
from lerax.errors import LeraxWarning


class Inbox:
    """Keeps every record; raises `error` if there is one."""

    error = None

    def __init__(self):
        self.records = []

    def receive(self, record, times, running):
        if self.error is not None:
            raise self.error
        arrays = jax.tree.leaves(record)
        assert all(isinstance(array, np.ndarray) for array in arrays)
        assert len(times) > 0 and {len(array) for array in arrays} == {len(times)}
        at = lambda i: jax.tree.map(lambda array: array[i].tolist(), record)
        self.records += map(at, range(len(times)))


@pytest.fixture
def inbox():
    inbox = Inbox()
    inbox.channel = outbox.register(inbox)
    yield inbox
    outbox.unregister(inbox.channel)


class Emits(AbstractCallback):
    """The subclasses say where."""

    channel: Int[Array, ""]

    def __init__(self, channel):
        self.channel = jnp.array(channel, jnp.int32)


def train(callback, env, policy, iterations=5, algorithm=None, traced=False):
    algorithm = algorithm or Idle()
    steps = iterations * algorithm.steps_per_iteration
    learn = lambda key: algorithm.learn(env, policy, steps, key=key, callback=callback)
    jax.block_until_ready((jax.jit(learn) if traced else learn)(jr.key(0)))
    jax.effects_barrier()


class Said(eqx.Module):
    """A record with static parts."""

    at: Int[Array, "*record"]
    kind: str = eqx.field(static=True)
    about: tuple = eqx.field(static=True, default=())


class Everywhere(Emits):
    def on_training_start(self, ctx, *, key):
        emit(self.channel, Said(ctx.iteration_count, "start", ("text", 3)))
        return ctx.state

    def on_iteration(self, ctx, *, key):
        n = ctx.iteration_count
        emit(self.channel, {"n": n, "square": n**2 / 2, "row": jnp.stack([n, -n]), "even": n % 2 == 0})
        emit(self.channel, Said(n, "odd"), when=n % 2 == 1)
        return ctx.state

    def on_training_end(self, ctx, *, key):
        emit(self.channel, Said(ctx.iteration_count, "end"))
        return ctx.state


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_records_arrive_as_they_were_sent(inbox, env, policy, traced):
    train(Everywhere(inbox.channel), env, policy, traced=traced)
    expected = [{"n": n, "square": n * n / 2, "row": [n, -n], "even": n % 2 == 0} for n in range(1, 6)]
    said = [record for record in inbox.records if isinstance(record, Said)]
    assert inbox.records[0] is said[0] and inbox.records[-1] is said[-1]
    assert [(one.at, one.kind, one.about) for one in said] == [
        (0, "start", ("text", 3)),
        *((n, "odd", ()) for n in (1, 3, 5)),
        (5, "end", ()),
    ]
    assert [record for record in inbox.records if isinstance(record, dict)] == expected


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_a_number_that_nobody_ever_had_is_warned_of_once(env, policy, traced):
    number = 10**6 + traced
    with pytest.warns(LeraxWarning) as said:
        train(Everywhere(jnp.array(number, jnp.int32)), env, policy, traced=traced)
    assert [str(one.message).partition(", and")[0] for one in said] == [
        f"emit: nobody was registered with the number {number}"
    ]


class OnStep(Emits):
    def on_step(self, ctx, *, key):
        emit(self.channel, {"reward": ctx.reward})
        return ctx.state


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_on_step_cannot_emit(inbox, env, policy, traced):
    with pytest.raises(RuntimeError, match="on_step.*emit it in on_iteration"):
        train(OnStep(inbox.channel), env, policy, 1, PPO(num_envs=2, num_steps=4), traced)


def emitting(hook):
    """A callback that emits in a hook that must not."""

    def method(self, ctx, *, key):
        emit(self.channel, {"x": 1.0})
        return getattr(AbstractCallback, hook)(self, ctx, key=key)

    return type("Emitting", (Emits,), {hook: method})


@pytest.mark.parametrize("hook", ["reset", "step_reset", "continue_training"])
def test_neither_can_other_hooks_that_only_answer(inbox, env, policy, hook):
    with pytest.raises(RuntimeError, match=f"not possible in {hook}"):
        train(emitting(hook)(inbox.channel), env, policy)


class InCond(Emits):
    def on_iteration(self, ctx, *, key):
        jax.lax.cond(ctx.iteration_count > 2, lambda: emit(self.channel, {"x": 1.0}), lambda: None)
        return ctx.state


class InScan(Emits):
    def on_iteration(self, ctx, *, key):
        jax.lax.scan(lambda carry, x: (emit(self.channel, {"x": x}), None), None, jnp.arange(3))
        return ctx.state


class InVmap(Emits):
    def on_iteration(self, ctx, *, key):
        jax.vmap(lambda x: emit(self.channel, {"x": x}))(jnp.arange(3))
        return ctx.state


class InJit(Emits):
    def on_iteration(self, ctx, *, key):
        jax.jit(lambda x: emit(self.channel, {"x": x}))(ctx.iteration_count)
        return ctx.state


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
@pytest.mark.parametrize("kind", [InCond, InScan, InVmap, InJit])
def test_inner_transformations_cannot_emit(inbox, env, policy, kind, traced):
    with pytest.raises(RuntimeError, match="emit: called inside a cond, scan, vmap or jit.*when="):
        train(kind(inbox.channel), env, policy, traced=traced)


def test_lanes_of_a_vmap_arrive_in_one_piece(inbox):
    """Nested ones, too; a mask says which of them sent."""
    arrived = []
    inbox.receive = lambda record, times, running: arrived.append((record, running))

    def send(x, when):
        emit(inbox.channel, {"x": x, "same": 7}, when=when)
        return x

    jax.jit(jax.vmap(jax.vmap(send)))(jnp.arange(4.0).reshape(2, 2), jnp.array([[1, 0], [1, 1]], bool))
    jax.vmap(send, in_axes=(0, None))(jnp.arange(3.0), jnp.array(False))
    jax.effects_barrier()
    ((values, running),) = arrived
    assert values["x"].tolist() == [[0.0, 1.0, 2.0, 3.0]] and values["same"].tolist() == [[7] * 4]
    assert running.tolist() == [[True, False, True, True]]


def test_what_a_program_has_sent_may_be_kept(inbox):
    """The values are not the program's memory, which it writes over."""
    kept = []
    inbox.receive = lambda record, times, running: kept.append(record)

    @jax.jit
    def program(x):
        def send(i, x):
            emit(inbox.channel, {"n": i, "x": x + i, "row": x * jnp.arange(64.0)})
            return x + 1.0

        return jax.lax.fori_loop(0, 500, send, x)

    jax.block_until_ready(program(1.0))
    jax.effects_barrier()
    assert [values["n"].tolist() for values in kept] == [[n] for n in range(500)]
    assert [values["x"].tolist() for values in kept] == [[1.0 + 2 * n] for n in range(500)]
    assert all((kept[n]["row"] == (n + 1) * np.arange(64.0)).all() for n in range(500))


@pytest.mark.parametrize("mapped", [False, True], ids=["alone", "mapped"])
def test_a_record_leaves_a_callers_program_as_one_array_for_each_dtype(inbox, mapped, monkeypatch):
    """JAX takes its time for each array."""
    sent = []
    callback = lambda function, *arrays, **options: sent.append(jax.tree.leaves(arrays))
    monkeypatch.setattr(jax.debug, "callback", callback)
    send = lambda x: emit(inbox.channel, {f"x{i}": x + i for i in range(20)} | {"n": jnp.array(3)})
    jax.jit(jax.vmap(send) if mapped else send)(jnp.ones(4 if mapped else ()))
    assert sorted(array.dtype.name for array in sent[-1]) == ["bool", "float32", "int32"]


def test_after_a_refusal_the_door_works_again(inbox, env, policy):
    with pytest.raises(RuntimeError):
        train(InCond(inbox.channel), env, policy)
    emit(inbox.channel, {"x": 2.0})
    jax.effects_barrier()
    assert inbox.records == [{"x": 2.0}]


class OddError(Exception):
    pass


def test_an_exception_in_a_receiver_keeps_its_type(inbox, env, policy):
    inbox.error = OddError("from a receiver")
    with pytest.raises(OddError, match="from a receiver"):
        train(Everywhere(inbox.channel), env, policy)


def test_two_receivers_are_told_apart(inbox, env, policy):
    other = Inbox()
    channel = outbox.register(other)
    train([Everywhere(inbox.channel), Everywhere(channel)], env, policy, 2)
    outbox.unregister(channel)
    assert inbox.records == other.records and len(other.records) == 1 + 2 + 1 + 1


def test_what_is_sent_to_nobody_is_lost_quietly(inbox, env, policy):
    outbox.unregister(inbox.channel)
    train(Everywhere(inbox.channel), env, policy)
    assert inbox.records == []
