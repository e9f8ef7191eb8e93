"""What can be named, and what to say of a name that nothing has."""

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from types import MappingProxyType
from typing import Any, NamedTuple

from . import class_file

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
OBJECT = re.compile(f"{MODULE.pattern}:{MODULE.pattern}")
"""How a class is named by its place: `package.module:Class`."""
FEW = 3  # of which it is said what they are, too


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
        policy: For an algorithm of ours, the policy that it trains where none is named; for a policy, the one
            whose algorithms train it, where it is no algorithm's own.
        source: For what an installed package brings, the package and its version.
    """

    name: str
    target: str
    about: str
    writes: str = ""
    package: str = ""
    policy: str = ""
    source: str = ""

    def load(self) -> Any:
        """Imports it."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


class Kind(NamedTuple):
    """Something that there are several of, and that other packages may bring more of.

    Attributes:
        word: What one is called.
        group: The group of entry points in which packages name their own.
        base: The class that all derive from: `module:attribute`.
        entries: Ours by name.
        doors: Functions that give the class of somebody else's id, `module:function`, by the prefix before
            its colon.
    """

    word: str
    group: str
    base: str
    entries: dict[str, Entry]
    doors: Mapping[str, str] = MappingProxyType({})

    def behind_door(self, name: str) -> str:
        """The id of somebody else's that a name with a prefix has; "" for any other."""
        prefix, _, id = name.partition(":")
        return id if prefix in self.doors else ""

    def plugins(self) -> dict[str, Entry]:
        """Those that installed packages bring. Their metadata are read; none of their code runs."""
        found: dict[str, Entry] = {}
        taken = {"none", *map(str.lower, self.entries)}
        for distribution in metadata.distributions():
            try:
                points = distribution.entry_points.select(group=self.group)
                about = (distribution.metadata.get_all("Summary") or [""])[0] if points else ""
            except Exception:  # a damaged package somewhere says nothing about plugins
                continue
            for point in points:
                if point.name.lower() not in taken:
                    taken.add(point.name.lower())
                    source = f"{distribution.name} {distribution.version}"
                    found[point.name] = Entry(point.name, point.value, about, f"see {source}", source=source)
        return found

    def known(self) -> dict[str, Entry]:
        """All by name: ours, then those of installed packages."""
        return self.entries | self.plugins()

    def find(self, name: str) -> Entry:
        """The entry of a name, in any case.

        Raises:
            UnknownName: There is none.
        """
        if self.behind_door(name):
            prefix = name.partition(":")[0]
            return Entry(name, self.doors[prefix], "", source=prefix)
        try:
            return find(self.word, self.entries, name)
        except UnknownName:
            return find(self.word, self.known(), name)

    def load(self, entry: Entry) -> Any:
        """The class of an entry.

        Raises:
            TypeError: It is none that can be made.
            Exception: Whatever its import raises.
        """
        base = Entry("", self.base, "").load()
        if class_file.FILE.fullmatch(entry.target):
            loaded = class_file.load(entry.target, base, self.word)
        else:
            loaded = metadata.EntryPoint(entry.name, entry.target, self.group).load()
        if id := self.behind_door(entry.name):
            loaded = loaded(id)
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise TypeError(f"{entry.target} is no {self.base.replace(':', '.')} (got {loaded!r})")
        if inspect.isabstract(loaded):
            missing = ", ".join(sorted(loaded.__abstractmethods__))
            raise TypeError(f"{entry.target} is abstract; it lacks {missing}")
        return loaded


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
