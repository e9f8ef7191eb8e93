"""The words that a shell completes, as far as they can be told without importing JAX."""

import ast
import contextlib
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from lerax import registry
from lerax import runs as found
from lerax.archive.folder import files_in, steps_of
from lerax.errors import SettingError
from lerax.files import SWEEP
from lerax.names import Kind
from lerax.runs.loaded import policies_of
from lerax.settings import REQUIRED, Setting

from .declared import TABLES, WRAP, ours, setting_name
from .fitting import default_algorithm


def begin(words: Any) -> Any:
    """A function that completes to one of some words, which may be a function that gives them."""

    def complete(incomplete: str) -> list[str]:
        known: Any = words() if callable(words) else words
        return [word for word in known if word.startswith(incomplete)]

    return complete


def described(kind: Kind) -> Any:
    """A function that completes to the names of a kind, with what each is."""
    return lambda incomplete: [
        (name, entry.about) for name, entry in kind.known().items() if name.startswith(incomplete)
    ]


def settings(env: str = "", policy: str = "", algorithm: str = "") -> dict[str, Setting]:
    """The settings of ours by the names that `--set` takes; no policy is the algorithm's."""
    algorithm = algorithm or default_algorithm(registry.ENVS.get(env), registry.presets(env), policy).name
    named = {"algorithm": algorithm, "policy": policy or registry.ALGORITHMS[algorithm].policy, "env": env}
    known = [(table, ours()[table].get(name, {})) for table, name in named.items()]
    return {setting_name(table, key): s for table, rows in known for key, s in rows.items()}


def or_file(names: Any) -> Any:
    """A function that completes to what another one does, or to files in Python and the classes in them."""

    def complete(incomplete: str) -> list[Any]:
        path, in_file, cls = incomplete.partition(".py:")
        if in_file:
            return [f"{path}.py:{name}" for name in _classes(f"{path}.py") if name.startswith(cls)]
        files = _paths(incomplete, lambda path: path.suffix == ".py") if incomplete[:1] in (".", "/") else []
        return [*names(incomplete), *files]

    return complete


def _classes(path: str) -> list[str]:
    """The classes of a file that derive from something; nothing of it is imported."""
    try:
        body = ast.parse(Path(path).read_bytes()).body
    except (OSError, ValueError, SyntaxError):
        return []
    return [part.name for part in body if isinstance(part, ast.ClassDef) and part.bases]


envs = or_file(begin(registry.ENV.known))
algorithms = or_file(described(registry.ALGORITHM))
trainable = or_file(described(registry.POLICY))
wrapper_names = described(registry.WRAPPER)
backends = begin(lambda: (*registry.BACKEND.known(), "none"))
_preset_names = begin(lambda: ("auto", "none", *(name for name in registry.ENVS if registry.presets(name))))


def set_option(incomplete: str) -> list[tuple[str, str]]:
    """`key=` for all settings, and behind the `=` what the setting may be, where that can be counted."""
    line, config = {word.lower() for word in _line()}, _config_names()
    named = {
        table: next((name for name in rows if name.lower() in line), "")
        or next((name for name in rows if name.lower() == config.get(table, "").lower()), "")
        for table, rows in ours().items()
        if table in TABLES
    }
    known = settings(**named)
    key, equals, value = incomplete.partition("=")
    if equals:
        choices = known[key].limits.choices if key in known else ()
        choices = ("true", "false") if key in known and known[key].type_name == "bool" else choices
        return [(f"{key}={word}", "") for word in choices if word.startswith(value)]
    return [(f"{name}=", s.help) for name, s in known.items() if name.startswith(key)]


def wrappers(incomplete: str) -> list[tuple[str, str]]:
    """Names of wrappers, with a `=` where a value has to follow."""
    needs = {name for name, rows in ours()[WRAP].items() for s in rows.values() if s.default is REQUIRED}
    known = {f"{name}=" if name in needs else name: e.about for name, e in registry.WRAPPER.known().items()}
    return [pair for pair in [*known.items(), ("none", "No wrapper.")] if pair[0].startswith(incomplete)]


def _line() -> list[str]:
    """What is typed so far: the parser stops at an option without a value, so that a context knows little."""
    return os.environ.get("_TYPER_COMPLETE_ARGS", "").split()


def _config_names() -> dict[str, str]:
    """What the config on the line or of the run names, by table; nothing without one that can be read."""
    from .report import BadInput
    from .values import read_config  # which takes words from here

    line = [
        part for word in _line() for part in (word.split("=", 1) if word.startswith("--config=") else [word])
    ]
    path = next((value for option, value in pairwise(line) if option == "--config"), "")
    if run := _run():
        path = str(run.path / found.CONFIG)
    try:
        return {table: given.value for table, given in read_config(path).names.items()}
    except BadInput:
        return {}


def _run() -> found.Run | None:
    """The run that stands behind `branch`, if there is one."""
    named = next((after for word, after in pairwise(_line()) if word == "branch"), "")
    with contextlib.suppress(SettingError, OSError):
        return found.find(named, _folder())
    return None


