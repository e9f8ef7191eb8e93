"""What is measured of algorithms that learn from a replay buffer."""

from collections.abc import Sequence
from pathlib import Path

from rounds import Contestant, Rows, worker
from settings import OFF_POLICY
from tables import check, markdown, ratios, spread, values

LIMIT = "the bare matrix products"
SPEED, CPU = "steps_per_second", "cpu_milliseconds_per_step"
RINGS = (10_000, 1_000_000)


def speed(algorithm: str, quick: bool, directory: Path) -> Sequence[Contestant]:
    """Trainings of lerax and sbx, and for matrices of some size the products alone."""
    steps = OFF_POLICY[algorithm].timesteps
    shorter = {"DQN": 10}.get(algorithm, 2)  # sbx, whose speed does not change over a training

    def train(peer: str, timesteps: int) -> Contestant:
        size = {"timesteps": 768 if quick else timesteps, "calls": 1 if quick else 3}
        name = {"products": LIMIT}.get(peer, peer.removesuffix("_off_policy"))
        return Contestant(name, worker("off-policy", peer, algorithm=algorithm, **size))

    peers = {"lerax_off_policy": steps, "sbx_off_policy": steps // shorter}
    peers |= {} if algorithm == "DQN" else {"products": steps}
    return [train(peer, timesteps) for peer, timesteps in peers.items()]


def speed_report(algorithm: str, rows: Rows) -> str:
    """Steps per second, of the wall and of the processor, and lerax over the others."""
    keys = ("first_call_seconds", "compile_seconds", SPEED, CPU, "peak_megabytes")
    lines = [
        [name, *(spread(values(rows, name, key)) for key in keys)]
        + [spread(ratios(rows, "lerax", name, SPEED)), spread(ratios(rows, name, "lerax", CPU))]
        for name in rows
    ]
    header = ["", "first call s", "compile s", "steps/s", "CPU ms/step", "peak MB"]
    header += ["lerax over it, steps/s", "its CPU, x lerax"]
    aims = {"sbx": 5.0 if algorithm == "DQN" else 1.5, LIMIT: 0.8}
    checks = [
        check(f"lerax over {name}, {SPEED}", ratios(rows, "lerax", name, SPEED), "at least", aim)
        for name, aim in aims.items()
        if values(rows, name, SPEED)
    ]
    if values(rows, LIMIT, CPU):
        checks.append(
            check(f"CPU time of {LIMIT} over lerax's", ratios(rows, LIMIT, "lerax", CPU), "at least", 0.8)
        )
    return "\n".join([markdown(header, lines), "", *checks])


def ring(quick: bool, directory: Path) -> Sequence[Contestant]:
    """A replay buffer alone and in a training, of two lengths."""
    contestants = []
    for rows in RINGS:
        alone = worker("ring", "lerax_off_policy", rows=rows, calls=2 if quick else 10)
        size = {"timesteps": 768 if quick else 2_048, "calls": 1 if quick else 2}
        within = worker("off-policy", "lerax_off_policy", algorithm="SAC", rows=rows, **size)
        contestants += [Contestant(f"{rows:,} steps", alone), Contestant(_trained(rows), within)]
    return contestants


def ring_report(rows: Rows) -> str:
    """Milliseconds of a draw, and what length costs a training in time and memory."""
    lines = []
    for length in RINGS:
        name = f"{length:,} steps"
        figures = [values(rows, name, key) for key in ("sample", "add", "ring_megabytes")]
        figures += [values(rows, _trained(length), key) for key in (SPEED, CPU, "peak_megabytes")]
        lines.append([name, *map(spread, figures)])
    header = ["", "draw of 256, ms", "store of one, ms", "ring MB"]
    header += ["SAC, steps/s", "SAC, CPU ms/step", "SAC, peak MB"]
    short, long = RINGS
    sizes = [values(rows, f"{length:,} steps", "ring_megabytes") for length in RINGS]
    peaks = [values(rows, _trained(length), "peak_megabytes") for length in RINGS]
    rings = [
        (more - less) / (large - small)
        for small, large, less, more in zip(*sizes, *peaks, strict=False)  # what is measured of both
    ]
    draws = values(rows, f"{long:,} steps", "sample")
    times = ratios(rows, _trained(long), _trained(short), CPU)
    checks = [
        check(f"a draw of 256 from {long:,}, ms", draws, "at most", 1.0),
        check(f"SAC's CPU time a step, {long:,} over {short:,}", times, "at most", 1.1),
        check(f"more peak memory, {long:,} over {short:,}, in sizes of the ring", rings, "at most", 2.2),
    ]
    return "\n".join([markdown(header, lines), "", *checks])


def _trained(rows: int) -> str:
    return f"SAC, {rows:,} steps"
