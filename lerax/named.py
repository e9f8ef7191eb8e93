"""What a run's files name: classes, perhaps one's own, and their settings, made into objects again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import class_file
from .class_file import FILE
from .errors import SettingError
from .names import OBJECT, Entry, Kind
from .registry import ENV, WRAPPER
from .settings import read_settings

if TYPE_CHECKING:  # which imports JAX
    from .env import AbstractEnvLike

WRAP = "wrap"  # of a config, its wrappers in order
FORMER = {"crossq": ("tau",)}  # settings that did nothing: files of older runs have them


def is_place(name: str) -> bool:
    """Whether a name is that of a class by its place, a module or a file, or of what a module registers."""
    if theirs := ENV.behind_door(name):
        return ":" in theirs
    return bool(OBJECT.fullmatch(name) or FILE.fullmatch(name))


def same(one: str, other: str) -> bool:
    """Whether two names mean the same: in any case, and a file from whatever folder it is named."""
    if FILE.fullmatch(one) and FILE.fullmatch(other):
        return class_file.same(one, other)
    return one.lower() == other.lower()


def trusted_as(name: str, trusted: Iterable[str]) -> str | None:
    """Which of the classes that are trusted is that of a file; None where none is."""
    in_file = bool(FILE.fullmatch(name))
    return next((own for own in trusted if own == name or (in_file and same(own, name))), None)


def table_of(config: Mapping[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    """What a config names under a key, and its settings.

    Raises:
        SettingError: It names nothing there.
    """
    table = config.get(key)
    settings = dict(table) if isinstance(table, dict) else {"name": table}
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise SettingError(key, table, wrong="names nothing", hint="give name = ... below it")
    return name, {key: value for key, value in settings.items() if key not in FORMER.get(name, ())}


def entry_of(kind: Kind, name: str, trust: Sequence[str] = ()) -> Entry:
    """The entry of a name that stands in a file.

    Args:
        kind: What is named.
        name: The name.
        trust: The names of classes by their places that may be imported although only a file names them.

    Raises:
        lerax.names.UnknownName: There is none.
        SettingError: It is a class by its place, and not trusted.
    """
    if not is_place(name):
        return kind.find(name)
    own = trusted_as(name, trust)
    if own is None:
        wrong, hint = "a class of one's own, imported only if it is trusted", f"add trust=[{name!r}]"
        raise SettingError(kind.word, name, wrong=wrong, hint=hint)
    if kind.behind_door(own):
        return kind.find(own)
    if FILE.fullmatch(own):
        path, cls = class_file.split(own)
        own = f"{path}:{cls}" if cls else str(path)
    return Entry(own, own, "", source="a name that is trusted")


def load_class(kind: Kind, name: str, trust: Sequence[str] = ()) -> Any:
    """The class of a name that stands in a file; see `entry_of`.

    Raises:
        TypeError: It is none of the kind.
        Exception: Whatever its import raises.
    """
    return kind.load(entry_of(kind, name, trust))


def make_env(config: Mapping[str, Any], trust: Sequence[str] = ()) -> "AbstractEnvLike":
    """The environment of a run's config with its settings, and the wrappers around it.

    Args:
        config: The config.
        trust: As `entry_of` takes it.

    Raises:
        SettingError: It names none, or one that is not trusted, or a setting is wrong.
        lerax.names.UnknownName: There is none of a name.
        ImportError: A class cannot be imported.
    """
    name, settings = table_of(config, "env")
    cls = load_class(ENV, name, trust)
    env = cls(**read_settings(cls, settings))
    for wrap in config.get(WRAP, ()):
        name, settings = table_of({WRAP: wrap}, WRAP)
        cls = load_class(WRAPPER, name, trust)
        env = cls(env, **read_settings(cls, settings))
    return env
