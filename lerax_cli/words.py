"""The words that a shell completes, as far as they can be told without importing JAX."""

import functools
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import typer

from lerax import registry

TABLE = "settings.json"  # written by completions/generate.py


@functools.cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads((resources.files("lerax_cli") / TABLE).read_text("utf-8"))


def settings(algorithm: str = "ppo") -> dict[str, dict[str, Any]]:
    """Help and choices of all settings of an algorithm and its policy, by the name that `--set` takes."""
    return _table().get(algorithm.lower(), {})


def begin(words: Any) -> Any:
    """A function that completes to one of some words, which may be a function that gives them."""

    def complete(incomplete: str) -> list[str]:
        known: Any = words() if callable(words) else words
        return [word for word in known if word.startswith(incomplete)]

    return complete


envs = begin(registry.ENVS)
algorithms = begin(registry.ALGORITHMS)
backends = begin(lambda: (*registry.backends(), "none"))
presets = begin(lambda: ("auto", "none", *(name for name in registry.ENVS if registry.presets(name))))


def set_option(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """`key=` for all settings, and behind the `=` what the setting may be, where that can be counted."""
    known = settings(ctx.params.get("algo") or "ppo")
    key, equals, value = incomplete.partition("=")
    if equals:
        choices = known[key]["choices"] if key in known else []
        return [(f"{key}={word}", "") for word in choices if word.startswith(value)]
    return [(f"{name}=", row["help"]) for name, row in known.items() if name.startswith(key)]


def subjects(incomplete: str) -> list[str]:
    """What can be shown: environments, runs and policies' files."""
    return [*envs(incomplete), *_paths(incomplete, lambda path: path.name.endswith(".eqx"), "config.toml")]


def policies(incomplete: str) -> list[str]:
    """What can play: a random policy, those of the run, files of policies."""
    from .policies import known_policies

    # The parser stops at an option without a value: the run is looked for in the line itself.
    line = os.environ.get("_TYPER_COMPLETE_ARGS", "").split()
    run = next((word for word in line if os.path.isfile(os.path.join(word, "config.toml"))), None)
    names = ["random", *(known_policies(Path(run)) if run else ())]
    return [
        *(name for name in names if name.startswith(incomplete)),
        *_paths(incomplete, lambda path: path.name.endswith(".eqx")),
    ]


def configs(incomplete: str) -> list[str]:
    """TOML files."""
    return _paths(incomplete, lambda path: path.name.endswith(".toml"))


def _paths(incomplete: str, wanted: Any, mark: str | None = None) -> list[str]:
    """Wanted files that begin so, and folders, with a `/` unless they hold a file of the name `mark`."""
    folder, _, start = incomplete.rpartition("/")
    base = Path(folder or ("/" if incomplete.startswith("/") else "."))
    found: list[str] = []
    try:
        entries = sorted(base.iterdir())
    except OSError:
        return []
    for path in entries:
        if not path.name.startswith(start) or path.name.startswith(".") > start.startswith("."):
            continue
        if any(letter.isspace() for letter in path.name):  # it would come out as several words
            continue
        name = f"{incomplete.removesuffix(start)}{path.name}"
        if os.path.isdir(path):
            found.append(name if mark and os.path.isfile(path / mark) else f"{name}/")
        elif wanted(path):
            found.append(name)
    return found
