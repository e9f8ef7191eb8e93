"""A report as files."""

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lerax.errors import SettingError
from lerax.files import write_atomically
from lerax.study.groups import Group

from .blocks import Report, Section
from .markdown import as_markdown
from .page import as_html
from .videos import videos

FORMATS = (".html", ".md")
LARGEST = 10_000_000  # bytes of a page with its videos
BESIDE = 10_000  # of them for what is said beside videos
BEFORE = "Dashboard"  # where the videos come


class Written(NamedTuple):
    """Files of a report.

    Attributes:
        path: The report.
        beside: Pictures beside it.
        size: Bytes of the report.
    """

    path: Path
    beside: list[Path]
    size: int


def check_place(path: str | Path) -> Path:
    """The path of a report.

    Raises:
        SettingError: Its name's end says no format that there is.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise SettingError(
            "output", str(path), wrong=f"not the name of a file that ends in {' or '.join(FORMATS)}"
        )
    return path


def pictures_of(path: Path) -> list[Path]:
    """The pictures there are that a report at a path would have beside it, and replace."""
    if path.suffix.lower() != ".md":
        return []
    ours = re.compile(re.escape(f"{path.stem}-curves") + r"(-\d+)?\.png")
    with contextlib.suppress(OSError):
        return sorted(path.with_name(name) for name in os.listdir(path.parent) if ours.fullmatch(name))
    return []


def write_report(path: str | Path, report: Report, groups: Sequence[Group] = ()) -> Written:
    """Writes a report over what is there.

    Args:
        path: The file: a page that ends in .html, or Markdown, .md, with pictures beside it.
        report: What it says, as `contents` has it.
        groups: The trainings whose videos are in the page, as long as it stays under 10 MB.

    Raises:
        SettingError: The file ends in something else.
        OSError: It cannot be written; what was there before is still there.
    """
    path = check_place(path)
    if path.suffix.lower() == ".md":
        text, pictures = as_markdown(report, path.stem)
        for name, data in pictures.items():
            write_atomically(path.with_name(name), data)
    else:
        pictures = {}
        made = f"written {time.strftime('%Y-%m-%d %H:%M')}"
        text = as_html(report, made=made)
        shown = videos(groups, LARGEST - len(text.encode()) - BESIDE)
        if shown.blocks:
            text = as_html(_with(report, shown), made=made)
    data = text.encode()
    write_atomically(path, data)
    return Written(path, [path.with_name(name) for name in pictures], len(data))


def _with(report: Report, section: Section) -> Report:
    """A report with one more section."""
    heads = [one.head for one in report.sections]
    place = heads.index(BEFORE) if BEFORE in heads else len(heads)
    return replace(report, sections=[*report.sections[:place], section, *report.sections[place:]])
