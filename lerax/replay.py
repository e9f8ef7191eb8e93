"""Which operation of an iteration made the first number that is not finite.

The program of an iteration is evaluated equation by equation, and each number that is not finite is followed
from the operation that made it: what an infinity was masked away for is no fault. A part of the program, such
as a loop, is entered where something comes out of it that is not finite and did not go in, so that of a
rollout only the one step is looked at closely.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jaxtyping import Array, Bool, Key, PyTree

from lerax import collect, tree
from lerax.algorithm import AbstractAlgorithm, AlgorithmState
from lerax.algorithm.hooks import iteration_key
from lerax.callback import AbstractCallback, IterationContext
from lerax.learner import Maybe

NAN, INFINITE = "nan", "inf"
BEFORE = -1  # the number of what was not finite when the iteration began
PASSED_OVER = (*jax.__path__, *eqx.__path__, tree.__file__, __file__)
"""Files of frames that nobody looks for."""
LEARNER = "state.learner"
GIVEN = ("reward", "next_observation")  # what an environment gives


@dataclass(frozen=True)
class Loop:
    """A turn of a loop.

    Attributes:
        line: Where the loop stands.
        step: The number of the turn, from 0.
        length: Of how many; None where nobody knows before its end.
    """

    line: str
    step: int
    length: int | None


@dataclass(frozen=True)
class Source:
    """An operation that has made something that is not finite of what was.

    Attributes:
        number: Its place in the order of such operations; `BEFORE` for what the iteration was given.
        operation: The name of JAX's primitive; of what the iteration was given, which part of the state.
        line: Its file, line and function; "" for what the iteration was given.
        kind: `nan` or `inf`.
        element: The indices of the first element of what it made that is not finite.
        shape: The shape of that.
        inputs: What went in: kinds of arrays, with their ranges.
        loops: The turns of the loops around it, the outermost first.
        cause: What has made the infinities that went in, if there were any.
    """

    number: int
    operation: str
    line: str
    kind: str
    element: tuple[int, ...]
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    loops: tuple[Loop, ...] = ()
    cause: "Source | None" = None

    @property
    def chain(self) -> "list[Source]":
        """What led to it, the first before all, and itself."""
        return [*(self.cause.chain if self.cause else ()), self]

    @property
    def first(self) -> "Source":
        """The one at the beginning."""
        return self.chain[0]

    @property
    def step(self) -> int | None:
        """The time step of the rollout that it is in, from 0."""
        turns = [loop.step for loop in self.loops if loop.line.startswith(collect.__file__)]
        return turns[0] if turns else None


@dataclass(frozen=True)
class Found:
    """Where an iteration became not finite.

    Attributes:
        iteration: Its number, from 1.
        became: What was not finite after it: scalars of the log, and `parameters`.
        source: The operation that has made the last part of that.
        given: `reward` or `next_observation` where the environment gave it, else "".
        env: The number of the environment that it is of, where it lies in a rollout.
    """

    iteration: int
    became: tuple[str, ...]
    source: Source
    given: str
    env: int | None


class _Value(NamedTuple):
    """An array, and what has made it not finite."""

    array: Any
    source: Source | None = None


class StopOnPart(AbstractCallback):
    """Ends training when a part of the learner is not finite.

    Attributes:
        part: Which one, as `Source` names it.
    """

    part: str = eqx.field(static=True)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        leaves = jax.tree_util.tree_flatten_with_path(ctx.learner)[0]
        parts = [leaf for path, leaf in leaves if f"{LEARNER}{jax.tree_util.keystr(path)}" == self.part]
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in parts]))


def part_of(state: AlgorithmState, part: str) -> Any:
    """A part of a state's learner, as `Source` names it; None where it has no such part."""
    leaves = jax.tree_util.tree_flatten_with_path(state.learner)[0]
    return dict((f"{LEARNER}{jax.tree_util.keystr(path)}", leaf) for path, leaf in leaves).get(part)


