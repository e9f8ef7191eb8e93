"""What is measured of checkpoints."""

from pathlib import Path
from statistics import median

from rounds import Contestant, Rows, worker
from settings import REPLAYED, SAVING
from tables import check, markdown, spread, values

PEER = "lerax_checkpoints"
REPLAY = "a replay memory of 1M rows"
WRITTEN = ("dd", "one file", "segments")


def saving(quick: bool, directory: Path) -> list[Contestant]:
    size = {"timesteps": 20_000, "calls": 1} if quick else {"timesteps": 1_500_000, "calls": 3}
    return [
        Contestant(f"{envs} x {steps}", worker("saving", PEER, num_envs=envs, num_steps=steps, **size))
        for envs, steps in ((4, 128), (8, 256))
    ]


def saving_report(rows: Rows) -> str:
    return _report(rows, SAVING[1], 600.0, 0.01)


def replay(quick: bool, directory: Path) -> list[Contestant]:
    size = {"timesteps": 2_000, "calls": 1} if quick else {"timesteps": 200_000, "calls": 2}
    return [Contestant(REPLAY, worker("replay", PEER, **size))]


def replay_report(rows: Rows) -> str:
    return _report(rows, REPLAYED[2], 10.0, 0.05)


def _report(rows: Rows, aimed: str, seconds: float, most: float) -> str:
    lines, checks = [], []
    for name, made in rows.items():
        found = {
            mode: [row[mode] for row in made]
            for mode in dict.fromkeys((*SAVING, *REPLAYED))
            if mode in made[0]
        }
        figures = lambda mode, key, found=found: [x for row in found[mode] for x in row.get(key, [])]
        for mode in found:
            over = [f"{min(figures(mode, key)) / min(figures('none', key)):.3f}" for key in ("wall", "cpu")]
            saves = figures(mode, "megabytes")
            first, later = [some[0] for some in saves], [x for some in saves for x in some[1:]]
            ms = [[1e3 * x for x in figures(mode, key)] for key in ("stop", "save")]
            lines.append(
                [name, mode, spread(figures(mode, "wall")), *over, *map(spread, (*ms, first, later))]
            )
        for key, clock in (("cpu", "CPU s"), ("wall", "s")):
            ratio = min(figures(aimed, key)) / min(figures("none", key))
            checks.append(check(f"{name}, {aimed} over none, best {clock}", [ratio], "at most", 1 + most))
        share = [x / seconds for x in figures(aimed, "save")]
        checks.append(check(f"{name}, CPU s of a save, of {seconds:g} s", share, "at most", most))
    header = ["", "saved", "training s", "x none, best", "CPU s, x none, best"]
    header += ["a save: CPU ms of training", "CPU ms in all", "MB, first", "MB, later"]
    return "\n".join([markdown(header, lines), "", *checks, _load(rows)])


def writing(quick: bool, directory: Path) -> list[Contestant]:
    return [Contestant("lerax", worker("writing", PEER, calls=2 if quick else 10))]


def writing_report(rows: Rows) -> str:
    found = {name: [row[name] for row in rows.get("lerax", [])] for name in WRITTEN}
    speed = {name: [x for one in made for x in one["speed"]] for name, made in found.items()}
    lines = [
        [name, spread(speed[name]), spread([x for one in found[name] for x in one["cpu"]])]
        for name in WRITTEN
    ]
    checks = [
        check(f"{name} over dd, MB/s, {word}", [of(speed[name]) / of(speed["dd"])], "at least", 0.5)
        for name in WRITTEN[1:]
        for word, of in (("best", max), ("median", median))
        if speed[name]
    ]
    return "\n".join([markdown(["", "MB/s", "CPU s"], lines), "", *checks, _load(rows)])


def _load(rows: Rows) -> str:
    return f"- load of the machine: {spread([x for name in rows for x in values(rows, name, 'load')])}"
