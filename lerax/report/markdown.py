"""A report as Markdown, for the appendix of a paper: tables and a picture, no videos."""

import re

from lerax.study import picture
from lerax.study.tables import Rows

from .blocks import Block, Code, Fold, Plot, Report, Table, Text
from .plain import curves_as_text, printable

MARKS = re.compile(r"[\\`*\[\]<>|~&$#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
BEGINS = re.compile(r"^( *)([-+=]|\d+[.)])(?=\s|$)")  # what a line could begin with and be something else
Pictures = dict[str, bytes]
"""Files by name, that stand beside the text."""


def as_markdown(report: Report, stem: str) -> tuple[str, Pictures]:
    """The text, and its pictures.

    Args:
        report: What it says.
        stem: What the names of its pictures begin with.
    """
    pictures: Pictures = {}
    parts = [f"# {escape(report.title)}", f"{escape(report.said)}."]
    parts += [_block(Text(line, warns=True), stem, pictures) for line in report.problems]
    for section in report.sections:
        if section.on_paper:
            parts += [f"## {section.head}", *_blocks(section.blocks, stem, pictures)]
    return "\n\n".join(filter(None, parts)) + "\n", pictures


def escape(text: str) -> str:
    """A text of whatever origin as a line of Markdown that shows it, and is nothing else."""
    line = MARKS.sub(r"\\\g<0>", " ".join(printable(text).split()))
    return BEGINS.sub(lambda found: found[1] + found[2][:-1] + "\\" + found[2][-1], line)


def _blocks(blocks: list[Block], stem: str, pictures: Pictures) -> list[str]:
    return [_block(block, stem, pictures) for block in blocks]


def _block(block: Block, stem: str, pictures: Pictures) -> str:
    match block:
        case Text(text, warns):
            return f"{'Note: ' * warns}{escape(text)}"
        case Table(rows):
            return _table(rows)
        case Code(text, language):
            return _code(text, language)
        case Plot():
            return _plot(block, stem, pictures)
        case Fold(head, blocks, True):
            return "\n\n".join([f"### {escape(head)}", *_blocks(blocks, stem, pictures)])
        case _:
            return ""


def _table(rows: Rows) -> str:
    lines = [f"| {' | '.join(map(escape, row))} |" for row in rows]
    lines.insert(1, f"|{'---|' * len(rows[0])}")
    return "\n".join(lines)


def _code(text: str, language: str = "") -> str:
    """A block that no line in it ends."""
    text = printable(text).rstrip("\n")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text) or [""]))
    return f"{fence}{language}\n{text}\n{fence}"


def _plot(block: Plot, stem: str, pictures: Pictures) -> str:
    try:
        data = picture.drawn(block.curves, "png")
    except picture.MissingExtraError:
        return _code(curves_as_text(block.curves))
    name = f"{stem}-curves{f'-{len(pictures) + 1}' if pictures else ''}.png"
    pictures[name] = data
    place = re.sub(r"[<>\\]", lambda sign: f"\\{sign[0]}", name)
    return f"![{escape(block.curves.tag)}](<{place}>)\n\n{escape(block.curves.caption())}."
