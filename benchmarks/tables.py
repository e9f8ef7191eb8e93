"""From rows of measurements to Markdown."""

from collections.abc import Sequence
from statistics import median

from rounds import Rows


def values(rows: Rows, name: str, key: str) -> list[float]:
    """One figure of a contestant, round by round."""
    return [row[key] for row in rows.get(name, []) if key in row]


def ratios(rows: Rows, name: str, base: str, key: str) -> list[float]:
    """A figure of a contestant over the base's in the same round."""
    pairs = zip(rows.get(name, []), rows.get(base, []), strict=False)
    return [row[key] / other[key] for row, other in pairs if key in row and key in other]


def spread(figures: Sequence[float]) -> str:
    """Median, least and greatest."""
    if not figures:
        return "-"
    middle = short(median(figures))
    if len(figures) == 1:
        return middle
    return f"{middle} ({short(min(figures))} to {short(max(figures))})"


def short(figure: float) -> str:
    """Three digits or so: 0.12, 12.3, 123, 12.3k, 1.23M."""
    letter = ""
    for limit, scale, name in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(figure) >= limit:
            figure, letter = figure / scale, name
            break
    digits = 2 if abs(figure) < 10 else 1 if abs(figure) < 100 else 0
    return f"{figure:.{digits}f}{letter}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; its first column is left-aligned, the others right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))


def check(text: str, figures: Sequence[float], sense: str, target: float) -> str:
    """A line that holds the median of figures against its target, `at least` or `at most`."""
    if not figures:
        return f"- not measured: {text}"
    figure = median(figures)
    held = figure >= target if sense == "at least" else figure <= target
    return f"- {'held' if held else 'MISSED'}: {text}: {figure:.3g}, {sense} {target:g}"
