"""Colours."""

from dataclasses import dataclass

from lerax.errors import SettingError


@dataclass(frozen=True)
class Color:
    """A colour.

    Attributes:
        r: Red, in [0, 1].
        g: Green, in [0, 1].
        b: Blue, in [0, 1].

    Raises:
        ValueError: A part is outside [0, 1].
    """

    r: float
    g: float
    b: float

    def __post_init__(self):
        parts = self.r, self.g, self.b
        if not all(0 <= part <= 1 for part in parts):
            said = ", ".join(map(str, parts))
            raise SettingError("colour", parts, wrong="each part must be in [0, 1]", said=said)

    def to_rgb255(self) -> tuple[int, int, int]:
        """The parts in 0..255."""
        return (round(self.r * 255), round(self.g * 255), round(self.b * 255))

    @classmethod
    def from_rgb255(cls, r: int, g: int, b: int) -> "Color":
        """The colour of parts in 0..255."""
        return cls(r / 255, g / 255, b / 255)

    def to_hex(self) -> str:
        """The colour as `#rrggbb`."""
        return "#{:02x}{:02x}{:02x}".format(*self.to_rgb255())

    @classmethod
    def from_hex(cls, text: str) -> "Color":
        """The colour that `#rrggbb`, with or without the `#`, stands for.

        Raises:
            ValueError: Not six hexadecimal digits.
        """
        try:
            digits = bytes.fromhex(text.removeprefix("#"))
            r, g, b = digits
        except ValueError:
            raise SettingError("colour", text, wrong="not of the form #rrggbb") from None
        return cls.from_rgb255(r, g, b)


WHITE = Color(1.0, 1.0, 1.0)
BLACK = Color(0.0, 0.0, 0.0)
GRAY = Color(0.5, 0.5, 0.5)
RED = Color(1.0, 0.0, 0.0)
GREEN = Color(0.0, 1.0, 0.0)
BLUE = Color(0.0, 0.0, 1.0)
