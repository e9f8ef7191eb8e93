"""Numbers as people read them."""

import time

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def since(then: float) -> str:
    """How long ago something was, in seconds since the epoch; "" where that is not known, which is 0."""
    return span(time.time() - then) if then else ""


def span(seconds: float) -> str:
    """A time in its largest unit."""
    seconds = max(seconds, 0)
    unit, word = next((pair for pair in UNITS if seconds >= pair[0]), (1, "s"))
    return f"{int(seconds / unit)} {word}"


def size(count: float) -> str:
    """Bytes, in the unit that makes the number short."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if count < 10 and unit != "B" else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def steps(done: int, total: int) -> str:
    """How far a run is; of how much is not always known, which is 0."""
    return f"{done:,} of {total:,}" if total else f"{done:,}"


def score(value: float | None) -> str:
    """A mean return; "" where there is none."""
    return "" if value is None else f"{value:.1f}"
