"""What a report is made of, whatever it is written as. Texts are as files have them: writers escape them."""

from dataclasses import dataclass, field
from typing import TypeAlias

from lerax.backend.dashboard import Line
from lerax.study.curves import Curves
from lerax.study.tables import Rows


@dataclass(frozen=True)
class Text:
    """A paragraph; `warns` of one that says what to be careful about."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of texts, the first of which is the head."""

    rows: Rows


@dataclass(frozen=True)
class Code:
    """Lines as they are typed, or stand in a file."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Plot:
    """Curves."""

    curves: Curves


@dataclass(frozen=True)
class Screen:
    """What a terminal shows; `columns` are those that it has."""

    name: str
    lines: list[Line]
    columns: int


@dataclass(frozen=True)
class Video:
    """A whole mp4 file."""

    caption: str
    data: bytes


@dataclass(frozen=True)
class Fold:
    """What is looked at when it is asked for; on paper it is left out, unless it belongs there."""

    head: str
    blocks: list["Block"]
    on_paper: bool = False


Block: TypeAlias = Text | Table | Code | Plot | Screen | Video | Fold


@dataclass(frozen=True)
class Section:
    """Blocks under a head; on paper it is left out, unless it belongs there."""

    head: str
    blocks: list[Block] = field(default_factory=list)
    on_paper: bool = True


@dataclass(frozen=True)
class Report:
    """All of it; `said` is what stands below the title, `problems` are lines on what is left out."""

    title: str
    said: str
    sections: list[Section]
    problems: list[str]
