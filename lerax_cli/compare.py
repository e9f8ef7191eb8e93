"""`lerax compare`."""

from shlex import quote
from typing import Annotated, Any

import typer

from lerax.errors import SettingError

from . import naming, report, words
from .report import BadInput
from .values import MOST_SEEDS, Out

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Runs, and trainings of several seeds: paths, names in the folder of runs or how these begin.",
        autocompletion=words.runs_and_groups,
        show_default=False,
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="algo|env|SETTING",
        help="Put runs together that are alike in this, whatever else differs; may be repeated.",
        autocompletion=words.grouping,
    ),
]
ENOUGH = 5  # seeds, for a start
NAMED = ("env", "algo", "policy")  # settings
WRITTEN = 4  # runs that are written out again


def compare(
    runs: Runs,
    by: By = None,
    out: Out = "logs",
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Compare trainings by the scores of their seeds; prints tables on standard output."""
    from lerax.study.compare import compare
    from lerax.study.groups import contestants

    try:
        groups, left_out = contestants(runs, out, by or [])
        found = compare(groups)
    except SettingError as error:
        raise BadInput("--by" if error.name == "by" else "RUN", error.reason) from None
    found["warnings"] = left_out + found["warnings"]
    if json:
        report.result_json(found)
    else:
        _tables(found)
    for line in found["warnings"]:
        report.say(f"lerax: warning: {line}")
    if not json:
        if together := _together(groups, by or []):
            report.entry("together", together)
        report.entry("report", f"lerax report {named_again(runs, out)}")
        report.entry("next", _next(found, groups, runs, out))


def _tables(found: dict[str, Any]) -> None:
    """All of it for people to read."""
    from lerax.study import tables

    names = [one["name"] for one in found["contestants"]]
    shared = {key: of for key, of in found["settings"].items() if len(of) == len(names)}
    pairs = [pair for pair in found["pairs"] if pair["p"] is not None]
    every = [
        (tables.settings(names, shared) if _tells_more(shared) else [], ()),
        (tables.scores(found), ("MEDIAN", "MEAN", "ENV")),
        (tables.pairs(found), ("DIFFERENCE", "PROBABILITY")),
        (tables.profile(found), ()),
    ]
    for number, (rows, spare) in enumerate((rows, spare) for rows, spare in every if rows):
        if number:
            report.result("")
        report.table(rows, spare)
    report.entry("scores", found["score_is"])
    report.entry("intervals", found["intervals"])
    if alone := len(found["pairs"]) - len(pairs):
        report.entry("pairs", f"{alone} in which one has a single seed are left out, see --json")
    if own := len(found["settings"]) - len(shared):
        report.entry("settings", f"{own} more that not all of them have, see --json")


def _tells_more(shared: dict[str, dict[str, Any]]) -> bool:
    """Whether settings say more than the names of the contestants."""
    return any(str(value) != name for of in shared.values() for name, value in of.items())


def _together(groups: list[Any], by: list[str]) -> str:
    """How runs that were not trained together count as one, where some do."""
    if by:
        return f"runs alike in {' and '.join(by)}, whatever else differs"
    from lerax.runs import is_group

    training = lambda run: run.path.parent if is_group(run.path.parent) else run.path
    trainings = [len({training(run) for run in one.runs}) for one in groups]
    count = sum(some for some in trainings if some > 1)
    return f"{count} trainings that differ in their seeds alone are one contestant" if count else ""


def _next(found: dict[str, Any], groups: list[Any], runs: list[str], out: str) -> str:
    """What one would do then: train the seeds that are missing, else look at the curves."""
    fewest = min(found["contestants"], key=lambda one: len(one["runs"]))
    if len(fewest["runs"]) < 2 and (more := _more(fewest, groups, ENOUGH)):
        return f"more seeds: {more}"
    first = found["contestants"][0]
    for pair in found["pairs"]:
        more = pair["more_runs"] or {}
        if pair["told_apart"] is False and pair["x"] == first["name"] and max(more.values(), default=0):
            count, name = max((count, name) for name, count in more.items())
            needs = next(one for one in found["contestants"] if one["name"] == name)
            what = f"about {count:,} more seeds of {name} may tell {pair['x']} from {pair['y']}"
            again = _more(needs, groups, count)
            return f"{what}: {again}" if again else what
    return f"lerax plot {named_again(runs, out)}"


def _more(one: dict[str, Any], groups: list[Any], count: int) -> str:
    """The command that trains so many more seeds of a contestant; "" where its runs' settings vary."""
    from lerax.runs import seeds_named
    from lerax.study.groups import VARIOUS

    group = next(group for group in groups if group.name == one["name"])
    settings = group.settings
    if VARIOUS in settings.values():
        return ""
    names = (str(settings.get(key, "")) for key in NAMED)
    again = naming.training_again(names, one["runs"][0]["path"] + "/config.toml")
    seeds = [run.facts.get("seed") for run in group.runs]
    seeds += [seed for place in {run.path.parent for run in group.runs} for seed in seeds_named(place)]
    seeds = [seed for seed in seeds if isinstance(seed, int)]
    unused = max(seeds, default=-1) + 1
    return f"{again} --seeds {unused}..{unused + min(count, MOST_SEEDS) - 1}"


def named_again(runs: list[str], out: str) -> str:
    """The same runs for another command; many are not written out."""
    names = " ".join(quote(f"{out}/{run}" if run[:1] == "-" else run) for run in runs)
    names = names if len(runs) <= WRITTEN else "RUN..."
    return names if out == "logs" else f"{names} --out {quote(out)}"
