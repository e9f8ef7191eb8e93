"""Measures lerax and its peers side by side and prints tables with ratios.

`pip install -e .[bench]` first. Then, for example:

    python benchmarks/run.py --quick
    python benchmarks/run.py --only ppo solved
    python benchmarks/run.py --output benchmarks/RESULTS.md
"""

import argparse
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

from results import machine, update
from rounds import take_turns
from sections import SECTIONS, Section


def main() -> int:
    """Measures what the command line asks for; 2 when it asks for nothing that exists."""
    arguments = _parser().parse_args()
    wanted = tuple(arguments.only or ("",))
    sections = [section for section in SECTIONS if section.key.startswith(wanted)]
    if not sections:
        print(f"--only: one of {', '.join(section.key for section in SECTIONS)}", file=sys.stderr)
        return 2
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    blocks = {"machine": machine()}
    print(f"# Benchmark results\n\n{blocks['machine']}\n")
    for section in sections:
        blocks[section.key] = _measure(section, arguments)
        print(f"{blocks[section.key]}\n", flush=True)
        if arguments.output:  # after every section: a run that is stopped keeps what it has
            _write(arguments.output, blocks)
    return 0


def _measure(section: Section, arguments: argparse.Namespace) -> str:
    rounds = 1 if arguments.quick else max(arguments.repeats, section.least_rounds)
    with tempfile.TemporaryDirectory(prefix="lerax-bench-") as directory:
        contestants = section.contestants(arguments.quick, Path(directory))
        rows = take_turns(contestants, rounds, Path(directory))
    command = f"`python benchmarks/run.py {' '.join(_options(arguments))}`"
    told = f"{date.today()}, rounds: {rounds}, median (least to greatest); {command}"
    return f"## {section.title}\n\n{told}\n\n{section.report(rows)}"


def _options(arguments: argparse.Namespace) -> list[str]:
    """The options that change the figures."""
    words = ["--repeats", str(arguments.repeats)]
    words += ["--quick"] if arguments.quick else []
    words += ["--cores", str(arguments.cores)] if arguments.cores else []
    return words + (["--only", *arguments.only] if arguments.only else [])


def _write(path: Path, blocks: dict[str, str]) -> None:
    old = path.read_text() if path.exists() else ""
    path.write_text(update(old, blocks, ["machine", *(section.key for section in SECTIONS)]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--only", nargs="+", help="sections, by the beginning of their names")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--cores", type=int, help="let everything run on the first N cores only")
    parser.add_argument("--output", type=Path, help="the Markdown file to bring up to date")
    return parser


if __name__ == "__main__":
    sys.exit(main())
