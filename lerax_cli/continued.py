"""A run that goes on: which one it is, what it was, and that it stays the same."""

import math
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from lerax import runs
from lerax.files import SEEDS, UNFINISHED, parse_toml
from lerax.run import NAME, RunIsHeldError, hold, joined_name, last_step

from . import naming
from .declared import TABLES, WRAP, setting_name
from .options import TrainingPlan, layout_of, plan
from .report import BadInput, Failure
from .values import Layer, More, as_text, read_config

AUTO = "auto"
CHECKPOINTS = "checkpoints"  # the folder in a run's directory
FIRST = (runs.FACTS, runs.LOCK, runs.CONFIG)  # what there is of a run before it begins
SAME = ("seed", "nan", *TABLES, WRAP)  # what of a config belongs to the states of a run


class Continued(NamedTuple):
    """A run that goes on, or that a new one branches off from.

    Attributes:
        run: What is known of it.
        config: What `config.toml` says.
        layer: The same, checked.
        at: The checkpoint that a new run begins with; None where the run itself goes on.
    """

    run: runs.Run
    config: dict[str, Any]
    layer: Layer
    at: Path | None = None

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.run.path

    @property
    def folder(self) -> Path:
        """The folder that holds it."""
        return self.path.parent

    @property
    def runs_folder(self) -> Path:
        """The folder that holds runs: of a seed of several, the one that holds all of these."""
        return self.folder.parent if runs.is_group(self.folder) else self.folder

    def is_complete(self, steps: int) -> bool:
        """Whether it has come to the end of so many environment steps."""
        return self.run.status == "finished" and self.run.steps >= steps

    @property
    def loss(self) -> str:
        """What is missing of it and can be done without, as a warning; "" where nothing is."""
        problem = self.run.problem
        return problem and f"{self.path}: {problem}; it goes on from its config.toml and checkpoints"

    def log_gap(self, steps: int) -> str:
        """What is missing of its log up to a checkpoint of so many steps, as a warning; "" for nothing."""
        last = last_step(self.path / runs.METRICS)
        there = f"{self.path / runs.METRICS} ends at step {last:,}"
        return f"{there}: lines up to step {steps:,} are lost" if last < steps else ""

    def hold(self) -> int:
        """Takes its lock; see `lerax.run.hold`.

        Raises:
            Failure: Another process has it, or it cannot be made.
        """
        try:
            return hold(self.path)
        except RunIsHeldError as error:
            raise Failure("--resume", f"{error}; end that one first, or wait for it") from None
        except OSError as error:
            raise Failure("--resume", f"{self.path} cannot be written ({error.strerror})") from None

    def check_name(self) -> None:
        """Refuses a directory that was renamed so that no backend takes its name.

        Raises:
            Failure: It has such a name.
        """
        if not NAME.fullmatch(self.path.name):
            line = shlex.join(
                ["mv", str(self.path), str(self.folder / (joined_name(self.path.name) or "run"))]
            )
            what = f"no name that a run goes on with (got {self.path.name!r})"
            raise Failure("--resume", f"{what}; allowed: letters, digits, . _ = + -; rename it: {line}")

    @property
    def trained_again(self) -> str:
        """What a kill has cost, as a line; "" where nothing has to be trained again."""
        saved, steps = self.run.saved_steps, self.run.steps
        since = f"{self.path.name} goes on from step {saved:,}, where it was last saved"
        if not saved:
            since = f"{self.path.name} begins anew, for its process died before anything was saved"
        return "" if saved >= steps else f"{since}: {steps - saved:,} steps are trained again, bit for bit"

    @property
    def has_trained(self) -> bool:
        """Whether anything was learned: then there has to be a checkpoint."""
        signs = [self.path / "policy.eqx", *([self.path / runs.METRICS] if self.run.problem else [])]
        return bool(self.run.steps) or any(path.exists() and path.stat().st_size for path in signs)

    @property
    def died_unsaved(self) -> bool:
        """Whether its process was killed before the first checkpoint was complete.

        The folder of checkpoints is not there yet, or holds what that one was to be. Where it is empty, and
        in runs that have ended by themselves, there was one; branches begin with one.
        """
        folder = self.path / CHECKPOINTS
        has_begun = not folder.exists() or any(folder.glob(f".*{UNFINISHED}"))
        return has_begun and self.run.status == "died" and "branched_from" not in self.run.facts

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
            if name in new and new[name] != value and not (name == "name" and naming.same(new[name], value))
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
        if any(name in ("name", WRAP) for _, name in others):
            return "`lerax train` begins another"
        if nan := others.get(
            ("nan", "nan")
        ):  # a state that has one guard does not fit a training with another
            config = str(self.path / "config.toml")
            return f"`{shlex.join(['lerax', 'train', '--config', config, '--nan', nan])}` begins anew"
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
        trust = naming.trusting(given.value for given in self.layer.names.values())
        return shlex.join(["lerax", "branch", str(self.path), *options, *more]) + trust


def _table(config: dict[str, Any], key: str) -> dict[str, Any]:
    """What stands under a key: a table as it is, and a value as one by the name of the key."""
    found = config.get(key, "none")  # as of a run without wrappers
    return found if isinstance(found, dict) else {key: found}


