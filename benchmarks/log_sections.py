"""What is measured of logging."""

from pathlib import Path

from rounds import Contestant, Rows, worker
from settings import FAULTS, LOGGING
from tables import check, markdown, spread, values


def logging(num_envs: int, num_steps: int, quick: bool, directory: Path) -> list[Contestant]:
    size = {"timesteps": 50_000, "calls": 1} if quick else {"calls": 7}
    command = worker("logging", "lerax", num_envs=num_envs, num_steps=num_steps, **size)
    return [Contestant("lerax", command)]


def logging_report(rows: Rows) -> str:
    def pooled(mode: str, clock: str) -> list[float]:
        return [figure for row in rows.get("lerax", []) for figure in row[mode][clock]]

    def over_none(mode: str, clock: str) -> list[float]:
        pairs = zip(pooled(mode, clock), pooled("none", clock), strict=True)
        return [figure / other for figure, other in pairs]

    if not rows.get("lerax"):
        return "Not measured."
    header = ["", "training s", "x none", "x none, best of each", "CPU s, x none"]
    lines = []
    for mode in LOGGING:
        wall, best = pooled(mode, "wall"), min(pooled("none", "wall"))
        ratio, cpu = spread(over_none(mode, "wall")), spread(over_none(mode, "cpu"))
        lines.append([mode, spread(wall), ratio, f"{min(wall) / best:.3f}", cpu])
    held = check(f"{LOGGING[-1]} over none, s", over_none(LOGGING[-1], "wall"), "at most", 1.02)
    return "\n".join([markdown(header, lines), "", held])


def record(quick: bool, directory: Path) -> list[Contestant]:
    calls = 50 if quick else 1000
    return [
        Contestant(f"{group} a chunk", worker("record", "lerax", group=group, calls=calls))
        for group in (1, 16)
    ]


def record_report(rows: Rows) -> str:
    header = ["", "us of the wall", "us of the thread's CPU"]
    lines = [[name, *(spread(values(rows, name, key)) for key in ("wall", "cpu"))] for name in rows]
    checks = [check(f"{name}, us a record", values(rows, name, "wall"), "at most", 50) for name in rows]
    return "\n".join([markdown(header, lines), "", *checks])


def faults(quick: bool, directory: Path) -> list[Contestant]:
    size = {"timesteps": 50_000, "calls": 1} if quick else {"timesteps": 600_000, "calls": 8}
    return [Contestant("lerax", worker("faults", "lerax_faults", **size))]


def faults_report(rows: Rows) -> str:
    if not rows.get("lerax"):
        return "Not measured."
    seconds = {fault: [figure for row in rows["lerax"] for figure in row[fault]] for fault in FAULTS}
    best = {fault: min(figures) for fault, figures in seconds.items()}
    lines = [
        [fault, spread(figures), *(f"{best[fault] / best[base]:.3f}" for base in FAULTS[:2])]
        for fault, figures in seconds.items()
    ]
    checks = [
        check(f"{fault} over none, best s", [best[fault] / best["none"]], "at most", 1.02)
        for fault in FAULTS[2:]
    ]
    same = all(row["same"] for row in rows["lerax"])
    bitwise = f"- {'held' if same else 'MISSED'}: the parameters are bitwise those of no logging"
    header = ["", "training s", "x none, best of each", "x nothing, best of each"]
    return "\n".join([markdown(header, lines), "", *checks, bitwise])
