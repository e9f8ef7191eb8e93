"""Writes the completion scripts beside this file: `python completions/generate.py`."""

from pathlib import Path

from typer.completion import get_completion_script

SHELLS = {"bash": "lerax.bash", "zsh": "_lerax", "fish": "lerax.fish"}


def scripts() -> dict[str, str]:
    """The content of each file by its name."""
    return {
        name: get_completion_script(prog_name="lerax", complete_var="_LERAX_COMPLETE", shell=shell) + "\n"
        for shell, name in SHELLS.items()
    }


if __name__ == "__main__":
    for name, text in scripts().items():
        (Path(__file__).parent / name).write_text(text)
