"""Module fields that carry their own help text and limits.

A hyperparameter is written once, as a field: its type, default, help and range are read from there by the
constructor, the command line, configuration files and the logged hyperparameters.
"""

import dataclasses
import datetime
import math
import operator
from typing import Any, NamedTuple

LONGEST_LIST = 100


class Limits(NamedTuple):
    """The range a setting must lie in.

    Attributes:
        above: What it must exceed; None for no limit.
        at_least: The least value; None for no limit.
        at_most: The greatest value; None for no limit.
        choices: All that it may be; empty for no such list.
    """

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple = ()

    def __str__(self) -> str:
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        words = {"above": self.above, "at least": self.at_least, "at most": self.at_most}
        said = [f"{word} {limit}" for word, limit in words.items() if limit is not None]
        return " and ".join(said)

    def allow(self, value: Any) -> bool:
        """Whether `value` lies in the range; NaN and infinities never do."""
        if isinstance(value, tuple):
            return 1 <= len(value) <= LONGEST_LIST and all(self.allow(item) for item in value)
        if self.choices:
            return value in self.choices
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )


class Setting(NamedTuple):
    """One hyperparameter of a class, as its field declares it.

    Attributes:
        name: The field's name.
        default: Its default, whose type is that of the setting.
        help: What it does, in a few words.
        limits: The range it must lie in.
    """

    name: str
    default: Any
    help: str
    limits: Limits

    @property
    def type_name(self) -> str:
        """The word shown to users."""
        if isinstance(self.default, tuple):
            return f"list of {type(self.default[0]).__name__}"
        return type(self.default).__name__

    @property
    def allowed(self) -> str:
        """The range in words."""
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, tuple):
            return f"1 to {LONGEST_LIST} values" + (f", each {self.limits}" if str(self.limits) else "")
        whatever = {str: "any text", int: "any whole number"}.get(type(self.default), "any finite value")
        return str(self.limits) or whatever

    @property
    def example(self) -> str:
        """How a value is written, in Python as on the command line; booleans differ."""
        if isinstance(self.default, bool):
            return "True, behind --set and in a file true"
        if isinstance(self.default, tuple):
            return f"[{','.join(map(repr, self.default))}]"
        return repr(self.default)

    def convert(self, value: Any) -> Any:
        """Brings a value to the setting's type and checks its range.

        Raises:
            ValueError: Wrong type, or outside the range.
        """
        try:
            converted = _convert(value, self.default)
        except (TypeError, ValueError, OverflowError):
            article = "an" if self.type_name == "int" else "a"
            such = "" if isinstance(self.default, str) else f"; such as {self.example}"
            wrong = f"not {article} {self.type_name} (got {shown(value)}); allowed: {self.allowed}{such}"
            raise ValueError(f"{self.name}: {wrong}") from None
        if not self.limits.allow(converted):
            such = f"; such as {self.example}" if isinstance(converted, tuple) else ""
            wrong = f"out of range (got {shown(value)}); allowed: {self.allowed}{such}"
            raise ValueError(f"{self.name}: {wrong}")
        return converted


def setting(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple = (),
) -> Any:
    """Declares a static field of an Equinox module that carries its help and its range.

    Args:
        default: Its default; a tuple stands for a list.
        help: What it does, in a few words.
        above: What it must exceed.
        at_least: The least value.
        at_most: The greatest value.
        choices: All that it may be.

    Returns:
        The field.
    """
    import equinox as eqx  # here: options are read by the same rules before JAX is imported

    limits = Limits(above, at_least, at_most, choices)
    metadata = {"help": help, "limits": limits}
    return eqx.field(default=default, static=True, converter=_without_arrays, metadata=metadata)


def settings_of(cls: type) -> dict[str, Setting]:
    """The settings of a class by name, in the order of its fields."""
    return {
        field.name: Setting(field.name, field.default, field.metadata["help"], field.metadata["limits"])
        for field in dataclasses.fields(cls)
        if "help" in field.metadata
    }


def setting_values(module: Any) -> dict[str, Any]:
    """The values that an instance's settings have."""
    return {name: getattr(module, name) for name in settings_of(type(module))}


def check_settings(module: Any) -> None:
    """Converts and checks every setting of a module that is being constructed.

    Raises:
        ValueError: A value has the wrong type or lies outside its range.
    """
    for name, declared in settings_of(type(module)).items():
        object.__setattr__(module, name, declared.convert(getattr(module, name)))


def _without_arrays(value: Any) -> Any:
    """Plain numbers in place of an array of them, of whose kind Equinox takes none as static."""
    try:
        return value.tolist() if hasattr(value, "shape") else value
    except (TypeError, AttributeError):  # traced, or a PRNG key: refused with the others of a wrong type
        return value


def _convert(value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if isinstance(value, str):  # its letters are no list
            raise TypeError
        return tuple(_convert(item, default[0]) for item in value)
    is_bool = (
        isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", None) == "b"
    )  # NumPy's
    if is_bool != isinstance(default, bool):
        raise TypeError
    if is_bool:
        return bool(value)
    if isinstance(default, int):
        if isinstance(value, float) and not value.is_integer():
            raise TypeError
        return int(value) if isinstance(value, float) else operator.index(value)
    if isinstance(default, float):
        if isinstance(value, str):
            raise TypeError
        return float(value)
    if not isinstance(value, str):
        raise TypeError
    return value


def check_instance(name: str, value: Any, wanted: type, form: str) -> None:
    """Refuses an argument that is no instance of a class; a class itself is taken for one easily.

    Args:
        name: What the argument is called.
        value: The argument.
        wanted: The class.
        form: How one would be written.

    Raises:
        TypeError: It is none.
    """
    if isinstance(value, type):
        own = issubclass(value, wanted) and not form.startswith(value.__name__)
        form = f"{value.__name__}(...)" if own else form
        raise TypeError(f"{name}: a class (got {value.__name__}); write an instance, such as {form}")
    if not isinstance(value, wanted):
        raise TypeError(f"{name}: not an {wanted.__name__} (got {shown(value)}); write for example {form}")


def shown(value: Any) -> str:
    """A value in one short line."""
    is_date = isinstance(value, (datetime.date, datetime.time))  # which TOML has, too
    line = value.isoformat() if is_date else " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:40]} ... {line[-35:]}"


def check_count(name: str, value: Any, example: int = 1000) -> int:
    """An argument that is a whole number of at least 1.

    Raises:
        ValueError: It is none.
    """
    return check_value(name, value, example, at_least=1)


def check_value(name: str, value: Any, example: Any, **limits: Any) -> Any:
    """An argument of the type of `example` and within `Limits(**limits)`.

    Raises:
        ValueError: It is none.
    """
    return Setting(name, example, "", Limits(**limits)).convert(value)
