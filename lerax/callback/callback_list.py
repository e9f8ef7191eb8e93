"""Several callbacks as one."""

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Key

from lerax import tree
from lerax.errors import SettingError, SettingTypeError, shown
from lerax.settings import check_instance

from .base_callback import (
    AbstractCallback,
    CallbackContext,
    IterationContext,
    OwnState,
    ResetContext,
    StepContext,
    TrainingContext,
)

OWN = ("state", "step_state")  # what a context has of each callback
NEXT_STATE = ("on_step", "on_iteration", "on_training_start", "on_training_end")  # hooks that return one


class CallbackList(AbstractCallback):
    """Forwards every hook to each of its callbacks, in order; their states are tuples.

    Args:
        callbacks: The callbacks.

    Raises:
        TypeError: One is none.
    """

    callbacks: tuple[AbstractCallback, ...]

    def __init__(self, callbacks: Sequence[AbstractCallback]):
        for callback in (callbacks := tuple(callbacks)):
            _check(callback)
        self.callbacks = callbacks

    @property
    def names(self) -> tuple[str, ...]:
        """What each callback is: its class, and a number where there are several of one class."""
        kinds = [type(callback).__name__ for callback in self.callbacks]
        return tuple(
            kind if kinds.count(kind) == 1 else f"{kind} {kinds[:i].count(kind) + 1}"
            for i, kind in enumerate(kinds)
        )

    def _each(self, hook: str, ctx: CallbackContext, key: Key[Array, ""]) -> tuple:
        """Calls a hook of every callback with its own part of the context."""
        results = []
        for i, callback in enumerate(self.callbacks):
            own = {name: part[i] for name in OWN if (part := getattr(ctx, name)) is not None}
            result = getattr(callback, hook)(dataclasses.replace(ctx, **own), key=jr.fold_in(key, i))
            if hook in NEXT_STATE and tree.difference(result, own["state"]) is not None:
                wrong = "must return the next state, of the structure, shapes and dtypes of the last"
                said = f"{tree.text(result)} after {tree.text(own['state'])}"
                raise SettingTypeError(f"{type(callback).__name__}.{hook}", result, wrong=wrong, said=said)
            results.append(result)
        return tuple(results)

    def reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("reset", ctx, key)

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("step_reset", ctx, key)

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("on_step", ctx, key)

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("on_iteration", ctx, key)

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("on_training_start", ctx, key)

    def on_training_end(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> tuple:
        return self._each("on_training_end", ctx, key)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        answers = self._each("continue_training", ctx, key)
        return functools.reduce(jnp.logical_and, answers, jnp.array(True))

    def next_due(self, iteration: int) -> int | None:
        due = [_due(callback, iteration) for callback in self.callbacks]
        return min((d for d in due if d is not None), default=None)

    def due_now(self) -> bool:
        return any(callback.due_now() for callback in self.callbacks)

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        for i, callback in enumerate(self.callbacks):
            if callback.next_due(iteration - 1) == iteration or callback.due_now():
                callback.on_host(state, OwnState(own.state[i], own.step_state[i]), iteration)

    def on_host_now(self, state: Any, own: OwnState, iteration: int) -> None:
        """Host method: calls `on_host` of those that `due_now` says it of, whatever iteration it is."""
        for i, callback in enumerate(self.callbacks):
            part = OwnState(own.state[i], own.step_state[i])
            if isinstance(callback, CallbackList):
                callback.on_host_now(state, part, iteration)
            elif callback.due_now():
                callback.on_host(state, part, iteration)

    def on_phase(self, phase: str) -> None:
        for callback in self.callbacks:
            callback.on_phase(phase)

    def stop_requested(self) -> bool:
        return any(callback.stop_requested() for callback in self.callbacks)


def _due(callback: AbstractCallback, iteration: int) -> int | None:
    """A callback's `next_due`, checked: an answer that is not in the future would never come."""
    due = callback.next_due(iteration)
    whole = due is None or isinstance(due, int | np.integer)
    if due is not None and not (whole and due > iteration):
        what = "not in the future" if whole else "not a whole number"
        said, hint = f"{shown(due)} at iteration {iteration}", "return a greater iteration, or None"
        raise SettingError(f"{type(callback).__name__}.next_due", due, wrong=what, hint=hint, said=said)
    if due is not None and (later := callback.next_due(due - 1)) != due:
        said = f"{due} at {iteration}, and {later} at {due - 1}"
        hint = "return the same iteration until it has come"
        name = f"{type(callback).__name__}.next_due"
        raise SettingError(name, later, wrong="no schedule", hint=hint, said=said)
    return due


def as_callback(callback: Sequence[AbstractCallback] | AbstractCallback | None) -> CallbackList:
    """One callback from what `learn` and `run` accept: none, one, or a sequence of them.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(callback, CallbackList):
        return callback
    if callback is None:
        return CallbackList(())
    given: Any = callback  # which may be anything
    several = isinstance(given, Iterable) and not isinstance(given, str | type)
    members: tuple[Any, ...] = tuple(given) if several else (given,)
    return CallbackList(members)


def _check(callback: object) -> None:
    form = "LoggingCallback(ConsoleBackend()), or a class of your own with its hooks"
    check_instance("callback", callback, AbstractCallback, form)
    for name, hook in vars(AbstractCallback).items():
        own = getattr(type(callback), name)
        if name.startswith("_") or own is hook or not callable(hook):
            continue
        wanted = inspect.signature(hook)
        by_place = [p.name for p in wanted.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        by_name = [p.name for p in wanted.parameters.values() if p.kind is p.KEYWORD_ONLY]
        try:
            inspect.signature(own).bind(*by_place, **dict.fromkeys(by_name))
        except TypeError:
            said = f"{name}{inspect.signature(own)}"
            form = f"def {name}({', '.join(by_place + ['*', *by_name] * bool(by_name))})"
            raise SettingTypeError(f"{type(callback).__name__}.{name}", own, form, said=said) from None


def overrides(callback: AbstractCallback, hook: str) -> bool:
    """Whether a callback does something of its own in a hook, so that the loop must call it."""
    if isinstance(callback, CallbackList):
        return any(overrides(member, hook) for member in callback.callbacks)
    return getattr(type(callback), hook) is not getattr(AbstractCallback, hook)
