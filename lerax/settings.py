"""Module fields that carry their own help text and limits.

What an algorithm, a policy or an environment can be told is written once, as a field: its type, default, help
and range are read from there by the constructor, the command line, configuration files and what is logged.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import SettingError, SettingTypeError
from .kinds import INTERVAL, TABLE, Limits, Setting, kind_of, pairs_of

REQUIRED = dataclasses.MISSING
"""In place of a default: the setting has none, and must be given."""
DATA = {"float", INTERVAL, "none"}


def setting(
    default: object,
    help: str,
    *,
    kind: str = "",
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple = (),
    kw_only: bool = False,
    static: bool | None = None,
) -> Any:
    """Declares a field of an Equinox module that carries its help and its range.

    Args:
        default: Its default; a tuple stands for a list, a mapping for a table. `REQUIRED` for none.
        help: What it does, in a few words.
        kind: Its type, where the default does not say it: `bool`, `int`, `float`, `str`, `list of int` and so
            on; `interval` for two numbers, the lower one first, which may be infinite; `table` for a mapping
            from names to numbers or lists of numbers, kept as its pairs. Several are joined: `int or none`.
        above: What it must exceed.
        at_least: The least value.
        at_most: The greatest value.
        choices: All that it may be.
        kw_only: Whether it is given by name only.
        static: Whether it is part of compiled programs, such as what decides on shapes. By default all is,
            but numbers with a fraction: these are data, and another value compiles nothing.

    Returns:
        The field.
    """
    import equinox as eqx  # here: options are read by the same rules before JAX is imported

    limits, kind = Limits(above, at_least, at_most, choices), kind or kind_of(default)
    default = pairs_of(default) if isinstance(default, Mapping) else default
    return eqx.field(
        default=default,
        static=not {*kind.split(" or ")} <= DATA if static is None else static,
        kw_only=kw_only,
        converter=_without_arrays,
        metadata={"setting": Setting("", default, help, limits, kind)},
    )


def settings_of(cls: type) -> dict[str, Setting]:
    """The settings of a class by name, in the order of its fields."""
    return {
        field.name: field.metadata["setting"]._replace(name=field.name)
        for field in dataclasses.fields(cls)
        if "setting" in field.metadata
    }


@functools.cache
def data_of(cls: type) -> frozenset[str]:
    """The names of the settings of a class that are data of compiled programs, not part of them."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    return frozenset(name for name in settings_of(cls) if not fields[name].metadata.get("static", False))


def setting_values(module: object) -> dict[str, Any]:
    """The values that an instance's settings have."""
    return {name: getattr(module, name) for name in settings_of(type(module))}


def changed_settings(module: object, names: Iterable[str]) -> tuple[tuple[str, Any], ...]:
    """Those of some settings that are not at their defaults, with their values; arrays count as such."""
    declared = settings_of(type(module))
    pairs = ((name, getattr(module, name)) for name in names)
    changed = lambda name, value: hasattr(value, "shape") or value != declared[name].default
    return tuple(pair for pair in pairs if changed(*pair))


def take_settings(module: object, given: Mapping[str, Any]) -> None:
    """Gives a module that is being constructed its settings, by default their defaults, and checks them.

    Raises:
        SettingTypeError: One of another name is given.
        SettingError: A value has the wrong type or lies outside its range.
    """
    own = settings_of(type(module))
    for name in given:
        if name not in own:
            hint = "it has " + ", ".join(own)
            raise SettingTypeError(type(module).__name__, name, wrong="has no such setting", hint=hint)
    for name, declared in own.items():
        object.__setattr__(module, name, given.get(name, declared.default))
    check_settings(module)


def check_settings(module: object) -> None:
    """Converts and checks every setting of a module that is being constructed.

    Data that is being traced stays as it is: so a caller's `jax.vmap` may map over it.

    Raises:
        SettingError: A value has the wrong type or lies outside its range.
    """
    from jax.core import Tracer  # here, as above

    for name, declared in settings_of(type(module)).items():
        value = getattr(module, name)
        if isinstance(value, Tracer) and name in data_of(type(module)):
            continue
        try:
            object.__setattr__(module, name, declared.convert(value))
        except SettingError as error:
            if value is not declared.default:
                raise
            field, wrong = f"{type(module).__name__}.{name}", f"its own default is {error.wrong}"
            raise SettingError(
                field, value, error.allowed, wrong=wrong, hint="mend its declaration"
            ) from None


def _without_arrays(value: Any) -> Any:
    """Plain numbers in place of an array of them, of whose kind Equinox takes none as static."""
    try:
        return value.tolist() if hasattr(value, "shape") else value
    except (TypeError, AttributeError):  # traced, or a PRNG key: refused with the others of a wrong type
        return value


def plain(declared: Setting, value: Any) -> Any:
    """A value as a file has it: a table as such, and `none` as text, since TOML has no other word for it."""
    if value is None:
        return "none"
    return dict(value) if declared.type_name == TABLE else value


def from_plain(declared: Setting, value: Any) -> Any:
    """The value that `plain` has written, or a user in its way."""
    return None if value == "none" and "none" in declared.alternatives else value


def read_settings(cls: type, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a class's settings that a file has, each brought to its type.

    Args:
        cls: The class.
        saved: Them by name, as `plain` has written them.

    Raises:
        SettingError: The class has not all of them, or one is of the wrong type or out of range.
    """
    declared = settings_of(cls)
    for name in saved:
        if name not in declared:
            raise SettingTypeError(cls.__name__, name, wrong="has no such setting")
    return {name: declared[name].convert(from_plain(declared[name], value)) for name, value in saved.items()}


def check_instance(name: str, value: object, wanted: type, form: str) -> None:
    """Refuses an argument that is no instance of a class; a class itself is taken for one easily.

    Args:
        name: What the argument is called.
        value: The argument.
        wanted: The class.
        form: How one would be written.

    Raises:
        SettingTypeError: It is none.
    """
    if isinstance(value, type):
        own = issubclass(value, wanted) and not form.startswith(value.__name__)
        form = f"{value.__name__}(...)" if own else form
        hint = f"write an instance, such as {form}"
        raise SettingTypeError(name, value, wrong="a class", hint=hint, said=value.__name__)
    if not isinstance(value, wanted):
        hint = f"write for example {form}"
        raise SettingTypeError(name, value, wrong=f"not an {wanted.__name__}", hint=hint)


def check_count(name: str, value: object, example: int = 1000) -> int:
    """An argument that is a whole number of at least 1.

    Raises:
        SettingError: It is none.
    """
    return check_value(name, value, example, at_least=1)


def check_value(name: str, value: object, example: object, **limits: Any) -> Any:
    """An argument of the type of `example` and within `Limits(**limits)`.

    Raises:
        SettingError: It is none.
    """
    return Setting(name, example, "", Limits(**limits)).convert(value)
