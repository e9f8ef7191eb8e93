"""A run that goes on: which one it is, what it was, and that it stays the same."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from lerax.files import parse_toml
from lerax.run import NAME, read_facts

from . import naming
from .declared import TABLES
from .report import BadInput, Failure
from .values import Layer, read_config

AUTO = "auto"
SAME = ("seed", *TABLES)  # what of a config belongs to the numbers of a run


class Continued(NamedTuple):
    """A run that goes on.

    Attributes:
        path: Its directory.
        facts: What `run.json` says.
        config: What `config.toml` says.
        layer: The same, checked.
    """

    path: Path
    facts: dict[str, Any]
    config: dict[str, Any]
    layer: Layer

    def is_complete(self, steps: int) -> bool:
        """Whether it has come to the end of so many environment steps."""
        return self.facts.get("status") == "finished" and int(self.facts.get("steps", 0)) >= steps

    @property
    def has_trained(self) -> bool:
        """Whether anything was learned: then there has to be a checkpoint."""
        return bool(self.facts.get("steps")) or (self.path / "policy.eqx").exists()

    def check_same(self, config: dict[str, Any]) -> None:
        """Refuses settings that are not the run's.

        Args:
            config: What `config.toml` would say.

        Raises:
            BadInput: There is one.
        """
        given = parse_toml(tomli_w.dumps(config))
        for key in SAME:
            old, new = self.config.get(key), given[key]
            if not isinstance(old, dict):
                old, new = {key: old}, {key: new}
            for name, value in old.items():
                if name in new and new[name] != value:
                    full = name if name == key else f"{key}.{name}"
                    raise BadInput(
                        "--resume",
                        f"{self.path.name} has {full} = {value!r} (got {new[name]!r}); a run goes on with "
                        f"its own settings: `lerax branch {self.path.name} --set ...` makes a new one of it",
                    )


def find(resume: str, out: str, name: str | None) -> Continued | None:
    """The run that goes on; None for a new one, where `auto` finds none.

    Args:
        resume: A run, or `auto`.
        out: The folder that holds the runs.
        name: What `auto` looks for.

    Raises:
        BadInput: There is no such run, or `auto` has no name.
        Failure: What is found cannot go on.
    """
    if resume != AUTO:
        if name is not None:
            raise BadInput("--name", f"a run that goes on keeps its own (got {name!r}); leave it out")
        return _read(naming.find_run("--resume", resume, out).path)
    if name is None:
        raise BadInput("--resume", "auto goes on with the run of a name (got none); give --name NAME, too")
    path = Path(out) / name
    if not NAME.fullmatch(name) or not path.is_dir():
        return None
    if not (path / "config.toml").is_file() or not (path / "run.json").is_file():
        return _give_up(path)
    return _read(path)


def trusted(resume: str, out: str, classes: list[str]) -> dict[str, str]:
    """What a run names by its place and the user trusts, by table."""
    names = _read(naming.find_run("--resume", resume, out).path).layer.names
    return {table: given.value for table, given in names.items() if given.value in classes}


def _give_up(path: Path) -> None:
    """Takes away what a process left that ended before its run began."""
    begun = [entry.name for entry in path.iterdir() if entry.name in ("checkpoints", "policy.eqx")]
    if begun:
        raise Failure("--resume", f"{path} has {begun[0]} and no config.toml; choose another name")
    shutil.rmtree(path)


def _read(path: Path) -> Continued:
    try:
        facts = read_facts(path)
    except (OSError, ValueError) as error:
        raise Failure("--resume", f"{path} has no run.json that can be read ({error})") from None
    config = path / "config.toml"
    if not config.is_file():
        raise Failure("--resume", f"{path} has no config.toml: it ended before it began; start it anew")
    layer = read_config(str(config), "--resume")
    return Continued(path, facts, parse_toml(config.read_text()), layer)
