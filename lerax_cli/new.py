"""`lerax new`."""

import importlib.util
import keyword
import os
import string
from importlib import resources
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from lerax.settings import Limits, Setting

from . import report, words
from .report import BadInput
from .values import read_option

WHAT = Setting("what", "env", "", Limits(choices=("env",)))
FILES = {
    "env.py": "{name}.py",
    "test.py": "test_{name}.py",
    "train.toml": "train.toml",
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
}
"""What is written of each template, by the template's name."""
ENDING = ".template"  # they are no files in Python yet


def new(
    what: Annotated[
        str,
        typer.Argument(
            metavar="env",
            help="What to write: env, an environment.",
            autocompletion=words.begin(WHAT.limits.choices),
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name, such as my_env.", show_default=False)
    ],
) -> None:
    """Write the folder of an environment of your own, which trains at once; prints its path."""
    read_option("WHAT", WHAT, what)
    cls = _class_name(name)
    folder = Path(name)
    if os.path.lexists(folder):
        raise BadInput("NAME", f"it exists already (got {name!r}); choose another")
    texts = {
        FILES[template]: _template(what, template).substitute(
            name=name, cls=cls, project=name.strip("_").replace("_", "-").lower()
        )
        for template in FILES
    }
    folder.mkdir()
    for file, text in texts.items():
        (folder / file.format(name=name)).write_text(text, "utf-8")
    place = quote(f"./{name}.py:{cls}")
    report.entry("folder", f"cd {quote(name)}")
    report.entry("train", f"lerax train {place} --config train.toml")
    report.entry("check", f"lerax check {place}")
    report.entry("by name", f"pip install -e . && lerax train {quote(name)}")
    report.result(name)


def _class_name(name: str) -> str:
    """The name of the class in a file: `MyEnv` of `my_env`.

    Raises:
        BadInput: None can be made of it.
    """
    cls = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    if not (name.isidentifier() and name.isascii() and cls.isidentifier()) or keyword.iskeyword(name):
        wanted = "letters, digits and _, a letter first, and no word of Python's, such as my_env"
        raise BadInput("NAME", f"not a name in Python (got {name!r}); allowed: {wanted}")
    if importlib.util.find_spec(name) is not None:
        raise BadInput("NAME", f"the name of a module that is installed (got {name!r}); choose another")
    return cls


def _template(what: str, name: str) -> string.Template:
    file = resources.files("lerax_cli") / "templates" / what / f"{name}{ENDING}"
    return string.Template(file.read_text("utf-8"))