def search(
    algorithm: AbstractAlgorithm, state: AlgorithmState, part: str = ""
) -> tuple[Found | None, AlgorithmState]:
    """Makes an iteration operation by operation.

    Args:
        algorithm: The algorithm.
        state: The state before the iteration.
        part: The part of the learner that is of interest, in place of the log and the policy.

    Returns:
        What in it was not finite first, None where what is of interest is finite; and the state after it.
    """
    given = tree.settings_as_data(algorithm), state, iteration_key(state)
    program, form, static = eqx.filter_make_jaxpr(lambda a, s, key: a.iteration(s, key=key))(*given)
    named = jax.tree_util.tree_flatten_with_path(eqx.filter(given, eqx.is_array))[0]
    values = _Evaluation().evaluate(program, [_given(*one) for one in named])
    structure = jax.tree.structure(form)
    after, steps, log = eqx.combine(structure.unflatten([value.array for value in values]), static)
    sources = structure.unflatten([_Leaf(value.source) for value in values])
    after = tree.strongly_typed(dataclasses.replace(after, iteration_count=after.iteration_count + 1))
    became = dict(_of_part(part, sources[0]) if part else _decisive(log, sources))
    if not became:
        return None, after
    source = min(became.values(), key=lambda source: source.first.number)
    blamed, env = _of_environment(steps, sources[1], source.first)
    return Found(int(after.iteration_count), tuple(became), source, blamed, env), after


@dataclass(frozen=True)
class _Leaf:
    """Holds a source, or None, in a tree."""

    source: Source | None


def _leaves(sources: PyTree) -> list[Source | None]:
    return [leaf.source for leaf in jax.tree.leaves(sources)]


def _of_part(part: str, sources: Any) -> Iterator[tuple[str, Source]]:
    """The same of a part of the learner."""
    for source in filter(None, _leaves(part_of(sources, part))):
        yield part, source


def _decisive(log: dict[str, Any], sources: PyTree) -> Iterator[tuple[str, Source]]:
    """What ends a training, by name, as far as it is not finite."""
    for name, entry in log.items():
        there = bool(entry.there) if isinstance(entry, Maybe) else True
        own = sources[2][name].value if isinstance(entry, Maybe) else sources[2][name]
        for source in filter(None, _leaves(own) if there else []):
            yield name, source
    for source in filter(None, _leaves(sources[0].learner.policy)):
        yield "parameters", source


def _of_environment(steps: Any, sources: Any, source: Source) -> tuple[str, int | None]:
    """Whether the environment gave what a source has made, and the number of the environment."""
    if steps is None or source.step is None:
        return "", None
    for name in GIVEN:
        if source in [one and one.first for one in _leaves(getattr(sources, name))]:
            time, env = np.argwhere(_not_finite(getattr(steps, name), steps.reward.shape))[0]
            if not _not_finite(steps.action, steps.reward.shape)[time, env]:
                return name, int(env)
    return "", source.element[0] if source.shape[:1] == steps.reward.shape[1:] else None


def _not_finite(part: PyTree, shape: tuple[int, ...]) -> np.ndarray:
    """Where in a rollout something is not finite, `[time, env]`."""
    flat = [~np.isfinite(np.asarray(leaf)).reshape(*shape, -1) for leaf in jax.tree.leaves(part)]
    return np.asarray(np.concatenate(flat, axis=-1).any(-1))


def _given(path: Any, array: Any) -> _Value:
    """Something that the iteration begins with."""
    kind = _kind(array)
    name = jax.tree_util.keystr(path).partition("]")[2]
    return _Value(array, _source(BEFORE, f"state{name}", "", kind, array) if kind else None)