def checkpoints(incomplete: str) -> list[str]:
    """Which checkpoint of the run: its step, and the words for two of them."""
    run = _run()
    files = files_in(run.path / "checkpoints") if run else []
    words = [*(str(steps_of(path)) for path in files), "best", "newest"]
    return [word for word in words if word.startswith(incomplete)]


def subjects(incomplete: str) -> list[str]:
    """What can be shown: environments, runs and policies' files."""
    return [*envs(incomplete), *runs_and_policies(incomplete)]


def runs_and_policies(incomplete: str) -> list[str]:
    """What has been trained: runs and policies' files."""
    return [
        *_run_names(incomplete),
        *_paths(incomplete, lambda path: path.name.endswith(".eqx"), "config.toml"),
    ]


def runs(incomplete: str) -> list[str]:
    """Runs: by their names, and by their paths."""
    return [*_run_names(incomplete), *_paths(incomplete, lambda path: False, "config.toml")]


def runs_and_groups(incomplete: str) -> list[str]:
    """Runs, and trainings of several seeds, whose paths are folders."""
    groups = dict.fromkeys(name.partition("/")[0] for name in found.names_in(_folder()) if "/" in name)
    return [*(name for name in groups if name.startswith(incomplete) and _is_word(name)), *runs(incomplete)]


def exportable(incomplete: str) -> list[str]:
    """What `export` takes: a policy's run or file, and of metrics a training of several seeds, too."""
    return [*dict.fromkeys([*runs_and_groups(incomplete), *runs_and_policies(incomplete)])]


def grouping(incomplete: str) -> list[str]:
    """The settings in which the runs on the line differ."""
    from lerax.study.groups import differing, settings_of

    known = []
    for word in _line()[2:]:
        with contextlib.suppress(SettingError, OSError):
            known += [settings_of(run) for run in found.find_all([word], _folder())]
    return [key for key in dict.fromkeys(("algo", "env", *differing(known))) if key.startswith(incomplete)]


def tags(incomplete: str) -> list[str]:
    """What the runs on the line have logged."""
    known: dict[str, None] = {}
    for word in _line()[2:]:
        with contextlib.suppress(SettingError, OSError):
            for run in found.find_all([word], _folder())[:1]:
                known |= dict.fromkeys(found.Metrics(run.path / found.METRICS))
    return [tag for tag in sorted(known) if tag.startswith(incomplete)]


def _run_names(incomplete: str) -> list[str]:
    """The words that stand for a run of the folder of runs."""
    folder = _folder()
    words = [found.LATEST, *found.names_in(folder)]
    if incomplete and incomplete[: len(found.BEST)] == found.BEST[: len(incomplete)]:
        envs = {run.env for run in found.runs_in(folder) if run.status == "finished"}
        words += [f"{found.BEST}{env}" for env in sorted(envs)]
    return [word for word in words if word.startswith(incomplete) and _is_word(word)]


def _folder() -> str:
    """The folder of runs that the line names, else the default."""
    line = _line()
    return next((after for word, after in pairwise(line) if word == "--out"), "logs")


def _is_word(text: str) -> bool:
    """Whether a shell gets it as one word, and in letters."""
    return text.isprintable() and not any(letter.isspace() for letter in text)


def policies(incomplete: str) -> list[str]:
    """What can play: a random policy, those of the run, files of policies."""
    places = (os.path.join(folder, word) for word in _line() for folder in ("", _folder()))
    run = next((path for path in places if os.path.isfile(os.path.join(path, "config.toml"))), None)
    names = ["random", *(policies_of(Path(run)) if run else ())]
    return [
        *(name for name in names if name.startswith(incomplete)),
        *_paths(incomplete, lambda path: path.name.endswith(".eqx")),
    ]


def sweeps_in(folder: str) -> list[str]:
    """The names of the sweeps in a folder."""
    with contextlib.suppress(OSError):
        return sorted(path.parent.name for path in Path(folder).glob("*/sweep.toml"))
    return []


def sweeps(incomplete: str) -> list[str]:
    """Sweeps: by their names, and by their paths."""
    names = [name for name in sweeps_in(_folder()) if name.startswith(incomplete) and _is_word(name)]
    return [*names, *_paths(incomplete, lambda path: False, SWEEP)]


def sweepable(incomplete: str) -> list[str]:
    """What `sweep` takes: environments, files, sweeps, and `show`."""
    files = _paths(incomplete, lambda path: path.suffix == ".toml") if incomplete else []
    return [*dict.fromkeys([*begin(("show",))(incomplete), *envs(incomplete), *sweeps(incomplete), *files])]


def resumable(incomplete: str) -> list[str]:
    """What `--resume` takes: runs, trainings of several seeds, and `auto`."""
    return [*begin(("auto",))(incomplete), *runs_and_groups(incomplete)]


def presets(incomplete: str) -> list[str]:
    """Names of environments that have some, and TOML files."""
    return [*_preset_names(incomplete), *(configs(incomplete) if incomplete else ())]


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
        if not _is_word(path.name):
            continue
        name = f"{incomplete.removesuffix(start)}{path.name}"
        if os.path.isdir(path):
            found.append(name if mark and os.path.isfile(path / mark) else f"{name}/")
        elif wanted(path):
            found.append(name)
    return found
