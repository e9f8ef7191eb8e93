"""Writes the completion scripts and their table of settings: `python completions/generate.py`."""

import json
from pathlib import Path

from typer.completion import get_completion_script

from lerax import registry
from lerax_cli.options import settings_tables
from lerax_cli.words import TABLE

HERE = Path(__file__).parent
SHELLS = {"bash": "lerax.bash", "zsh": "_lerax", "fish": "lerax.fish"}


def files() -> dict[Path, str]:
    """The content of each file by its path."""
    scripts = {
        HERE / name: get_completion_script(prog_name="lerax", complete_var="_LERAX_COMPLETE", shell=shell)
        for shell, name in SHELLS.items()
    }
    table = {name: _rows(entry) for name, entry in registry.ALGORITHMS.items()}
    scripts[HERE.parent / "lerax_cli" / TABLE] = json.dumps(table, indent=1)
    return {path: text + "\n" for path, text in scripts.items()}


def _rows(entry: registry.Entry) -> dict[str, dict]:
    """What completion shows of the settings of an algorithm and its policy; its default is offered first."""
    rows = {}
    for name, s in settings_tables(entry).items():
        choices = ["true", "false"] if isinstance(s.default, bool) else list(s.limits.choices)
        rows[name] = {"help": s.help, "choices": choices}
    return rows


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
