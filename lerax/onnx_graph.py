"""Programs of JAX as graphs of ONNX (https://onnx.ai/onnx/operators), operation by operation.

What policies are made of is known, loops are not: what is not known is refused by its name. The package
jax2onnx does the same for more operations; it asks for 370 MB, and for names that JAX 0.12 no longer has.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.export import symbolic_shape
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal
from onnx import ModelProto, checker, helper, numpy_helper

from .errors import SettingError

OPSET, IR_VERSION = 18, 10
BATCH = "batch"
SAME = {
    **{"add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"},
    **{"neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "pow": "Pow"},
    **{"tanh": "Tanh", "logistic": "Sigmoid", "erf": "Erf", "sin": "Sin", "cos": "Cos"},
    **{"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal"},
    **{"floor": "Floor", "ceil": "Ceil", "and": "And", "or": "Or", "not": "Not"},
    **{"stop_gradient": "Identity", "copy": "Identity", "copy_p": "Identity"},
}
"""JAX's operations that ONNX has too, by its name for them."""
REDUCE = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}
LOGICAL = {"reduce_and": "ReduceMin", "reduce_or": "ReduceMax"}  # of booleans as 0 and 1, which ONNX wants
CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")
INSIDE = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where these keep what they call


def to_onnx(
    function: Callable[..., dict[str, Any]],
    inputs: dict[str, jax.ShapeDtypeStruct],
    metadata: dict[str, str],
    *,
    name: str,
    batched: bool = True,
) -> ModelProto:
    """A function of one observation as a graph for a batch of any size, or for one.

    Args:
        function: Takes the inputs in their order, and gives arrays by name.
        inputs: What it takes, by name.
        metadata: What the file is to say.
        name: What to call the graph.
        batched: Whether it takes a batch.

    Raises:
        SettingError: An operation in it is none of those that are known.
    """
    axes = symbolic_shape(BATCH) if batched else ()
    wide = [jax.ShapeDtypeStruct((*axes, *one.shape), one.dtype) for one in inputs.values()]
    names: list[str] = []

    def ordered(*given: Any) -> list[Any]:
        outputs = (jax.vmap(function) if batched else function)(*given)
        names[:] = outputs
        return [outputs[key] for key in names]

    program = jax.make_jaxpr(ordered)(*wide)
    graph = _Graph(next(iter(inputs)))
    outputs = graph.translate(program, list(inputs))
    for key, output in zip(names, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.named(output)], [key]))
    values = lambda keys, forms: [
        helper.make_tensor_value_info(key, _kind(form.dtype), [_size(n) for n in form.shape])
        for key, form in zip(keys, forms, strict=True)
    ]
    made = helper.make_graph(
        graph.nodes, name, values(inputs, wide), values(names, program.out_avals), graph.constants
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lerax", ir_version=IR_VERSION
    )
    helper.set_model_props(model, metadata)
    checker.check_model(model, full_check=True)
    return model