class _Evaluation:
    """Evaluates programs, and follows what is not finite."""

    def __init__(self) -> None:
        self._number = 0
        self._loops: tuple[Loop, ...] = ()
        self._line = ""  # of the call of a function of JAX that is entered: its own lines are of another call

    def evaluate(self, program: ClosedJaxpr, given: Sequence[_Value]) -> list[_Value]:
        """The outputs of a program."""
        inside = program.jaxpr
        known = dict(zip(inside.constvars, map(_Value, program.consts), strict=True))
        known |= zip(inside.invars, given, strict=True)
        read = lambda atom: _Value(atom.val) if isinstance(atom, Literal) else known[atom]
        for equation in inside.eqns:
            inputs = [read(atom) for atom in equation.invars]
            arrays = _compute(inside, equation, inputs)
            enter = lambda equation=equation, inputs=inputs: self._enter(equation, inputs)
            known |= zip(equation.outvars, self._followed(equation, arrays, inputs, enter), strict=True)
        return [read(atom) for atom in inside.outvars]

    def _followed(
        self,
        equation: JaxprEqn,
        arrays: Sequence[Any],
        inputs: Sequence[_Value],
        enter: Callable[[], Sequence[_Value]],
        earlier: Sequence[Source | None] = (),
    ) -> list[_Value]:
        """What came out of an equation, or of a turn of a loop, with its sources.

        Args:
            equation: The equation.
            arrays: What came out.
            inputs: What went in.
            enter: Looks closely at what is inside; nothing where nothing is.
            earlier: The sources of what came out before, in earlier turns.
        """
        kinds = [_kind(array) for array in arrays]
        known = [one.source for one in inputs]
        sources = [_inherited(kind, known) for kind in kinds]
        for i, old in enumerate(earlier):
            sources[i] = sources[i] or _inherited(kinds[i], [old])
        new = [i for i, source in enumerate(sources) if kinds[i] and source is None]
        inside = enter() if new else []
        for i in new:
            made = inside[i].source if inside else None
            sources[i] = made or self._new(equation, kinds[i], arrays[i], inputs)
        return list(map(_Value, arrays, sources))

    def _new(self, equation: JaxprEqn, kind: str, array: Any, inputs: Sequence[_Value]) -> Source:
        self._number += 1
        line = self._line or _line(equation)
        cause = _inherited(INFINITE, [one.source for one in inputs])
        shown = tuple(map(_shown, [one.array for one in inputs]))
        made = _source(self._number, equation.primitive.name, line, kind, array)
        return dataclasses.replace(made, inputs=shown, loops=self._loops, cause=cause)

    def _enter(self, equation: JaxprEqn, inputs: Sequence[_Value]) -> Sequence[_Value]:
        """Looks closely at what is inside an equation; nothing where nothing is."""
        match equation.primitive.name:
            case "scan":
                return self._scan(equation, inputs)
            case "while":
                return self._while(equation, inputs)
            case "cond":
                branches = equation.params["branches"]
                chosen = min(max(int(inputs[0].array), 0), len(branches) - 1)
                return self.evaluate(branches[chosen], inputs[1:])
        inside = _inside(equation)
        if inside is None:
            return []
        before = self._line
        self._line = before or (_line(equation) if _is_of_jax(inside) else "")
        try:
            return self.evaluate(inside, inputs)
        finally:
            self._line = before

    def _scan(self, equation: JaxprEqn, inputs: Sequence[_Value]) -> Sequence[_Value]:
        params = equation.params
        body, count, length = params["jaxpr"], params["num_consts"], params["length"]
        consts, carry = list(inputs[:count]), list(inputs[count : count + params["num_carry"]])
        columns = inputs[count + len(carry) :]
        found: list[Source | None] = [None] * (len(equation.outvars) - len(carry))  # in earlier turns
        turn = jax.jit(jaxpr_as_fun(body))
        for i in reversed(range(length)) if params["reverse"] else range(length):
            row = [_Value(x.array[i], _inherited(_kind(x.array[i]), [x.source])) for x in columns]
            loop, earlier = Loop(_line(equation), i, length), [None] * len(carry) + found
            out = self._turn(equation, loop, body, turn, [*consts, *carry, *row], earlier)
            carry = out[: len(carry)]
            found = [new.source or old for new, old in zip(out[len(carry) :], found, strict=True)]
        return [*carry, *(_Value(None, source) for source in found)]

    def _while(self, equation: JaxprEqn, inputs: Sequence[_Value]) -> Sequence[_Value]:
        params = equation.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_condition, consts, carry = inputs[:first], list(inputs[first:second]), list(inputs[second:])
        goes_on, turn = (jax.jit(jaxpr_as_fun(params[name])) for name in ("cond_jaxpr", "body_jaxpr"))
        i = 0
        while bool(goes_on(*(one.array for one in (*of_condition, *carry)))[0]):
            loop = Loop(_line(equation), i, None)
            carry = self._turn(equation, loop, params["body_jaxpr"], turn, [*consts, *carry])
            i += 1
        return carry

    def _turn(
        self,
        equation: JaxprEqn,
        loop: Loop,
        body: ClosedJaxpr,
        turn: Callable[..., Sequence[Any]],
        given: list[_Value],
        earlier: Sequence[Source | None] = (),
    ) -> list[_Value]:
        """One turn of a loop, which is looked at closely if something in it becomes not finite."""
        around, self._loops = self._loops, (*self._loops, loop)
        try:
            arrays = turn(*(one.array for one in given))
            return self._followed(equation, arrays, given, lambda: self.evaluate(body, given), earlier)
        finally:
            self._loops = around


