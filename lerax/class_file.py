"""Classes from a file that its path names, `./my_env.py:MyEnv`, wherever it lies."""

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

FILE = re.compile(r"(.+\.py)(?::([^\W\d]\w*(?:\.[^\W\d]\w*)*))?", re.S)
"""A file and, unless it has only one that can be meant, the class in it."""


class SourceError(ImportError):
    """A file has no such class, or cannot be imported; the message is one line."""


def split(name: str) -> tuple[Path, str]:
    """The absolute path of a file and the class in it, "" where none is named."""
    found = FILE.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} names no file")
    return Path(os.path.abspath(found[1])), found[2] or ""


def same(one: str, other: str) -> bool:
    """Whether two names of classes in files mean the same one.

    A file that is no longer where it was is known by its own name. One without a class means any in it.
    """
    (path, cls), (other_path, other_cls) = split(one), split(other)
    if cls and other_cls and cls != other_cls:
        return False
    if path.exists() and other_path.exists():
        return path.samefile(other_path)
    return path.name == other_path.name


def load(name: str, base: type, word: str) -> type:
    """A class from a file.

    Args:
        name: What names it, see `FILE`.
        base: The class that it derives from.
        word: What such a class is called.

    Raises:
        SourceError: There is no such class, or more than one that can be meant, or the file raises something.
    """
    path, wanted = split(name)
    module = imported(path)
    own = {key: value for key, value in vars(module).items() if _is_own(value, module, base)}
    there = f"it has {', '.join(own)}" if own else f"it has no {word}"
    if not wanted:
        if len(own) != 1:
            example = f"; name one, such as {path.name}:{[*own][0]}" if own else ""
            raise SourceError(f"{path}: not one {word} (got {len(own)}); {there}{example}")
        return own.popitem()[1]
    try:
        found = functools.reduce(getattr, wanted.split("."), module)
    except AttributeError:
        raise SourceError(f"{path}: no such class (got {wanted!r}); {there}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise SourceError(f"{path}: {wanted} is no {word} (got {found!r}); {there}")
    return found


def _is_own(value: object, module: ModuleType, base: type) -> bool:
    """Whether something is a class that a file defines and that can be made."""
    is_one = isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    return is_one and not getattr(value, "__abstractmethods__", None)


@functools.cache
def imported(path: Path) -> ModuleType:
    """The module of a file; it is imported once, whatever its folder.

    Raises:
        SourceError: It is not there, or raises something.
    """
    name = _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # as for every file that ends in .py
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        with _beside(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # others' code may raise what it likes
        del sys.modules[name]
        raise SourceError(_where(error, path)) from error
    return module


def _module_name(path: Path) -> str:
    """That of the file, as its neighbours import it, unless Python finds something else by that name."""
    own = f"{path.stem}@{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
    if not path.stem.isidentifier():
        return own
    try:
        spec = importlib.util.find_spec(path.stem)
    except ValueError:  # a module that was imported in no usual way
        return own
    if spec is None:
        return path.stem
    is_it = spec.origin is not None and os.path.exists(spec.origin) and path.exists()
    return path.stem if is_it and path.samefile(spec.origin or "") else own


_FOLDERS: set[Path] = set()
"""Those from which files were imported."""


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """While a file is imported: its neighbours are found first, before those of the same name elsewhere."""
    others = {
        name: module
        for name, module in sys.modules.items()
        for top in [name.partition(".")[0]]
        if _folder_of(sys.modules.get(top)) in _FOLDERS - {folder}
        if any((folder / f"{top}{end}").exists() for end in (".py", "/__init__.py"))
    }
    for name in others:
        del sys.modules[name]
    _FOLDERS.add(folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.update(others)


def _folder_of(module: ModuleType | None) -> Path | None:
    """The folder in which Python has found a module or a package."""
    file = getattr(module, "__file__", None)
    if not file:
        return None
    path = Path(file)
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _where(error: BaseException, path: Path) -> str:
    """What a file has raised and in which line, its own or a neighbour's, the innermost one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).parent == path.parent] or [None]
    at = f"{own[-1].filename}:{own[-1].lineno}" if own[-1] else str(path)
    said = (str(error).strip() or "no message").splitlines()[0]
    return f"{at}: {type(error).__name__}: {said}"
