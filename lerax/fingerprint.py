"""What a module is beside its numbers: structure, sizes and settings, as texts that can be compared."""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import PyTree

LONGEST = 120  # characters of a text that are kept as they are
LATER = (
    "later"  # marks a field that its class had not always: its default says nothing, so that older files fit
)


def form_of(module: PyTree) -> dict[str, str]:
    """A text for each part of a module, by its place: of an array its dtype and shape, of all else its value.

    Args:
        module: Any tree; its arrays may be forms, `jax.ShapeDtypeStruct`.
    """
    return dict(_parts("", module, static=False))


def fingerprint(module: PyTree) -> str:
    """A short text that is another one for each other structure, size or setting, whatever the weights."""
    return digest(form_of(module))


def digest(form: dict[str, str]) -> str:
    """The fingerprint of what `form_of` gives."""
    lines = "\n".join(f"{name}={text}" for name, text in sorted(form.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def difference(found: dict[str, str], wanted: dict[str, str]) -> tuple[str, str, str] | None:
    """Where two forms differ: the outermost place, since others follow from it, with the text of either."""
    for name in sorted(
        found.keys() | wanted.keys(), key=lambda name: (len(re.findall(r"[.\[]", name)), name)
    ):
        one, other = found.get(name, "nothing"), wanted.get(name, "nothing")
        if one != other:
            return name or "class", one, other
    return None


def _parts(name: str, value: Any, static: bool) -> Iterator[tuple[str, str]]:
    kind = type(value)
    own_name = kind.__qualname__
    if dataclasses.is_dataclass(kind):
        yield name, own_name
        for field in dataclasses.fields(kind):
            if LATER in field.metadata and getattr(value, field.name, None) == field.default:
                continue
            inside = f"{name}.{field.name}".lstrip(".")
            fixed = static or field.metadata.get("static", False)
            yield from _parts(inside, getattr(value, field.name, None), fixed)
    elif hasattr(value, "dtype") and not static:
        yield name, f"{value.dtype}{list(value.shape)}"
    elif isinstance(value, dict):
        yield name, f"dict of {len(value)}"
        for key, part in value.items():
            yield from _parts(f"{name}[{key!r}]", part, static)
    elif isinstance(value, list | tuple) and (not static or any(map(dataclasses.is_dataclass, value))):
        yield name, f"{type(value).__name__} of {len(value)}"
        for i, part in enumerate(value):
            yield from _parts(f"{name}[{i}]", part, static)
    else:
        yield name, _text(value)


def _text(value: Any) -> str:
    """A value in a few words, the same in every process."""
    if isinstance(value, functools.partial):
        return f"{_text(value.func)}{_text(value.args)}{_text(value.keywords)}"
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    if hasattr(value, "dtype"):
        value = np.asarray(value).tolist()
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}... (SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"
