"""A logging backend of one's own: it leaves a Markdown table in the run's directory."""

from collections.abc import Mapping
from pathlib import Path

from lerax.backend import AbstractLoggingBackend


class MarkdownBackend(AbstractLoggingBackend):
    """Writes `{log_dir}/{run name}/metrics.md` at the end: first, last and greatest value of every metric.

    Args:
        log_dir: The folder that holds the runs; the command passes what `--out` says.
    """

    def __init__(self, log_dir: str | Path = "logs"):
        self.log_dir = Path(log_dir)
        self._rows: dict[str, tuple[float, float, float]] = {}
        self._path: Path | None = None
        self._steps = 0

    def open(self, name: str) -> None:
        self._path = self.log_dir / name / "metrics.md"
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self._steps = step
        for tag, value in scalars.items():
            first, _, greatest = self._rows.get(tag, (value, value, value))
            self._rows[tag] = first, value, max(greatest, value)

    def close(self) -> None:
        if self._path is None:  # never opened
            return
        lines = [
            f"After {self._steps:,} steps:",
            "",
            "| metric | first | last | greatest |",
            "|---|--:|--:|--:|",
        ]
        lines += [f"| {tag} | {a:.4g} | {b:.4g} | {c:.4g} |" for tag, (a, b, c) in sorted(self._rows.items())]
        self._path.write_text("\n".join(lines) + "\n", "utf-8")
