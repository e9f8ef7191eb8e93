"""Compiled programs on disk: whole or not there, whoever is killed while storing one."""

import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest
import terminal
from jax import numpy as jnp

from lerax_cli.compile_cache import WholeEntries

ENTRY = zlib.compress(bytes(range(256)) * 1000)
DAMAGES = {
    "empty": lambda entry: b"",
    "cut": lambda entry: entry[: len(entry) // 2],
    "changed": lambda entry: entry[:-9] + bytes([entry[-9] ^ 1]) + entry[-8:],
    "zeros": lambda entry: bytes(len(entry)),
}


def is_whole(file: Path) -> bool:
    """Whether all of an entry can be read."""
    try:
        return bool(zlib.decompress(file.read_bytes()))
    except zlib.error:
        return False


@pytest.fixture
def entries(tmp_path: Path) -> WholeEntries:
    return WholeEntries(str(tmp_path))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_removed(entries: WholeEntries, tmp_path: Path, damage: str):
    """It counts as none, so that the program is compiled and stored anew."""
    entries.put("f", ENTRY)
    assert entries.get("f") == ENTRY
    (file,) = tmp_path.iterdir()
    file.write_bytes(DAMAGES[damage](ENTRY))
    assert entries.get("f") is None
    assert not list(tmp_path.iterdir())
    entries.put("f", ENTRY)
    assert entries.get("f") == ENTRY


STORE = """
import os, resource, sys
from lerax_cli.compile_cache import WholeEntries
{fault}
WholeEntries(sys.argv[1]).put("f", os.urandom(9999))
"""
FAULTS = {
    "killed": "os.replace = lambda *_: os.kill(os.getpid(), 9)",
    "disk full": "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_process_that_cannot_store_all_leaves_no_entry(entries: WholeEntries, tmp_path: Path, fault: str):
    """A full disk is the relative of a kill. Others see an entry once it is whole, whoever is at it."""
    program = [sys.executable, "-c", STORE.format(fault=FAULTS[fault]), str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == (-9 if fault == "killed" else 1), done.stderr
    assert not list(tmp_path.glob("*-cache"))
    assert entries.get("f") is None


def test_jax_keeps_its_programs_so():
    """Its warnings would be errors here, and it would leave the damaged entry as it is."""
    folder = Path(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]

    def program_of_this_test(x):
        return jnp.sin(x) * 3

    def compile_it():
        jax.clear_caches()
        assert float(jax.jit(program_of_this_test)(0.0)) == 0
        (file,) = folder.glob("jit_program_of_this_test-*-cache")
        return file

    for left in folder.glob("jit_program_of_this_test-*-cache"):
        left.unlink()  # under another key, of other versions
    file = compile_it()
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:100])
    assert is_whole(compile_it())


def test_command_mends_damaged_entries_without_a_word(tmp_path: Path):
    """With `-q` nothing is said, `--strict` finds no warning, and the next start reads whole entries."""
    command = ("train", *terminal.BRIEF, "-q", "--strict")
    terminal.run(*command, cwd=tmp_path)
    cache = terminal.own_cache(tmp_path)
    small = {file: file.read_bytes() for file in cache.iterdir() if file.stat().st_size < 20_000}
    for number, (file, entry) in enumerate(small.items()):
        file.write_bytes(list(DAMAGES.values())[number % len(DAMAGES)](entry))

    def mended() -> dict[Path, int]:
        done = terminal.run(*command, cwd=tmp_path, JAX_COMPILATION_CACHE_DIR=str(cache))
        assert (done.returncode, done.stderr) == (0, "")
        return {file: file.stat().st_mtime_ns for file in small if file.exists() and is_whole(file)}

    first = mended()
    assert first and mended() == first
