"""The contract of an environment, held while its methods are traced: what one gives is refused or passed on.

It looks at structures, shapes and dtypes, which cost nothing once a program is compiled.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, PyTree

from lerax import tree
from lerax.settings import check_instance
from lerax.space import (
    AbstractComposite,
    AbstractIntegers,
    AbstractSpace,
    Box,
    Discrete,
    MultiBinary,
    MultiDiscrete,
)

from .base_env import AbstractEnvLike


class EnvContractError(TypeError):
    """A method or an attribute of an environment gives what it must not.

    Attributes:
        env: The environment's name.
        method: The method or attribute, behind its class; a wrapper's class with that of what is in it.
        got: What it gave.
        wanted: What it has to give.
    """

    def __init__(self, env: AbstractEnvLike, method: str, got: str, wanted: str):
        self.env, self.method = str(getattr(env, "name", type(env).__name__)), f"{_classes(env)}.{method}"
        self.got, self.wanted = got, wanted
        super().__init__(f"{self.method} of {self.env}: breaks the contract (got {got}); wanted: {wanted}")


def check_env(env: Any) -> None:
    """Refuses what is no environment, or one whose name or spaces are none.

    Raises:
        TypeError: It is no instance of an environment's class.
        EnvContractError: An attribute is of a wrong type.
    """
    check_instance("env", env, AbstractEnvLike, "CartPole()")
    if not isinstance(env.name, str):
        raise EnvContractError(env, "name", repr(env.name), "a string")
    for name in ("action_space", "observation_space"):
        space = getattr(env, name)
        if not isinstance(space, AbstractSpace):
            wanted = "a space of lerax.space, such as Discrete(2) or Box(-1.0, 1.0, shape=(3,))"
            raise EnvContractError(env, name, tree.text(space), wanted)


@contextlib.contextmanager
def calling(env: AbstractEnvLike, method: str) -> Iterator[None]:
    """Around the call of a method: what it raises is said of the environment and the method, in one line.

    What the machine lacks, files, modules or memory, stays as it is.
    """
    try:
        yield
    except (EnvContractError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        wanted = f"what JAX can trace, so jnp.where for an `if`, with the signature {_signature(method)}"
        raise EnvContractError(env, method, f"{type(error).__name__}: {first}", wanted) from error


def _signature(method: str) -> str:
    """How a method is written, without annotations."""
    signature = inspect.signature(getattr(AbstractEnvLike, method))
    names = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return f"{method}{signature.replace(parameters=names, return_annotation=signature.empty)}"


def beginning(env: AbstractEnvLike, state: PyTree) -> PyTree:
    """A state that an episode begins in."""
    if not isinstance(state, eqx.Module):
        raise EnvContractError(env, "initial", tree.text(state), "a module of arrays, the state alone")
    return tree.numbers_as_arrays(state)


def same_kind(env: AbstractEnvLike, method: str, state: PyTree, like: PyTree) -> PyTree:
    """A state of the same structure, shapes and dtypes as another one."""
    difference = tree.difference(state, like)
    if difference is not None:
        got, wanted = difference
        raise EnvContractError(env, method, got, f"{wanted}, as in the state before it")
    return tree.numbers_as_arrays(state)


def observation(env: AbstractEnvLike, value: PyTree) -> PyTree:
    """An observation of the structure, the shapes and the types that its space has."""
    wanted = unmet(env.observation_space, value)
    if wanted:
        wanted = f"{wanted}, as observation_space has it"
        raise EnvContractError(env, "observation", tree.text(value), wanted)
    return value


def unmet(space: AbstractSpace, value: PyTree) -> str:
    """What a value of a space would be, in words; "" if it is one."""
    shape, dtype = _form(value)
    if isinstance(space, AbstractComposite):
        parts = space.split(value)
        if parts is None:
            return space.form
        each = ((place, unmet(*pair)) for place, pair in zip(space.places, space.pairs(value), strict=True))
        return next((f"at {place} {wanted}" for place, wanted in each if wanted), "")
    if isinstance(space, Discrete):
        fits, wanted = shape == () and jnp.issubdtype(dtype, jnp.integer), "one integer, i32[]"
    elif isinstance(space, AbstractIntegers):
        fits = shape == space.shape and jnp.issubdtype(dtype, jnp.integer)
        wanted = f"integers of shape {space.shape}"
    elif isinstance(space, Box):
        fits, wanted = shape == space.shape and _is_real(dtype), f"numbers of shape {space.shape}"
        if space.dtype != np.float32:  # which all numbers become in networks
            fits, wanted = fits and dtype == space.dtype, f"{space.dtype} of shape {space.shape}"
    else:
        fits, wanted = True, ""  # spaces of one's own know best
    return "" if fits else wanted


def number(env: AbstractEnvLike, method: str, value: PyTree) -> Array:
    """One real number."""
    shape, dtype = _form(value)
    if shape != () or not _is_real(dtype):
        raise EnvContractError(env, method, tree.text(value), "one number, f32[]")
    return jnp.asarray(value)


def flag(env: AbstractEnvLike, method: str, value: PyTree) -> Array:
    """One boolean."""
    shape, dtype = _form(value)
    if shape != () or not _is_bool(dtype):
        wanted = "one boolean, bool[], such as `x > 1.0`; of a number x: `x != 0`"
        raise EnvContractError(env, method, tree.text(value), wanted)
    return jnp.asarray(value)


def mask(env: AbstractEnvLike, value: PyTree) -> PyTree:
    """None, or a boolean for each action."""
    space, shape, dtype = env.action_space, *_form(value)
    flat = isinstance(space, Discrete | MultiDiscrete)
    wanted = (space.flat_size,) if flat else space.shape if isinstance(space, MultiBinary) else shape
    if value is not None and not (_is_bool(dtype) and shape == wanted):
        sizes = ",".join(map(str, wanted or (space.flat_size,)))
        wanted = f"None, or a boolean for each action, bool[{sizes}]"
        raise EnvContractError(env, "action_mask", tree.text(value), wanted)
    return value


def check_values(env: AbstractEnvLike, observations: PyTree) -> None:
    """Refuses choices that their space does not have; on the host, where there are values.

    Those that come later are NaN to a policy, see `Discrete.flatten`. A box is not held: nothing depends on
    its bounds, and rounding may lead past one.
    """
    _check_values(env, env.observation_space, jax.device_get(observations))


def _check_values(env: AbstractEnvLike, space: AbstractSpace, values: PyTree) -> None:
    if isinstance(space, AbstractComposite):
        for pair in space.pairs(values):
            _check_values(env, *pair)
    elif isinstance(space, AbstractIntegers):
        numbers = np.asarray(values)
        low, high = (np.broadcast_to(bound, numbers.shape) for bound in space.bounds)
        for place in np.argwhere((numbers < low) | (numbers > high))[:1]:
            one = tuple(place)
            wanted = f"an integer from {low[one]} to {high[one]}"
            raise EnvContractError(env, "observation", str(numbers[one]), wanted)


def _classes(env: object) -> str:
    inner = getattr(env, "env", None)
    return type(env).__name__ + (f"({_classes(inner)})" if isinstance(inner, AbstractEnvLike) else "")


def _form(value: PyTree) -> tuple[Any, Any]:
    """Shape and dtype; of what is no array neither."""
    if not eqx.is_array_like(value):
        return None, None
    return jnp.shape(value), tree.dtype_of(value)


def _is_bool(dtype: Any) -> bool:
    return dtype is not None and jnp.issubdtype(dtype, jnp.bool_)


def _is_real(dtype: Any) -> bool:
    return _is_bool(dtype) or any(jnp.issubdtype(dtype, kind) for kind in (jnp.integer, jnp.floating))
