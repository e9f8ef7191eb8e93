"""What is refused, as an object with its parts, and what lerax warns of."""

import datetime


class SettingError(ValueError):
    """A setting or an argument has a value that it cannot have.

    Attributes:
        name: What it is called.
        got: The value, as it was given.
        allowed: What it may be, in words; "" where `wrong` says all.
        wrong: What is wrong; "" for no more than that the value is not allowed.
        hint: What to do, or how a value is written.
        said: What to say of `got` in place of the value itself.
    """

    def __init__(
        self, name: str, got: object, allowed: str = "", *, wrong: str = "", hint: str = "", said: str = ""
    ):
        self.name, self.got, self.allowed = name, got, allowed
        self.wrong, self.hint, self.said = wrong, hint, said

    @property
    def reason(self) -> str:
        """All in one line but the name, for those who call the value otherwise."""
        wrong = self.wrong or f"must be {self.allowed}"
        allowed = f"allowed: {self.allowed}" if self.wrong and self.allowed else ""
        parts = (f"{wrong} (got {self.said or shown(self.got)})", allowed, self.hint)
        return "; ".join(part for part in parts if part)

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class SettingTypeError(SettingError, TypeError):
    """A setting or an argument is of a kind that it cannot be."""


class LeraxWarning(RuntimeWarning):
    """What lerax warns of: something goes on otherwise than was asked for."""


class LossWarning(LeraxWarning):
    """Something is missing in a file, because it could not be written."""


class NotFiniteWarning(LeraxWarning):
    """A logged value is NaN or infinite."""


def shown(value: object) -> str:
    """A value in one short line."""
    is_date = isinstance(value, (datetime.date, datetime.time))  # which TOML has, too
    line = value.isoformat() if is_date else " ".join(repr(value).split())
    return line if len(line) <= 80 else f"{line[:40]} ... {line[-35:]}"


def told(error: BaseException) -> str:
    """Class and message of an exception; of JAX's about Python in a compiled program, those of Python's."""
    _, inside, stack = str(error).rpartition("Traceback (most recent call last):\n")
    if not inside:
        return f"{type(error).__name__}: {error}"
    lines = stack.split("\n")
    while any(line.startswith('  File "') for line in lines):
        lines.pop(0)
    return "\n".join(lines)
