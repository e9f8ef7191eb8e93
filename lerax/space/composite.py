"""Spaces made of others."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from lerax.errors import SettingError, SettingTypeError

from .base_space import AbstractSpace


class AbstractComposite(AbstractSpace):
    """Values made of values of other spaces, one after the other where they are flattened.

    It has no shape of its own: its parts have.
    """

    parts: eqx.AbstractVar[tuple[AbstractSpace, ...]]

    @abstractmethod
    def split(self, value: Any) -> tuple[PyTree, ...] | None:
        """The parts of a value in their order; None of what is not made of them."""

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> PyTree:
        """The value that is made of such parts."""

    @property
    @abstractmethod
    def places(self) -> tuple[str | int, ...]:
        """What the parts of a value are found by."""

    @property
    @abstractmethod
    def form(self) -> str:
        """What a value has to be, in words."""

    @property
    def shape(self) -> tuple[int, ...]:
        """There is none.

        Raises:
            SettingTypeError: Always.
        """
        raise SettingTypeError("shape", self, wrong="values of several parts have none", hint="ask its parts")

    @property
    def flat_size(self) -> int:
        return sum(part.flat_size for part in self.parts)

    def sample(self, *, key: Key[Array, ""]) -> PyTree:
        keys = jr.split(key, len(self.parts))
        return self.joined([part.sample(key=key) for part, key in zip(self.parts, keys, strict=True)])

    def contains(self, value: PyTree) -> Bool[Array, ""]:
        values = self.split(value)
        if values is None:
            return jnp.array(False)
        found = [part.contains(one) for part, one in zip(self.parts, values, strict=True)]
        return jnp.all(jnp.stack(found))

    def flatten(self, value: PyTree) -> Float[Array, " size"]:
        return jnp.concatenate([part.flatten(one) for part, one in self.pairs(value)])

    def pairs(self, value: Any) -> list[tuple[AbstractSpace, PyTree]]:
        """The parts of the space, each with that of a value.

        Raises:
            SettingTypeError: The value is not made of such parts.
        """
        values = self.split(value)
        if values is None:
            raise SettingTypeError("value", value, self.form)
        return list(zip(self.parts, values, strict=True))


class Dict(AbstractComposite):
    """Dictionaries with a value for each name.

    Names are in alphabetic order, as JAX has those of dictionaries and Gymnasium those of its `Dict`.

    Args:
        spaces: The spaces by name.

    Raises:
        SettingError: There are none.
        SettingTypeError: They are no spaces by name.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    parts: tuple[AbstractSpace, ...] = eqx.field(static=True)

    def __init__(self, spaces: Mapping[str, AbstractSpace]):
        given = dict(spaces) if isinstance(spaces, Mapping) else {}
        if not isinstance(spaces, Mapping) or not all(isinstance(name, str) for name in given):
            raise SettingTypeError("Dict", spaces, wrong="needs spaces by name", hint=HINT_DICT)
        self.names = tuple(sorted(given))
        self.parts = _checked("Dict", [given[name] for name in self.names], HINT_DICT)

    def __repr__(self) -> str:
        return f"Dict({{{', '.join(f'{n!r}: {part!r}' for n, part in self.items())}}})"

    def __getitem__(self, name: str) -> AbstractSpace:
        return dict(self.items())[name]

    def items(self) -> list[tuple[str, AbstractSpace]]:
        """The names, each with its space."""
        return list(zip(self.names, self.parts, strict=True))

    def split(self, value: Any) -> tuple[PyTree, ...] | None:
        fits = isinstance(value, dict) and value.keys() == {*self.names}
        return tuple(value[name] for name in self.names) if fits else None

    def joined(self, parts: Sequence[Any]) -> dict[str, PyTree]:
        return dict(zip(self.names, parts, strict=True))

    @property
    def places(self) -> tuple[str, ...]:
        return self.names

    @property
    def form(self) -> str:
        return f"a dict of {', '.join(self.names)}"


class Tuple(AbstractComposite):
    """Tuples with a value for each place.

    Args:
        spaces: The spaces in their order.

    Raises:
        SettingError: There are none.
        SettingTypeError: They are no spaces.
    """

    parts: tuple[AbstractSpace, ...] = eqx.field(static=True)

    def __init__(self, spaces: Sequence[AbstractSpace]):
        if not isinstance(spaces, list | tuple):
            raise SettingTypeError("Tuple", spaces, wrong="needs several spaces", hint=HINT_TUPLE)
        self.parts = _checked("Tuple", spaces, HINT_TUPLE)

    def __repr__(self) -> str:
        return f"Tuple(({', '.join(map(repr, self.parts))}{',' * (len(self.parts) == 1)}))"

    def __getitem__(self, place: int) -> AbstractSpace:
        return self.parts[place]

    def split(self, value: Any) -> tuple[PyTree, ...] | None:
        return value if isinstance(value, tuple) and len(value) == len(self.parts) else None

    def joined(self, parts: Sequence[Any]) -> tuple[PyTree, ...]:
        return tuple(parts)

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(range(len(self.parts)))

    @property
    def form(self) -> str:
        return f"a tuple of {len(self.parts)}"


HINT_DICT = 'write Dict({"door": Discrete(2)})'
HINT_TUPLE = "write Tuple((Discrete(2), Discrete(3)))"


def _checked(name: str, spaces: Sequence[Any], hint: str) -> tuple[AbstractSpace, ...]:
    if not spaces:
        raise SettingError(name, spaces, wrong="needs at least one space", hint=hint)
    for space in spaces:
        if not isinstance(space, AbstractSpace):
            raise SettingTypeError(name, space, wrong="made of spaces alone", hint=hint)
    return tuple(spaces)
