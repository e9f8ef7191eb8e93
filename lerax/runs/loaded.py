"""A run in Python: what it was told, what it has logged, and what it has learned."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerax import named
from lerax.errors import SettingError
from lerax.files import read_toml
from lerax.registry import POLICY

from .metrics import Metrics
from .run import CONFIG, LIVES, METRICS, Run, number
from .search import find, find_all

if TYPE_CHECKING:  # what imports JAX is imported when it is asked for
    from lerax.env import AbstractEnvLike
    from lerax.policy import AbstractPolicy

LAST, BEST, CHECKPOINTS = "policy.eqx", "best.eqx", "checkpoints"


class LoadedRun:
    """A run with all that is in its directory; each part is read when it is first asked for.

    Attributes:
        run: What is known of it: its name, status, steps, score and so on.
        trust: Classes of one's own that the run's files name and that may be imported, as the command's
            `--trust` takes them.
    """

    def __init__(self, run: Run, trust: Sequence[str] = ()):
        self.run, self.trust = run, (trust,) if isinstance(trust, str) else tuple(trust)

    def __repr__(self) -> str:
        run = self.run
        return f"LoadedRun({run.path}: {run.algo} on {run.env}, {run.status} at step {run.steps:,})"

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.run.path

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` says; empty where that is missing or damaged."""
        return self.run.facts

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `config.toml` says, which is all that repeats the run.

        Raises:
            SettingError: It cannot be read.
        """
        try:
            return read_toml(self.path / CONFIG)
        except OSError as error:
            wrong = f"its {CONFIG} cannot be read ({error.strerror})"
        except ValueError as error:
            wrong = f"its {CONFIG} {error}"
        raise SettingError("run", str(self.path), wrong=wrong)

    @property
    def seed(self) -> int | None:
        """The seed of all its randomness; None where that is not known."""
        found = number(self.facts.get("seed"))
        return None if found is None else int(found)

    @cached_property
    def metrics(self) -> Metrics:
        """What it has logged, such as `metrics["episode/return"]` over `metrics.steps`.

        Raises:
            OSError: It cannot be read.
        """
        return Metrics(self.path / METRICS)

    def frame(self) -> Any:
        """What it has logged as a `pandas.DataFrame`, see `Metrics.frame`.

        Raises:
            ImportError: pandas is missing.
            OSError: The metrics cannot be read.
        """
        return self.metrics.frame()

    @cached_property
    def env(self) -> "AbstractEnvLike":
        """Its environment with the settings and the wrappers of the run, made again.

        Raises:
            SettingError: The config cannot be read or names a class that is not trusted, or a setting is
                wrong.
            lerax.names.UnknownName: There is no environment or wrapper of a name.
            ImportError: A class cannot be imported.
        """
        return named.make_env(self.config, self.trust)

    @property
    def policies(self) -> dict[str, Path]:
        """The files of the policies that it has saved, by name, the last one last."""
        return policies_of(self.path)

    @cached_property
    def policy(self) -> "AbstractPolicy":
        """The policy that it has trained; see `load_policy`."""
        return self.load_policy()

    def load_policy(self, name: str = "last") -> "AbstractPolicy":
        """A policy that it has saved.

        Args:
            name: Which of `policies`.

        Raises:
            SettingError: There is none of that name, or its class is not trusted.
            lerax.archive.CheckpointError: Its file is damaged, or of another environment's spaces.
            lerax.names.UnknownName: There is no policy of the name in the file.
            ImportError: Its class cannot be imported.
        """
        known = self.policies
        if name not in known:
            wrong = f"{self.path} has none of that name" if known else why_no_policy(self.run)
            raise SettingError("policy", name, ", ".join(known), wrong=wrong)
        from lerax import checkpoint

        path = known[name]
        kind = checkpoint.read_metadata(path).get("policy")
        if not isinstance(kind, str):
            raise SettingError("policy", str(path), wrong="its metadata name none")
        return named.load_class(POLICY, kind, self.trust).deserialize(path, self.env)


def load_run(
    path: str | os.PathLike[str], folder: str | Path = "logs", *, trust: Sequence[str] = ()
) -> LoadedRun:
    """A run, to look into in Python; nothing of it is read yet but `run.json`.

    Args:
        path: What `find` takes: its directory, its name or how that begins, `latest` or `best:ENV`.
        folder: The folder that holds the runs.
        trust: Classes of one's own that the run's files name and that may be imported: `module:Class` or
            `file.py:Class`. No others are, whatever the files say.

    Raises:
        UnknownRun: There is none.
        SettingError: There are several, or none of them is what is asked for.
        OSError: The folder cannot be read.
    """
    return LoadedRun(find(os.fspath(path), folder), trust)


def load_runs(
    group: str | os.PathLike[str], folder: str | Path = "logs", *, trust: Sequence[str] = ()
) -> list[LoadedRun]:
    """The runs of a training with several seeds, in the order of these; of any other run that one.

    Args:
        group: Its directory or its name, or what `load_run` takes.
        folder: The folder that holds the runs.
        trust: As `load_run` takes it.

    Raises:
        UnknownRun: There is none.
        SettingError: There are several, or none of them is what is asked for.
        OSError: It cannot be read.
    """
    return [LoadedRun(run, trust) for run in find_all([os.fspath(group)], folder)]


def policies_of(run: Path) -> dict[str, Path]:
    """The policies that a run has, by name, the last one last."""
    kept = {path.stem: path for path in sorted((run / CHECKPOINTS).glob("*.eqx"), key=_in_order)}
    known = {"best": run / BEST, "last": run / LAST}
    return kept | {name: path for name, path in known.items() if path.is_file()}


def why_no_policy(run: Run) -> str:
    """Why a run has saved none."""
    if run.problem:
        return "the run has saved no policy"
    if run.status == LIVES:
        return f"the run is at step {run.steps:,} and has saved no policy yet"
    if run.status == "died":
        return f"the run died at step {run.steps:,} ({run.reason}); it has saved no policy"
    return f"the run has ended ({run.status}) and saved no policy"


def _in_order(path: Path) -> tuple[int, str]:
    """Sorts names that differ in a number by it: 9 before 10."""
    return len(path.stem), path.stem
