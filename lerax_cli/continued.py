"""A run that goes on: which one it is, what it was, and that it stays the same."""

import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from lerax.files import parse_toml
from lerax.run import NAME, read_facts

from . import naming
from .declared import TABLES, setting_name
from .report import BadInput, Failure
from .values import Layer, as_text, read_config

AUTO = "auto"
CHECKPOINTS = "checkpoints"  # the folder in a run's directory
SAME = ("seed", *TABLES)  # what of a config belongs to the numbers of a run


class Continued(NamedTuple):
    """A run that goes on, or that a new one branches off from.

    Attributes:
        path: Its directory.
        facts: What `run.json` says.
        config: What `config.toml` says.
        layer: The same, checked.
        at: The checkpoint that a new run begins with; None where the run itself goes on.
    """

    path: Path
    facts: dict[str, Any]
    config: dict[str, Any]
    layer: Layer
    at: Path | None = None

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
        others = {
            (key, name): (value, new[name])
            for key in SAME
            for old, new in [(_table(self.config, key), _table(given, key))]
            for name, value in old.items()
            if name in new and new[name] != value
        }
        for (key, name), (old, new) in others.items():
            full = name if name == key else f"{key}.{name}"
            raise BadInput(
                "--resume",
                f"{self.path.name} has {full} = {old!r} (got {new!r}); a run goes on with its own settings: "
                + self._instead({place: new for place, (_, new) in others.items()}),
            )

    def _instead(self, others: dict[tuple[str, str], Any]) -> str:
        """What makes a run with other settings, by table and name."""
        if any(name == "name" for _, name in others):
            return "`lerax train` begins another"
        options: list[str] = []
        for (key, name), value in others.items():
            own = key == name  # which has an option of its own
            options += (
                [f"--{key}", str(value)] if own else ["--set", f"{setting_name(key, name)}={as_text(value)}"]
            )
        return f"`{self.branch_line(*options)}` makes a new one of it"

    def branch_line(self, *options: str) -> str:
        """The command that makes a new run of it, with more steps where it has come to its end."""
        steps = int(self.config["steps"])
        more = ["--steps", f"+{steps}"] if "--steps" not in options and self.is_complete(steps) else []
        return shlex.join(["lerax", "branch", str(self.path), *options, *more])


def _table(config: dict[str, Any], key: str) -> dict[str, Any]:
    """What stands under a key: a table as it is, and a value as one by the name of the key."""
    found = config.get(key)
    return found if isinstance(found, dict) else {key: found}


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
        return read(resume, out)
    if name is None:
        raise BadInput("--resume", "auto goes on with the run of a name (got none); give --name NAME, too")
    path = Path(out) / name
    if not NAME.fullmatch(name) or not path.is_dir():
        return None
    if not (path / "config.toml").is_file() or not (path / "run.json").is_file():
        return _give_up(path)
    return _read(path)


def read(run: str, out: str, where: str = "--resume") -> Continued:
    """A run that was named.

    Args:
        run: Its path, its name, or how that begins.
        out: The folder that holds the runs.
        where: What to call it in an error.

    Raises:
        BadInput: There is no such run.
        Failure: What is found cannot go on.
    """
    return _read(naming.find_run(where, run, out).path, where)


def trusted(run: Continued, classes: list[str]) -> dict[str, str]:
    """What a run names by its place and the user trusts, by table."""
    names = run.layer.names
    return {table: given.value for table, given in names.items() if given.value in classes}


def _give_up(path: Path) -> None:
    """Takes away what a process left that ended before its run began."""
    begun = [entry.name for entry in path.iterdir() if entry.name in ("checkpoints", "policy.eqx")]
    if begun:
        raise Failure("--resume", f"{path} has {begun[0]} and no config.toml; choose another name")
    shutil.rmtree(path)


def _read(path: Path, where: str = "--resume") -> Continued:
    try:
        facts = read_facts(path)
    except (OSError, ValueError) as error:
        raise Failure(where, f"{path} has no run.json that can be read ({error})") from None
    config = path / "config.toml"
    if not config.is_file():
        raise Failure(where, f"{path} has no config.toml: it ended before it began; start it anew")
    layer = read_config(str(config), where)
    return Continued(path, facts, parse_toml(config.read_text()), layer)