def find_group(resume: str, out: str, name: str | None) -> dict[int, Continued | None]:
    """The runs of a training with several seeds that goes on, by seed; nothing where none is named.

    Seeds that have not begun are None, as a kill leaves them that comes while their runs are prepared.

    Args:
        resume: A run, or `auto`.
        out: The folder that holds the runs.
        name: What `auto` looks for.

    Raises:
        Failure: One of them cannot go on.
    """
    text = name if resume == AUTO else resume
    group = runs.find_group(text, out) if text else None
    if group is None:
        return {}
    there = runs.seeds_of(group)
    seeds = {int(run.path.name.removeprefix("seed_")) for run in there} | {*runs.seeds_named(group)}
    found = {seed: find(AUTO, str(group), f"seed_{seed}") for seed in sorted(seeds)}
    if None in found.values():  # which the process that prepares them may be about to begin
        for run in filter(None, found.values()):
            os.close(run.hold())
    if any(found.values()):
        return found
    if resume != AUTO:
        raise Failure("--resume", f"{group} has no run in it; `lerax train` begins another")
    (group / SEEDS).unlink()  # the command line says all of it again
    return {}


def find(resume: str, out: str, name: str | None, steps: int | None = None) -> Continued | None:
    """The run that goes on; None for a new one, where `auto` finds none.

    Args:
        resume: A run, or `auto`.
        out: The folder that holds the runs.
        name: What `auto` looks for.
        steps: The steps that are wanted.

    Raises:
        BadInput: There is no such run, or `auto` has no name, or steps that grow.
        Failure: What is found cannot go on.
    """
    if resume != AUTO:
        if name is not None:
            raise BadInput("--name", f"a run that goes on keeps its own (got {name!r}); leave it out")
        return read(resume, out)
    if isinstance(steps, More):
        raise BadInput(
            "--steps", f"+{steps} with --resume auto would be more at every start; give all of them"
        )
    if name is None:
        raise BadInput("--resume", "auto goes on with the run of a name (got none); give --name NAME, too")
    path = Path(out) / name
    if not NAME.fullmatch(name) or not path.is_dir():
        return None
    found = runs.read(path)
    lost = (path / CHECKPOINTS).exists()  # run.json was there, when the first of them was made
    if not (path / runs.CONFIG).is_file() or not ((path / runs.FACTS).is_file() or lost):
        return _give_up(found)
    return _read(found)


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
    return _read(naming.find_run(where, run, out), where)


def trusted(run: Continued, classes: list[str]) -> dict[str, str]:
    """What a run names by its place, which the user has to trust, by table.

    Raises:
        BadInput: The user does not.
    """
    named = {table: naming.trusted_as(given.value, classes) for table, given in run.layer.names.items()}
    for table, given in run.layer.names.items():
        own = named[table]
        naming.find(given.where, TABLES[table], own or given.value, trusted=own is not None, option="--trust")
    return {table: own for table, own in named.items() if own is not None}


def plan_of(run: Continued, classes: list[str], warn: Callable[[str], None]) -> TrainingPlan:
    """What a run has trained, to be trained again without backends and videos.

    Args:
        run: The run.
        classes: What it names by its place and the user trusts.
        warn: Takes a line of warning.
    """
    named = trusted(run, classes)
    nothing = dict.fromkeys(("steps", "seed", "preset", "config", "num_envs", "nan"))
    again = plan(
        named.get("env"),
        algo=named.get("algorithm"),
        policy=named.get("policy"),
        backends=["none"],
        settings=[],
        warn=warn,
        going_on=run.layer,
        devices=math.prod(layout_of(run.layer.keys).values()),  # here, in one process
        **nothing,
    )
    return replace(again, processes=1)


def device_of(run: Continued) -> str:
    """What `--device` would say for a run to be trained again where it was: numbers depend on it.

    After a CPU that is the CPU, on a machine with a GPU, too. A GPU is not asked for, as there may be none:
    what differs then is said to be likely because of that.
    """
    return "cpu" if "cpu" in run.run.device.lower() else "auto"


def _give_up(run: runs.Run) -> None:
    """Takes away what a process left that ended before its run began."""
    more = [
        entry.name
        for entry in run.path.iterdir()
        if not (entry.is_file() and (entry.name in FIRST or entry.name.endswith(UNFINISHED)))
    ]
    if more:
        raise Failure(
            "--resume", f"{run.path} is no run that can go on (got {min(more)} in it); use another --name"
        )
    if not runs.remove(run):
        raise Failure("--resume", f"{run.path} is a link, or another process begins it; wait for that one")


def _read(run: runs.Run, where: str = "--resume") -> Continued:
    if run.path.name in ("", ".."):  # from within: what it is called stands in its whole path alone
        run = runs.read(run.path.resolve())
    facts, config = run.path / runs.FACTS, run.path / runs.CONFIG
    if os.path.lexists(facts) and not facts.is_file():  # a pipe would be waited for
        raise Failure(where, f"{run.path}: {run.problem}")
    if not config.is_file():
        raise Failure(where, f"{run.path} has no config.toml: it ended before it began; start it anew")
    try:
        layer = read_config(str(config), str(config))
    except BadInput as error:  # of the run, and not of the line of command
        raise Failure(error.where, error.what) from None
    if "env" not in layer.names:
        raise Failure(where, f"{config} is damaged: it names no environment")
    return Continued(run, parse_toml(config.read_text()), layer)
