"""A report as one page of HTML, which loads nothing: pictures and videos are in it."""

import html
import re
from importlib.resources import files
from string import Template

from lerax import __version__
from lerax.render.inline import data_address, player
from lerax.study import picture
from lerax.study.tables import Rows

from .blocks import Block, Code, Fold, Plot, Report, Screen, Section, Table, Text, Video
from .plain import curves_as_text, printable
from .screen import as_svg

NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]?\d+)?%?( to [-+]?[\d,.]+(e[-+]?\d+)?)?|nan|-?inf|")
WARNS, RIGHT = ' class="warns"', ' class="number"'


def as_html(report: Report, *, made: str = "") -> str:
    """The page.

    Args:
        report: What it says.
        made: What stands below its title, beside what the report says itself.
    """
    body = [*(_block(Text(line, warns=True)) for line in report.problems), *map(_section, report.sections)]
    said = ", ".join(filter(None, (report.said, made)))
    template = Template(files("lerax.report").joinpath("page.html").read_text("utf-8"))
    return template.substitute(
        title=escape(report.title), said=escape(said), version=escape(__version__), body="\n".join(body)
    )


def escape(text: str) -> str:
    """A text of whatever origin as HTML that shows it, and is nothing else."""
    return html.escape(printable(text))


def _section(section: Section) -> str:
    videos = [block for block in section.blocks if isinstance(block, Video)]
    parts = [f"<h2>{escape(section.head)}</h2>"]
    if videos:
        parts.append(f'<div class="videos">{"".join(map(_block, videos))}</div>')
    parts += [_block(block) for block in section.blocks if not isinstance(block, Video)]
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _block(block: Block) -> str:
    match block:
        case Text(text, warns):
            return f"<p{WARNS * warns}>{escape(text)}</p>"
        case Table(rows):
            return _table(rows)
        case Code(text, _):
            return f"<pre>{escape(text)}</pre>"
        case Plot():
            return _plot(block)
        case Screen(name, lines, columns):
            return as_svg(lines, columns, about=f"The dashboard of {printable(name)}")
        case Video(caption, data):
            shown = player(data_address(data, "video/mp4"))
            return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"
        case Fold(head, blocks, _):
            inside = "\n".join(map(_block, blocks))
            return f"<details>\n<summary>{escape(head)}</summary>\n{inside}\n</details>"


def _table(rows: Rows) -> str:
    """Columns of numbers stand at the right."""
    numbers = [all(map(NUMBER.fullmatch, cells[1:])) for cells in zip(*rows, strict=True)]
    line = lambda tag, row: "".join(
        f"<{tag}{RIGHT * is_number}>{escape(cell)}</{tag}>"
        for cell, is_number in zip(row, numbers, strict=True)
    )
    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows[1:])
    head = f"<thead><tr>{line('th', rows[0])}</tr></thead>"
    return f'<div class="wide"><table>\n{head}\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _plot(block: Plot) -> str:
    """A picture for light pages and one for dark ones; without matplotlib letters."""
    try:
        light, dark = (picture.drawn(block.curves, "svg", dark=dark) for dark in (False, True))
    except picture.MissingExtraError as error:
        text, why = curves_as_text(block.curves), f"As a picture: {error}."
        return f"<pre>{escape(text)}</pre><p>{escape(why)}</p>"
    source = lambda data: data_address(data, "image/svg+xml")
    about = f"{block.curves.tag} of each training; {block.curves.caption()}"
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{source(dark)}">'
        f'<img src="{source(light)}" alt="{escape(about)}"></picture></figure>'
    )
