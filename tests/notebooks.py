"""Runs a notebook, from a process of its own: asyncio and ZeroMQ stay out of that of the tests."""

import json
import sys
from pathlib import Path
from typing import Any

import terminal


def executed(notebook: Path, cwd: Path, *more: str) -> list[dict[str, Any]]:
    """The cells of a notebook that was run in a folder, each with its outputs.

    Each has `messages`, too: `(kind, display_id)` of what the kernel sent for its outputs.

    Args:
        notebook: The notebook.
        cwd: Where it runs; what Jupyter writes for itself goes there, too.
        more: The code of more cells, which may raise.
    """
    result = cwd / "executed.json"
    own = {f"JUPYTER_{kind}_DIR": str(cwd / "jupyter") for kind in ("RUNTIME", "CONFIG", "DATA")}
    own |= {"IPYTHONDIR": str(cwd / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    done = terminal.finish([sys.executable, __file__, notebook, result, *more], cwd, own)
    assert done.returncode == 0, done.stderr
    return json.loads(result.read_text("utf-8"))


def main(notebook: str, result: str, *more: str) -> None:
    """Runs it, and writes its cells."""
    import nbformat
    from nbclient import NotebookClient

    messages: dict[int, list[tuple[str, str]]] = {}

    class Client(NotebookClient):
        """Notes what the kernel sends."""

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            shown = msg["content"].get("transient") or {}
            messages.setdefault(cell_index, []).append((msg["msg_type"], shown.get("display_id", "")))
            return super().process_message(msg, cell, cell_index)

    found: Any = nbformat.read(notebook, as_version=4)
    tags = {"tags": ["raises-exception"]}
    found.cells += [nbformat.v4.new_code_cell(code, metadata=tags) for code in more]
    Client(found, timeout=int(terminal.SECONDS)).execute()
    cells = [{**cell, "messages": messages.get(i, [])} for i, cell in enumerate(found.cells)]
    Path(result).write_text(json.dumps(cells), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
