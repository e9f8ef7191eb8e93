"""Small pictures out of characters."""

from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
MIDDLE = BARS[3]  # half of a line's height
LARGEST = 1e300  # of what is drawn: sums and differences stay finite
BRAILLE = 0x2800  # the cell without dots; each dot adds a bit
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column


class History:
    """A curve of any length in bounded memory: when it is full, every other point goes.

    Args:
        size: Most points that are kept.
    """

    def __init__(self, size: int = 1024):
        self._size = size
        self._every = 1
        self._count = 0
        self.points: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Appends a point; one that is not finite, or too large to be drawn, is left out."""
        self._count += 1
        if self._count % self._every or not abs(y) < LARGEST:
            return
        self.points.append((x, y))
        if len(self.points) >= self._size:
            self.points = self.points[1::2]
            self._every *= 2


def sparkline(points: Sequence[tuple[float, float]], width: int) -> str:
    """A whole curve as one line of bars, `width` characters or fewer; each is the mean of some points."""
    values = [y for _, y in points]
    bars = min(len(values), width)
    edges = [i * len(values) // bars for i in range(bars + 1)] if bars > 0 else []
    means = [sum(values[start:stop]) / (stop - start) for start, stop in pairwise(edges)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    if low == high:
        return MIDDLE * len(means)
    return "".join(BARS[round((mean - low) / (high - low) * (len(BARS) - 1))] for mean in means)


def chart(
    points: Sequence[tuple[float, float]],
    width: int,
    height: int,
    band: Sequence[tuple[float, float]] | None = None,
) -> list[str]:
    """A curve as lines of braille characters, with its lowest and highest value at the left.

    Args:
        points: (x, y) in order of x, as a `History` keeps them.
        width: Characters in a line, labels included.
        height: Lines.
        band: The lowest and the highest y around each point, drawn as single dots.

    Returns:
        The lines; none ends in blanks.
    """
    if not points:
        return [""] * height
    low = min(y for y, _ in band) if band else min(y for _, y in points)
    high = max(y for _, y in band) if band else max(y for _, y in points)
    labels = [f"{value:.5g}" for value in (high, (high + low) / 2, low)]
    margin = max(len(label) for label in labels)
    columns, rows = 2 * max(width - margin - 2, 1), 4 * height
    cells = [[0] * (columns // 2) for _ in range(height)]
    row_of = lambda y: round((high - y) / (high - low) * (rows - 1)) if high > low else rows // 2
    if band:
        edges = ([(x, pair[i]) for (x, _), pair in zip(points, band, strict=True)] for i in (0, 1))
        for column, (least, most) in enumerate(
            zip(*(resampled(edge, columns) for edge in edges), strict=True)
        ):
            if column % 2 == 0:
                for row in range(row_of(most), row_of(least) + 1):
                    cells[row // 4][column // 2] |= DOTS[row % 4][0] if row % 2 == 0 else 0
    before: int | None = None
    for column, value in enumerate(resampled(points, columns)):
        at = row_of(value)
        start, stop = sorted((at, at if before is None else before))
        for row in range(start, stop + 1):  # a vertical stroke joins distant neighbours
            cells[row // 4][column // 2] |= DOTS[row % 4][column % 2]
        before = at
    left = {height // 2: labels[1]}
    if labels[0] != labels[2]:  # a flat curve has one value
        left |= {0: labels[0], height - 1: labels[2]}
    # Not the braille cell without dots: some fonts have it wider than a space.
    drawn = ["".join(chr(BRAILLE + cell) if cell else " " for cell in line).rstrip() for line in cells]
    return [f"{left.get(i, ''):>{margin}} ┤{row}" for i, row in enumerate(drawn)]


def resampled(points: Sequence[tuple[float, float]], columns: int) -> list[float]:
    """A curve's y in each of `columns` equal parts of the x range; one alone where x is the same everywhere.

    It is the mean of the points that fall into the part; where none does, on the line between its neighbours.
    """
    first, last = points[0][0], points[-1][0]
    if first == last:
        columns = 1
    sums, counts = [0.0] * columns, [0] * columns
    for x, y in points:
        column = int((x - first) / (last - first) * (columns - 1)) if columns > 1 else 0
        sums[column] += y
        counts[column] += 1
    means = {i: total / count for i, (total, count) in enumerate(zip(sums, counts, strict=True)) if count}
    values = []
    for left, right in pairwise(means):
        rise = (means[right] - means[left]) / (right - left)
        values += [means[left] + rise * (i - left) for i in range(left, right)]
    return [*values, means[max(means)]]
