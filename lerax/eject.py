"""A run's training as a program in Python of its own, without the command."""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import __version__, class_file
from .class_file import FILE
from .errors import SettingError
from .named import WRAP, entry_of, is_place, table_of
from .names import Entry, Kind
from .registry import ALGORITHM, BACKEND, ENV, POLICY, WRAPPER
from .run import NAME
from .runs import LoadedRun
from .settings import from_plain, plain, read_settings, settings_of

WIDTH = 110  # of a line that can be broken
HPARAMS = 'hparams = {"env": env.name, "seed": SEED, "steps": STEPS}'
EPISODES = 100  # of the evaluation, as many as the command plays
OWN = (
    "algorithm",
    "env",
    "evaluation_key",
    "hparams",
    "learn_key",
    "logger",
    "path",
    "policy",
    "policy_key",
    "state",
)
"""What the program calls what it makes."""


def script(run: LoadedRun, *, folder: str = "logs", beside: str | Path = ".") -> str:
    """A program that trains as a run was trained, and ends with the same parameters, bit for bit.

    It says every setting that the run's config has, so that it stays what it is when defaults change. It logs
    to the backends of the run and saves `policy.eqx` there, see `name_of`; it saves no checkpoints. A run
    that branched off from another one it trains from the beginning.

    Args:
        run: The run. Its classes are imported; one's own, if it trusts them.
        folder: The folder for what the program logs.
        beside: The folder that the program will lie in.

    Raises:
        SettingError: The run's config cannot be read or names a class that is not trusted, or a setting is
            none of its class.
        lerax.names.UnknownName: There is nothing of a name.
        Exception: Whatever the import of a class raises.
    """
    return _Script(run, folder, Path(os.path.abspath(beside))).text()


def name_of(run: LoadedRun) -> str:
    """What the program calls its training: as the run, where its directory has a name that a run can have."""
    name = re.sub(r"[^A-Za-z0-9._=+-]", "-", run.run.name) + "-ejected"
    return name if NAME.fullmatch(name) else "ejected"


