"""What a comparison says as rows of texts, the first of which is the head."""

from typing import Any

from .groups import written

Rows = list[tuple[str, ...]]


def settings(names: list[str], shared: dict[str, dict[str, Any]]) -> Rows:
    """What differs: a row for each setting, or for each contestant where these are more.

    Args:
        names: The contestants.
        shared: The values that each of them has, by setting.
    """
    if len(names) <= len(shared):
        return [
            ("SETTING", *names),
            *((key, *(written(of[name]) for name in names)) for key, of in shared.items()),
        ]
    return [("NAME", *shared), *((name, *(written(of[name]) for of in shared.values())) for name in names)]


def scores(found: dict[str, Any]) -> Rows:
    """Aggregates of each contestant on each environment, and over all of them."""
    rows: Rows = [("NAME", "ENV", "SEEDS", "IQM", "95 % INTERVAL", "MEAN", "MEDIAN")]
    for one in found["contestants"]:
        for env, of in one["on"].items():
            seeds = sum(run["env"] == env for run in one["runs"])
            rows.append((one["name"], env, str(seeds), *_aggregates(of)))
        if of := one["scaled"]:
            seeds = sum(run["env"] in found["environments"] for run in one["runs"])  # others do not count
            rows.append((one["name"], "all, from 0 to 1", str(seeds), *_aggregates(of)))
    return rows


def _aggregates(of: dict[str, Any]) -> tuple[str, ...]:
    value = lambda name: f"{of[name]['value']:.4g}"
    return value("iqm"), _interval(of["iqm"]), value("mean"), value("median")


def pairs(found: dict[str, Any]) -> Rows:
    """How contestants of several seeds stand to each other; nothing where there are no two."""
    rows: Rows = [
        ("BETTER", "THAN", "PROBABILITY", "95 % INTERVAL", "DIFFERENCE", "TOLD APART", "SEEDS EACH", "MORE")
    ]
    for pair in found["pairs"]:
        if pair["p"] is None:
            continue
        improved, apart = pair["improvement"], "yes" if pair["told_apart"] else "no"
        chance = f"{improved['value']:.2f}", _interval(improved, ".2f")
        test = f"{pair['difference']:+.4g}", f"{apart}, p {pair['p']:.2g}"
        rows.append((pair["x"], pair["y"], *chance, *test, *_needed(pair)))
    return rows if len(rows) > 1 else []


def _needed(pair: dict[str, Any]) -> tuple[str, str]:
    """How many seeds of each it would take to tell two apart, and how many these are more than there are."""
    if pair["told_apart"] or pair["difference"] == 0:
        return "", ""
    if pair["runs_needed"] is None:
        return ">10,000", ""
    more = dict.fromkeys(f"+{count:,}" for count in pair["more_runs"].values())
    return f"{pair['runs_needed']:,}", " and ".join(more)


def profile(found: dict[str, Any]) -> Rows:
    """The performance profile; nothing where all scores are the same."""
    profile = found["profile"]
    if not profile or len(profile["above"]) < 2:
        return []
    above = [f"{tau:g}" for tau in profile["above"]]
    rows: Rows = [("RUNS ABOVE", *above)]
    return rows + [(name, *(f"{part:.0%}" for part in of["fraction"])) for name, of in profile["of"].items()]


def _interval(of: dict[str, Any], form: str = ".4g") -> str:
    return "" if of["low"] is None else f"{of['low']:{form}} to {of['high']:{form}}"