def _compute(program: Jaxpr, equation: JaxprEqn, inputs: Sequence[_Value]) -> Sequence[Any]:
    """What one equation of a program gives, alone."""
    pairs = zip(equation.invars, inputs, strict=True)
    named = {atom: one.array for atom, one in pairs if not isinstance(atom, Literal)}
    alone = program.replace(constvars=[], invars=[*named], outvars=equation.outvars, eqns=[equation])
    return jaxpr_as_fun(ClosedJaxpr(alone, ()))(*named.values())


def _inherited(kind: str, sources: Sequence[Source | None]) -> Source | None:
    """The first source among those of some inputs that explains such an output."""
    found = [one for one in sources if one and kind and (kind == INFINITE or one.kind == NAN)]
    return min(found, key=lambda one: one.number, default=None)


def _inside(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation calls with just its own inputs; None where it calls none."""
    for part in equation.params.values():
        program = ClosedJaxpr(part, ()) if isinstance(part, Jaxpr) and not part.constvars else part
        if isinstance(program, ClosedJaxpr):
            pairs = (program.jaxpr.invars, equation.invars), (program.jaxpr.outvars, equation.outvars)
            if all([a.aval.shape for a in x] == [b.aval.shape for b in y] for x, y in pairs):  # type: ignore
                return program
    return None


def _is_of_jax(program: ClosedJaxpr) -> bool:
    return jax.__path__[0] in (program.jaxpr.debug_info.func_src_info or "")


def _line(equation: JaxprEqn) -> str:
    """The line of Python that an equation is of, of the innermost function that is no tool's."""
    trace = equation.source_info.traceback
    for frame in trace.frames if trace else ():
        if not frame.file_name.startswith(PASSED_OVER):
            return f"{frame.file_name}:{frame.line_num} ({frame.function_name.rpartition('.')[2]})"
    return "?"


def _kind(array: Any) -> str:
    """`nan` where one number of an array is, `inf` where one is infinite, else ""."""
    if (
        not jnp.issubdtype(jnp.result_type(array), jnp.inexact)
        or np.isfinite(numbers := np.asarray(array)).all()
    ):
        return ""
    return NAN if np.isnan(numbers).any() else INFINITE


def _source(number: int, operation: str, line: str, kind: str, array: Any) -> Source:
    numbers = np.asarray(array)
    wrong = np.isnan(numbers) if kind == NAN else np.isinf(numbers)
    element = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Source(number, operation, line, kind, element, numbers.shape, ())


def _shown(array: Any) -> str:
    """A kind of array, with its range."""
    if jnp.issubdtype(jnp.result_type(array), jax.dtypes.prng_key):
        return "a PRNG key"
    numbers = np.asarray(array)
    kind = f"{numbers.dtype}{list(numbers.shape)}"
    if not numbers.size:
        return kind
    low, high = f"{numbers.min():.6g}", f"{numbers.max():.6g}"
    return f"{kind} of {low}" if low == high else f"{kind} from {low} to {high}"