class _Script:
    """A program while it is written.

    Args:
        run: The run.
        folder: The folder for what it logs.
        beside: The folder that it will lie in.
    """

    def __init__(self, run: LoadedRun, folder: str, beside: Path):
        self._run, self._config, self._folder, self._beside = run, run.config, folder, beside
        self._imports: dict[tuple[str, str], str] = {}  # what things are called here, by module and name
        self._first: list[str] = []  # lines behind the imports, which import from files
        self._paths: list[str] = []  # lines before those of lerax, which say where modules are found
        self._devices = math.prod(self._config.get(key, 1) for key in ("processes", "devices"))
        self._metadata: dict[str, Any] = {}  # that the policy's file has beside what it says itself
        self._jax = self._imported("jax", "random", "jr")
        if self._devices != 1:
            config = self._imported("jax", "config")
            self._first += [f'{config}.update("jax_num_cpu_devices", {self._devices})', ""]

    def text(self) -> str:
        """All of it."""
        seed, steps = (self._number(key) for key in ("seed", "steps"))
        keys = "policy_key, learn_key, evaluation_key"
        body = [
            f"SEED, STEPS = {seed}, {steps}",
            "",
            f"{keys} = {self._jax}.split({self._jax}.key(SEED), 3)",
            *self._env(),
            *self._made("policy", POLICY, "policy", ["env=env"], ["key=policy_key"]),
            *self._made("algorithm", ALGORITHM, "algorithm"),
            "",
            *self._training(),
            "",
            *self._end(),
        ]
        return "\n".join([*self._head(), "", *self._import_lines(), "", *self._first, *body]) + "\n"

    def _number(self, key: str) -> int:
        if type(value := self._config.get(key)) is not int:
            raise SettingError(key, value, wrong="no whole number in the run's config")
        return value

    def _head(self) -> list[str]:
        facts, path = self._run.facts, ascii(str(self._run.path))[1:-1]
        versions = facts.get("versions")
        versions = versions if isinstance(versions, dict) else {}
        then = [f"{name} {versions[name]}" for name in ("lerax", "jax") if name in versions]
        on = [f"on {facts['device']}"] if "device" in facts else []
        said = [f"Trains what `lerax train` has trained in {path}: on the same machine the same parameters,"]
        said += ["bit for bit" + (f" ({', '.join([*on, *then])})." if on or then else ".")]
        if "branched_from" in facts:
            said += ["That run branched off from another one; here all is trained from the beginning."]
        said += [f"Written by `lerax eject`, lerax {__version__}."]
        return [ascii(f"# {line}")[1:-1] for line in said]

    def _env(self) -> list[str]:
        """The environment, and the wrappers around it."""
        name, settings = table_of(self._config, "env")
        lines = self._made("env", ENV, "env")
        self._metadata["env"] = name
        if changed := self._changed(ENV, name, settings):
            self._metadata["env_settings"] = changed
        wraps = self._config.get(WRAP, [])
        for wrap in wraps:
            call, arguments = self._called(WRAPPER, *table_of({WRAP: wrap}, WRAP))
            lines += _fitting(f"env = {call}(", ["env", *arguments], ")")
        if wraps:
            self._metadata[WRAP] = wraps
        return lines

    def _training(self) -> list[str]:
        """The backends, and the training."""
        backends = [self._logged("lerax.backend:JSONLBackend")]
        named = self._config.get("backend", [])
        for name in [named] if isinstance(named, str) else named:
            if name != "none":
                backends.append(self._logged(BACKEND.find(name).target))
        arguments = [f"name={literal(name_of(self._run))}", "hparams=hparams"]
        if interval := self._config.get("video_interval"):
            backends.append(self._logged("lerax.backend:VideoBackend"))
            arguments.append(f"video_interval={literal(interval)}")
        backends.append(f"{self._imported('lerax.backend', 'ConsoleBackend')}()")
        logging, callbacks = self._imported("lerax.callback", "LoggingCallback"), ["logger"]
        if self._config.get("nan") == "stop":
            callbacks.append(f"{self._imported('lerax.callback', 'StopOnNonFinite')}()")
        watched = f"callback=[{', '.join(callbacks)}]"
        lines = [HPARAMS, *_fitting("backends = [", backends, "]")]
        lines += _fitting(f"with {logging}(", ["backends", *arguments], ") as logger:")
        divided = [f"devices={self._devices}"] if self._devices != 1 else []
        if self._run.run.status != "diverged" or len(callbacks) == 1:
            learn = ["env", "policy", "STEPS", "key=learn_key", watched, *divided]
            return lines + _fitting("    policy = algorithm.learn(", learn, ")")
        ravel = self._imported("lerax.tree", "ravel")
        return [
            *lines,
            *_fitting(
                "    state = algorithm.init(",
                ["env", "policy", "key=learn_key", "total_timesteps=STEPS", *divided],
                ")",
            ),
            *_fitting("    state = algorithm.run(", ["state", "STEPS", watched], ")"),
            "# It diverges: as the command does, this takes the policy before that.",
            f"policy = {ravel}(state.policy)[1](state.callback_state[1].parameters)",
        ]

    def _logged(self, target: str) -> str:
        """A backend of a class."""
        module, _, cls = target.partition(":")
        return f"{self._class(module, cls)}(log_dir={literal(self._folder)})"

    def _end(self) -> list[str]:
        """The policy's file, and how good it is."""
        evaluate, of = self._imported("lerax.evaluate", "evaluate"), self._imported("pathlib", "Path")
        return [
            f'path = {of}({literal(self._folder)}, str(logger.name), "policy.eqx")',
            *_fitting("policy.serialize(", ["path", _broken(self._metadata, 4)], ")"),
            f"print({evaluate}(env, policy, key=evaluation_key, num_episodes={EPISODES}).summary())",
            "print(path)",
        ]

    def _made(
        self, called: str, kind: Kind, table: str, first: Iterable[str] = (), last: Iterable[str] = ()
    ) -> list[str]:
        """Lines that make what a table of the config says."""
        name, settings = table_of(self._config, table)
        if kind is POLICY and is_place(name):
            self._metadata["policy"] = name
        call, arguments = self._called(kind, name, settings)
        return _fitting(f"{called} = {call}(", [*first, *arguments, *last], ")")

    def _called(self, kind: Kind, name: str, settings: Mapping[str, Any]) -> tuple[str, list[str]]:
        """What makes something of a name and its settings, and the arguments that it takes."""
        entry = entry_of(kind, name, self._run.trust)
        cls = kind.load(entry)
        read_settings(cls, settings)  # which refuses what is wrong
        declared = settings_of(cls)
        values = {key: from_plain(declared[key], value) for key, value in settings.items()}
        arguments = [f"{key}={literal(value)}" for key, value in values.items()]
        if id := kind.behind_door(entry.name):
            door = self._imported("lerax.env", f"from_{entry.name.partition(':')[0]}")
            return door, [literal(id), *arguments]
        return self._class_of(kind, entry), arguments

    def _changed(self, kind: Kind, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that are not at their defaults, as a file has them."""
        declared = settings_of(kind.load(entry_of(kind, name, self._run.trust)))
        usual = {key: plain(declared[key], declared[key].default) for key in settings}
        usual = {key: [*one] if isinstance(one, tuple) else one for key, one in usual.items()}
        return {key: value for key, value in settings.items() if value != usual[key]}

    def _class_of(self, kind: Kind, entry: Entry) -> str:
        """What the class of an entry is called here; it is imported, one of a file from there."""
        if FILE.fullmatch(entry.target):
            path, cls = class_file.split(entry.target)
            cls = cls or kind.load(entry).__qualname__
            called = self._called_here(cls.rpartition(".")[2])
            imported = self._imported("lerax.class_file", "imported")
            of = self._imported("pathlib", "Path")
            place = f"{of}({literal(str(path))})"
            if path.parent == self._beside:  # and stays beside it, wherever both go
                place = f"{of}(__file__).absolute().with_name({literal(path.name)})"
            self._first += [f"{called} = {imported}({place}).{cls}", ""]
            return called
        module, _, cls = entry.target.partition(":")
        if is_place(entry.name):
            self._find_module(module)
        return self._class(module, cls)

    def _find_module(self, module: str) -> None:
        """Notes the current folder where a module is found only from there."""
        here, top = Path.cwd(), module.partition(".")[0]
        near = any((here / f"{top}{end}").exists() for end in (".py", "/__init__.py"))
        line = f"sys.path.insert(0, {literal(str(here))})"
        if near and here != self._beside and line not in self._paths:
            self._imports["", "sys"] = "sys"
            self._paths.append(line)

    def _class(self, module: str, name: str) -> str:
        """What a class is called here, perhaps one inside of another."""
        outer, dot, inner = name.partition(".")
        return self._imported(module, outer) + dot + inner

    def _imported(self, module: str, name: str, wanted: str = "") -> str:
        """What something is called here."""
        if (module, name) not in self._imports:
            self._imports[module, name] = self._called_here(wanted or name)
        return self._imports[module, name]

    def _called_here(self, wanted: str) -> str:
        """A name that nothing else has."""
        taken = {*self._imports.values(), *OWN}
        taken |= {line.partition(" = ")[0] for line in self._first}
        number = next(n for n in range(len(taken) + 1) if (f"{wanted}_{n}" if n else wanted) not in taken)
        return f"{wanted}_{number}" if number else wanted

    def _import_lines(self) -> list[str]:
        """The imports: of the standard library, of others, and ours."""
        groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
        modules: dict[str, list[str]] = {}
        for (module, name), called in self._imports.items():
            modules.setdefault(module, []).append(name if called == name else f"{name} as {called}")
        for module in sorted(modules):
            names = sorted(modules[module], key=str.lower)
            rank = 0 if module in ("", "pathlib") else 2 if module.partition(".")[0] == "lerax" else 1
            lines = _fitting(f"from {module} import ", names, "", ("(", ")")) if module else ["import sys"]
            groups[rank] += lines
        first, others, ours = groups.values()
        blocks = [first, self._paths, others, ours]
        return [line for block in blocks if block for line in [*block, ""]][:-1]


def _fitting(head: str, parts: list[str], tail: str, around: tuple[str, str] = ("", "")) -> list[str]:
    """A statement in a line, or in one for each of its parts; `around` are brackets that this needs."""
    line = f"{head}{', '.join(parts)}{tail}"
    if len(line) <= WIDTH or not parts:
        return [line]
    inner = " " * (len(head) - len(head.lstrip()) + 4)
    return [head + around[0], *(f"{inner}{part}," for part in parts), inner[4:] + around[1] + tail]


def _broken(value: Any, indent: int) -> str:
    """A value in a line, or with a line for each of its parts where it stands so far to the right."""
    if len(written := literal(value)) + indent < WIDTH or not isinstance(value, dict | list):
        return written
    inner = "\n" + " " * (indent + 4)
    is_table = isinstance(value, dict)
    names = [f"{literal(key)}: " for key in value] if is_table else [""] * len(value)
    parts = [_broken(part, indent + 4) for part in (value.values() if is_table else value)]
    lines = [f"{inner}{name}{part}," for name, part in zip(names, parts, strict=True)]
    return "".join(["{" if is_table else "[", *lines, inner[:-4], "}" if is_table else "]"])


def literal(value: Any) -> str:
    """A value of a config as Python has it."""
    match value:
        case float() if not math.isfinite(value):
            return f'float("{value}")'
        case str():
            return json.dumps(value, ensure_ascii=False) if value.isprintable() else ascii(value)
        case list() | tuple():
            return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
        case dict():
            return "{" + ", ".join(f"{literal(key)}: {literal(part)}" for key, part in value.items()) + "}"
    return repr(value)
