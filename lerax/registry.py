"""What there is by name. Nothing is imported before it is asked for."""

import difflib
import importlib
import subprocess
import tomllib
from collections.abc import Iterable
from importlib import metadata, resources
from importlib.util import find_spec
from typing import Any, NamedTuple

from lerax.processes import python

PLUGINS = "lerax.backends"  # the group of entry points in which packages name backends of their own
FEW = 3  # of which it is said what they are, too
PLUGIN_SECONDS = 30.0  # that the import of one may take where it is only tried


class UnknownName(LookupError):
    """There is no entry of that name; the message says which come close."""


class Entry(NamedTuple):
    """Something that can be built by name.

    Attributes:
        name: What users call it.
        target: Where it is: `module:attribute`.
        about: What it is, in a few words.
        writes: For a backend, where it writes; RUN is the run's directory.
        package: For a backend of ours, the package that it needs, if any.
    """

    name: str
    target: str
    about: str
    writes: str = ""
    package: str = ""

    def load(self) -> Any:
        """Imports it."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


def _entries(*rows: tuple[str, ...]) -> dict[str, Entry]:
    return {row[0]: Entry(*row) for row in rows}


ENVS = _entries(
    ("CartPole-v1", "lerax.env.classic_control:CartPole", "Balance a pole on a cart; 500 steps at most."),
    (
        "MountainCar-v0",
        "lerax.env.classic_control:MountainCar",
        "Swing a weak car up a hill; 200 steps at most.",
    ),
    (
        "MountainCarContinuous-v0",
        "lerax.env.classic_control:ContinuousMountainCar",
        "Swing a car up a hill with little force; 999 steps at most.",
    ),
    ("Pendulum-v1", "lerax.env.classic_control:Pendulum", "Swing a rod up and hold it there; 200 steps."),
    (
        "Acrobot-v1",
        "lerax.env.classic_control:Acrobot",
        "Swing two links above a line; 500 steps at most.",
    ),
    ("Ant-v5", "lerax.env.mujoco:Ant", "Run on four legs; 1,000 steps at most."),
    ("HalfCheetah-v5", "lerax.env.mujoco:HalfCheetah", "Run on two legs in a plane; 1,000 steps."),
    ("Hopper-v5", "lerax.env.mujoco:Hopper", "Hop on one leg in a plane; 1,000 steps at most."),
    ("Humanoid-v5", "lerax.env.mujoco:Humanoid", "Walk like a human; 1,000 steps at most."),
    ("HumanoidStandup-v5", "lerax.env.mujoco:HumanoidStandup", "Stand up from the ground; 1,000 steps."),
    (
        "InvertedDoublePendulum-v5",
        "lerax.env.mujoco:InvertedDoublePendulum",
        "Balance two poles on a cart; 1,000 steps at most.",
    ),
    (
        "InvertedPendulum-v5",
        "lerax.env.mujoco:InvertedPendulum",
        "Balance a pole on a cart; 1,000 steps at most.",
    ),
    ("Pusher-v5", "lerax.env.mujoco:Pusher", "Push an object to its goal; 100 steps."),
    ("Reacher-v5", "lerax.env.mujoco:Reacher", "Reach a target with an arm of two links; 50 steps."),
    ("Swimmer-v5", "lerax.env.mujoco:Swimmer", "Swim with three links; 1,000 steps."),
    ("Walker2d-v5", "lerax.env.mujoco:Walker2d", "Walk on two legs in a plane; 1,000 steps at most."),
)
ALGORITHMS = _entries(
    ("ppo", "lerax.algorithm:PPO", "Proximal policy optimization; discrete and box actions."),
)
POLICIES = _entries(
    (
        "MLPActorCriticPolicy",
        "lerax.policy:MLPActorCriticPolicy",
        "Separate perceptrons for actions and value.",
    ),
)
BACKENDS = _entries(
    (
        "tensorboard",
        "lerax.backend:TensorBoardBackend",
        "Event files for TensorBoard.",
        "RUN/events.out.tfevents.*",
        "tensorboardX",
    ),
    (
        "wandb",
        "lerax.backend:WandbBackend",
        "Weights & Biases; offline without an API key or a terminal.",
        "RUN/wandb/, and the project in W&B",
        "wandb",
    ),
    (
        "csv",
        "lerax.backend:CSVBackend",
        "A table: a row per step, a column per tag.",
        "RUN/metrics.csv",
    ),
    (
        "jsonl",
        "lerax.backend:JSONLBackend",
        "A JSON object per iteration; written without being named, too.",
        "RUN/metrics.jsonl",
    ),
    (
        "console",
        "lerax.backend:ConsoleBackend",
        "The dashboard; shown without being named, too.",
        "standard error",
        "rich",
    ),
)


def plugins() -> dict[str, Entry]:
    """The backends that installed packages bring. Their metadata is read; none of their code runs."""
    found: dict[str, Entry] = {}
    for distribution in metadata.distributions():
        try:
            points = distribution.entry_points.select(group=PLUGINS)
            about = (distribution.metadata.get_all("Summary") or [""])[0] if points else ""
        except Exception:  # a damaged package somewhere says nothing about plugins
            continue
        for point in points:
            name = point.name.lower()
            if name not in (*BACKENDS, "none"):
                package = f"see {distribution.name} {distribution.version}"
                found.setdefault(name, Entry(name, point.value, about, package))
    return found


def backends() -> dict[str, Entry]:
    """All logging backends by name: ours, then those of installed packages."""
    return BACKENDS | plugins()


def load_backend(name: str) -> type:
    """The class of a logging backend. Its constructor takes `log_dir`, the folder that holds the runs.

    Raises:
        KeyError: There is none of that name.
        TypeError: It is no logging backend.
        Exception: Whatever the import of a plugin raises.
    """
    from lerax.backend import AbstractLoggingBackend

    entry = BACKENDS.get(name) or plugins()[name]
    loaded = metadata.EntryPoint(name, entry.target, PLUGINS).load()
    if not (isinstance(loaded, type) and issubclass(loaded, AbstractLoggingBackend)):
        raise TypeError(f"{entry.target} is no lerax.backend.AbstractLoggingBackend (got {loaded!r})")
    return loaded


def obstacle(backend: Entry) -> str | None:
    """Why a backend cannot be used here; None if it can.

    A plugin is imported in a process of its own, so that it breaks nothing here, whatever it does.
    """
    if backend.name in BACKENDS:
        missing = backend.package and find_spec(backend.package) is None
        return f"pip install {backend.package}" if missing else None
    program = "import sys; from lerax.registry import load_backend; load_backend(sys.argv[1])"
    command, environment = python("-c", program, backend.name)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"its import takes longer than {PLUGIN_SECONDS:g} s"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"its import ended Python with exit code {done.returncode}"


def find(kind: str, entries: dict[str, Entry], name: str) -> Entry:
    """The entry of a name, in any case.

    Raises:
        UnknownName: There is none.
    """
    by_lower = {known.lower(): entry for known, entry in entries.items()}
    if name.lower() not in by_lower:
        few = len(entries) <= FEW and not nearest(name, entries)
        known = (
            [f"{entry.name} ({entry.about.rstrip('.')})" for entry in entries.values()] if few else entries
        )
        raise UnknownName(f"unknown {kind} (got {name!r}); {hint(name, known)}")
    return by_lower[name.lower()]


def hint(word: str, known: Iterable[str]) -> str:
    """What to say of a word that is not known: those that come close, else all there are."""
    known = list(known)
    near = nearest(word, known)
    return f"did you mean {' or '.join(near)}?" if near else f"available: {', '.join(known)}"


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names closest to a mistyped one, best first, whatever their case."""
    by_lower = {name.lower(): name for name in known}
    return [by_lower[key] for key in difflib.get_close_matches(word.lower(), by_lower, count, 0.5)]


def presets(env: str) -> dict[str, dict[str, Any]]:
    """The tuned settings for an environment, by algorithm; empty where there are none."""
    for file in resources.files("lerax.presets").iterdir():  # looked up: a name never becomes a path
        if file.name == f"{env}.toml":
            return tomllib.loads(file.read_text("utf-8"))
    return {}
