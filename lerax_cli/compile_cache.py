"""Compiled programs that are kept on disk, whole or not there."""

import contextlib
import os
from pathlib import Path
from typing import Any

from lerax.files import write_atomically


def keep_programs(warn: Any) -> None:
    """Lets JAX keep every program that it compiles.

    Args:
        warn: Takes a line of warning.
    """
    import jax

    folder = cache_folder(warn)
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    with contextlib.suppress(ImportError):  # there is no public way: without the private one, JAX's own stays
        from jax._src import compilation_cache

        if {"get_file_cache", "decompress_executable"} <= vars(compilation_cache).keys():
            compilation_cache.get_file_cache = lambda path: (WholeEntries(path), path)  # type: ignore[assignment]


def cache_folder(warn: Any) -> Path | None:
    """Where compiled programs are kept: JAX's own variable wins; None where nothing can be kept."""
    set_by_user = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(set_by_user) if set_by_user else Path(base) / "lerax" / "xla"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        warn(f"no compilation cache: {error}")
        return None
    if not os.access(folder, os.W_OK):
        warn(f"the compilation cache is read-only: {folder}")
    return folder


class WholeEntries:
    """Compiled programs in a folder, in JAX's own names and format.

    JAX's own cache writes them in place: what a kill, a full disk or a second process leaves half written is
    reported at every later start, and never mended.
    """

    def __init__(self, folder: str):
        self._path = Path(folder)

    def get(self, key: str) -> bytes | None:
        """A stored program; None where there is none. A damaged one is removed."""
        from jax._src.compilation_cache import decompress_executable

        path = self._file(key)
        try:
            entry = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            decompress_executable(entry)
        except Exception:  # zlib and both packages of zstd have errors of their own: none can be read
            path.unlink(missing_ok=True)
            return None
        return entry

    def put(self, key: str, value: bytes) -> None:
        """Stores a program.

        Raises:
            OSError: It cannot be written, and is not there.
        """
        write_atomically(self._file(key), value, durable=False)  # damage is found

    def _file(self, key: str) -> Path:
        return self._path / f"{key}-cache"