class _Graph:
    """A graph that is being made. A value is the name of one in it, or an array that is known already."""

    def __init__(self, batched: str):
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._batched = batched  # an input, whose first axis is the batch

    def translate(self, program: ClosedJaxpr, given: Sequence[Any]) -> list[Any]:
        """Adds what a program computes, and returns its outputs."""
        inside = program.jaxpr
        known = dict(zip(inside.constvars, map(np.asarray, program.consts), strict=True))
        known |= zip(inside.invars, given, strict=True)
        read = lambda atom: np.asarray(atom.val) if isinstance(atom, Literal) else known[atom]
        for equation in inside.eqns:
            outputs = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= zip(equation.outvars, outputs, strict=True)
        return [read(atom) for atom in inside.outvars]

    def named(self, value: Any) -> str:
        """The name of a value in the graph."""
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Adds an operation, and returns its output or outputs."""
        given = [self.named(value) for value in inputs]
        names = [f"value_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, given, names, **attributes))
        return names[0] if outputs == 1 else names

    def shape(self, sizes: Sequence[Any]) -> Any:
        """A shape as a value; that of the batch is read from the input."""
        if all(isinstance(n, int) for n in sizes):
            return np.asarray(sizes, np.int64)
        batch = self.node("Shape", self._batched, start=0, end=1)
        parts = [np.asarray([n], np.int64) if isinstance(n, int) else batch for n in sizes]
        return self.node("Concat", *parts, axis=0)

    def _equation(self, equation: JaxprEqn, given: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            inside = next(params[key] for key in INSIDE if key in params)
            program = inside if isinstance(inside, ClosedJaxpr) else ClosedJaxpr(inside, ())
            return self.translate(program, given)
        if not any(isinstance(value, str) for value in given) and _is_fixed(equation):
            found = equation.primitive.bind(*given, **params)
            return [*map(np.asarray, found)] if equation.primitive.multiple_results else [np.asarray(found)]
        if name in SAME:
            return [self.node(SAME[name], *given)]
        if name in REDUCE:
            return [self._reduced(REDUCE[name], given[0], params["axes"])]
        if name in LOGICAL:
            number = self.node("Cast", given[0], to=_kind(np.int32))
            return [self.node("Cast", self._reduced(LOGICAL[name], number, params["axes"]), to=_kind(bool))]
        rule = getattr(self, f"_{name}", None)
        if rule is None:
            raise self._unknown(name)
        found = rule(equation, *given)
        return found if isinstance(found, list) else [found]

    def _reduced(self, operator: str, value: Any, axes: Any) -> Any:
        """Along no axes the same: ONNX would take all of them."""
        options = {"keepdims": 0, "noop_with_empty_axes": 1}
        return self.node(operator, value, np.asarray(axes, np.int64), **options)

    def _unknown(self, name: str) -> SettingError:
        wrong, hint = "has an operation that is not known in ONNX here", "export a policy without it"
        return SettingError("policy", name, wrong=wrong, hint=hint, said=name)

    def _dot_general(self, equation: JaxprEqn, one: Any, other: Any) -> Any:
        (left, right), (batch_left, batch_right) = equation.params["dimension_numbers"]
        letters = iter("abcdefghijklmnopqrstuvw")
        ranks = [len(_form(atom).shape) for atom in equation.invars]
        first = [next(letters) for _ in range(ranks[0])]
        second = [next(letters) for _ in range(ranks[1])]
        for i, j in (*zip(left, right, strict=True), *zip(batch_left, batch_right, strict=True)):
            second[j] = first[i]
        if ranks == [2, 2] and not batch_left and (*left, *right) == (1, 0):
            return self.node("MatMul", one, other)
        shared = [first[i] for i in batch_left]
        summed = {*shared, *(first[i] for i in left)}
        result = [*shared, *(x for x in (*first, *second) if x not in summed)]
        return self.node(
            "Einsum", one, other, equation=f"{''.join(first)},{''.join(second)}->{''.join(result)}"
        )

    def _broadcast_in_dim(self, equation: JaxprEqn, value: Any, *_: Any) -> Any:
        """The axes are put in their places; most operations widen them by themselves, but not all."""
        sizes, places = equation.params["shape"], equation.params["broadcast_dimensions"]
        before, row = _form(equation.invars[0]).shape, [1] * len(sizes)
        for axis, place in enumerate(places):
            row[place] = before[axis]
        if row != [*before]:
            value = self.node("Reshape", value, self.shape(row))
        return value if row == [*sizes] else self.node("Expand", value, self.shape(sizes))

    def _reshape(self, equation: JaxprEqn, value: Any, *_: Any) -> Any:
        return self.node("Reshape", value, self.shape(_form(equation.outvars[0]).shape))

    _squeeze = _expand_dims = _reshape

    def _transpose(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Transpose", value, perm=[*map(int, equation.params["permutation"])])

    def _concatenate(self, equation: JaxprEqn, *values: Any) -> Any:
        return self.node("Concat", *values, axis=int(equation.params["dimension"]))

    def _split(self, equation: JaxprEqn, value: Any) -> list[Any]:
        sizes = np.asarray(equation.params["sizes"], np.int64)
        found = self.node("Split", value, sizes, outputs=len(sizes), axis=int(equation.params["axis"]))
        return found if isinstance(found, list) else [found]

    def _slice(self, equation: JaxprEqn, value: Any) -> Any:
        params, shape = equation.params, _form(equation.invars[0]).shape
        strides = params["strides"] or [1] * len(shape)
        rows = zip(params["start_indices"], params["limit_indices"], strides, shape, strict=True)
        cut = [(i, *row[:3]) for i, row in enumerate(rows) if isinstance(row[3], int)]  # never the batch
        axes, starts, ends, steps = (np.asarray(column, np.int64) for column in zip(*cut, strict=True))
        return self.node("Slice", value, starts, ends, axes, steps)

    def _select_n(self, equation: JaxprEqn, which: Any, no: Any, yes: Any) -> Any:
        return self.node("Where", which, yes, no)

    def _convert_element_type(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Cast", value, to=_kind(equation.params["new_dtype"]))

    def _argmax(self, equation: JaxprEqn, value: Any) -> Any:
        (axis,) = equation.params["axes"]
        found = self.node("ArgMax", value, axis=int(axis), keepdims=0)
        return self.node("Cast", found, to=_kind(equation.params["index_dtype"]))

    def _clamp(self, equation: JaxprEqn, low: Any, value: Any, high: Any) -> Any:
        return self.node("Min", self.node("Max", value, low), high)

    def _ne(self, equation: JaxprEqn, one: Any, other: Any) -> Any:
        return self.node("Not", self.node("Equal", one, other))

    def _rsqrt(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Reciprocal", self.node("Sqrt", value))

    def _square(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Mul", value, value)

    def _integer_pow(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Pow", value, np.asarray(equation.params["y"], _form(equation.outvars[0]).dtype))

    def _expm1(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Sub", self.node("Exp", value), self._one(equation))

    def _log1p(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Log", self.node("Add", value, self._one(equation)))

    def _erfc(self, equation: JaxprEqn, value: Any) -> Any:
        return self.node("Sub", self._one(equation), self.node("Erf", value))

    def _one(self, equation: JaxprEqn) -> Any:
        return np.ones((), _form(equation.outvars[0]).dtype)

    def _conv_general_dilated(self, equation: JaxprEqn, value: Any, kernel: Any) -> Any:
        params = equation.params
        axes = params["dimension_numbers"]
        if math.prod(params["lhs_dilation"]) != 1 or params["batch_group_count"] != 1:
            raise self._unknown("a transposed convolution")
        found = self.node(
            "Conv",
            self.node("Transpose", value, perm=[*map(int, axes.lhs_spec)]),
            self.node("Transpose", kernel, perm=[*map(int, axes.rhs_spec)]),
            strides=[*params["window_strides"]],
            dilations=[*params["rhs_dilation"]],
            pads=[pad for side in zip(*params["padding"], strict=True) for pad in side],
            group=params["feature_group_count"],
        )
        return self.node("Transpose", found, perm=[*map(int, np.argsort(axes.out_spec))])


def _is_fixed(equation: JaxprEqn) -> bool:
    """Whether what comes out is of the same size for each batch."""
    return all(isinstance(n, int) for atom in equation.outvars for n in _form(atom).shape)


def _form(atom: Any) -> Any:
    """The shape and the dtype of a value in a program."""
    return atom.aval


def _size(n: Any) -> int | str:
    return n if isinstance(n, int) else BATCH


def _kind(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
