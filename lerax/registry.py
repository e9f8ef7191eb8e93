"""What there is by name. Nothing is imported before it is asked for."""

import difflib
import importlib
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Any, NamedTuple


class UnknownName(LookupError):
    """There is no entry of that name; the message says which come close."""


class Entry(NamedTuple):
    """Something that can be built by name.

    Attributes:
        name: What users call it.
        target: Where it is: `module:attribute`.
        about: What it is, in a few words.
    """

    name: str
    target: str
    about: str

    def load(self) -> Any:
        """Imports it."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


def _entries(*rows: tuple[str, str, str]) -> dict[str, Entry]:
    return {name: Entry(name, target, about) for name, target, about in rows}


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
    ("tensorboard", "lerax.backend:TensorBoardBackend", "Event files for TensorBoard, in the run directory."),
    ("console", "lerax.backend:ConsoleBackend", "The dashboard on standard error; also shown by default."),
)


def find(kind: str, entries: dict[str, Entry], name: str) -> Entry:
    """The entry of a name, in any case.

    Raises:
        UnknownName: There is none.
    """
    by_lower = {known.lower(): entry for known, entry in entries.items()}
    if name.lower() not in by_lower:
        raise UnknownName(f"unknown {kind} (got {name!r}); {hint(name, entries)}")
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
    file = resources.files("lerax.presets") / f"{env}.toml"
    if not file.is_file():
        return {}
    return tomllib.loads(file.read_text("utf-8"))
