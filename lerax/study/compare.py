"""Trainings compared by their scores: how good, how sure, what tells them apart, and what is not fair."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lerax.errors import SettingError
from lerax.runs import ENDED, Run

from . import statistics
from .axis import round_step
from .groups import VARIOUS, Group, differing, not_yet, written
from .statistics import Numbers, Scores

EVALUATION, EPISODES = "evaluation", "episode/return"
SCORES = {
    EVALUATION: "mean return of the evaluation at the end",
    EPISODES: "mean return of the last episodes of training",
}
"""What can be a run's score, the better first, and what that is."""
CONFIDENCE = "95 %"
REPETITIONS = 5_000
TAUS = 7  # scores that the performance profile is shown for, about
SAME_STEPS = 1.05  # budgets that differ by no more are the same: the last iteration is a whole one
FEW = 3  # runs of which an interval says something


def compare(groups: Sequence[Group]) -> dict[str, Any]:
    """Compares trainings by the scores of their runs.

    The scores are of one kind: the evaluation where all runs have one, else the last episodes' return. Only
    environments that all contestants were trained on count. Where these are several, the scores on each are
    scaled so that the lowest run is 0 and the highest 1.

    Args:
        groups: The contestants.

    Returns:
        All of it, as JSON has it; what is not fair is in `warnings`.

    Raises:
        SettingError: There is no contestant, or none that has a score.
    """
    problems: list[str] = []
    kind, score = _kind([run for one in groups for run in one.runs], problems)
    groups = [
        Group(one.name, tuple(run for run in one.runs if run.path in score), one.settings) for one in groups
    ]
    groups = [one for one in groups if one.runs]
    if not groups:
        raise SettingError(
            "runs", len(score), wrong="none has a score", hint="`lerax runs` lists what they did"
        )
    envs = [env for env in groups[0].envs if all(one.on(env) for one in groups)]
    raw = {one.name: {env: [score[run.path] for run in one.on(env)] for env in one.envs} for one in groups}
    scale = _scale(raw, envs) if len(envs) > 1 else {}
    scaled = {name: [_scaled(of[env], scale.get(env)) for env in envs] for name, of in raw.items()}
    comparable = len(groups) > 1 and bool(envs)
    return {
        "score": kind,
        "score_is": SCORES[kind],
        "environments": envs,
        "scaled": {env: list(ends) for env, ends in scale.items()} or None,
        "intervals": f"{CONFIDENCE}, bootstrap over seeds within each environment, {REPETITIONS:,} times",
        "settings": _settings(groups),
        "contestants": [_contestant(one, raw[one.name], scaled[one.name], score) for one in groups],
        "pairs": [_pair(*names, scaled) for names in combinations(scaled, 2)] if comparable else [],
        "profile": _profile(scaled) if envs else None,
        "warnings": [*problems, *_unfair(groups, envs)],
    }


def _kind(runs: Sequence[Run], problems: list[str]) -> tuple[str, dict[Any, float]]:
    """The kind of score that the runs have, and the score of each that has it, by its path."""
    found: dict[str, dict[Any, float]] = {}
    ways: dict[str, Callable[[Run], float | None]] = {
        EVALUATION: lambda run: run.evaluated,
        EPISODES: lambda run: run.last(EPISODES),
    }
    for kind, way in ways.items():
        scores = {run.path: way(run) for run in runs}
        found[kind] = {
            path: one for path, one in scores.items() if one is not None and abs(one) <= statistics.LARGEST
        }
        if len(found[kind]) == len(runs):
            break
    kind = max(found, key=lambda kind: len(found[kind]))  # of as many, the better
    without = [run for run in runs if run.path not in found[EVALUATION]]
    if kind == EPISODES and found[EVALUATION]:
        problems.append(f"scores are the last episodes' returns: no evaluation of {_some(without)}")
    for run in runs:
        if run.path not in found[kind]:
            why = f"no score within {statistics.LARGEST:g}" if ways[kind](run) is not None else "no score"
            told = not_yet(run) or f"it has {why} ({run.problem or run.status})"
            problems.append(f"{run.name} is left out: {told}")
    return kind, found[kind]


def _settings(groups: Sequence[Group]) -> dict[str, dict[str, Any]]:
    """Settings that differ, each with the value of those that have it."""
    return {
        key: {one.name: one.settings[key] for one in groups if key in one.settings}
        for key in differing([one.settings for one in groups])
    }


def _contestant(one: Group, raw: Mapping[str, list[float]], scaled: Scores, score: Any) -> dict[str, Any]:
    rows = [
        {
            "name": run.name,
            "path": str(run.path),
            "env": run.env,
            "seed": run.facts.get("seed"),
            "status": run.status,
            "steps": run.steps,
            "score": score[run.path],
        }
        for run in one.runs
    ]
    on_each = {env: _aggregates([values]) for env, values in raw.items()}
    together = _aggregates(scaled) if len([*scaled]) > 1 else None
    return {"name": one.name, "runs": rows, "on": on_each, "scaled": together}


def _aggregates(scores: Scores) -> dict[str, Any]:
    ways = {"iqm": statistics.iqm, "mean": statistics.mean, "median": statistics.median}
    return {name: _with_interval(way, scores) for name, way in ways.items()}


def _with_interval(statistic: Callable[..., Numbers], *scores: Scores) -> dict[str, float | None]:
    low, high = statistics.interval(statistic, *scores, repetitions=REPETITIONS)
    return {"value": float(statistic(*scores)), "low": _finite(low), "high": _finite(high)}


def _pair(x: str, y: str, scaled: Mapping[str, list[Any]]) -> dict[str, Any]:
    """How two contestants stand to each other."""
    first, second = scaled[x], scaled[y]
    apart, p = statistics.welch(first, second)
    needed = statistics.runs_needed(first, second)
    has = {name: min(map(len, scaled[name])) for name in (x, y)}
    return {
        "x": x,
        "y": y,
        "improvement": _with_interval(statistics.probability_of_improvement, first, second),
        "difference": apart,
        "p": _finite(p),
        "told_apart": None if math.isnan(p) else p < statistics.SIGNIFICANCE,
        "runs_needed": needed,
        "more_runs": None
        if needed is None
        else {name: max(needed - count, 0) for name, count in has.items()},
    }


def _profile(scaled: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The fraction of runs above some scores between the lowest and the highest."""
    every = np.concatenate([task for tasks in scaled.values() for task in tasks])
    taus = _round_numbers(float(every.min()), float(every.max()))
    options = {"repetitions": REPETITIONS}
    rows = {}
    for name, tasks in scaled.items():
        low, high = statistics.profile_band(tasks, taus, **options)
        ends = {"low": [*map(_finite, low)], "high": [*map(_finite, high)]}
        rows[name] = {"fraction": statistics.profile(tasks, taus).tolist()} | ends
    return {"above": taus, "of": rows}


def _round_numbers(low: float, high: float) -> list[float]:
    """Numbers as one counts, from the lowest or below it to below the highest."""
    if high == low:
        return [low]
    step = round_step(low, high, TAUS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{number * step:.12g}") for number in range(first, last)]


def _scale(
    raw: Mapping[str, Mapping[str, list[float]]], envs: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """The lowest and the highest score on each environment."""
    every = {env: [score for of in raw.values() for score in of[env]] for env in envs}
    return {env: (min(scores), max(scores)) for env, scores in every.items()}


def _scaled(scores: list[float], ends: tuple[float, float] | None) -> np.ndarray:
    low, high = ends or (0.0, 1.0)
    return (np.array(scores) - low) / ((high - low) or 1.0)


def _unfair(groups: Sequence[Group], envs: Sequence[str]) -> list[str]:
    """What of the comparison is not fair, or says little, a line for each kind."""
    lines = []
    everywhere = {env for one in groups for env in one.envs}
    if not envs:
        lines.append(
            f"environments differ, and nothing is compared: {_each({one.name: one.envs for one in groups})}"
        )
    elif others := everywhere - {*envs}:
        lines.append(f"not all were trained on {', '.join(sorted(others))}: it does not count between them")
    for key, of in _settings(groups).items() if len(everywhere) == 1 else ():
        if key.startswith("env.") or key == "wrap":
            told = {one.name: [written(of[one.name])] if one.name in of else [] for one in groups}
            lines.append(f"environments differ in {key}: {_each(told)}")
    steps = [run.steps for one in groups for run in one.runs]
    if max(steps) > SAME_STEPS * min(steps):
        lines.append(f"steps differ: {_each({one.name: _steps(one) for one in groups})}")
    if going := [run for one in groups for run in one.runs if run.status not in ENDED[:1]]:
        kinds = ", ".join(dict.fromkeys(run.status for run in going))
        lines.append(f"not finished ({kinds}): {_some(going)}")
    versions = [_versions(run) for one in groups for run in one.runs]
    for name in differing(versions):
        values = dict.fromkeys(str(one.get(name, "none")) for one in versions)
        lines.append(f"versions of {name} differ: {', '.join(values)}")
    for one in groups:
        if VARIOUS in (value for key, value in one.settings.items() if key != "steps"):
            continue  # a seed with other settings is another training
        seeds = [(run.env, run.facts.get("seed")) for run in one.runs if "seed" in run.facts]
        if twice := sorted({str(seed) for env, seed in seeds if seeds.count((env, seed)) > 1}):
            lines.append(
                f"{one.name} has a seed more than once ({', '.join(twice)}): that tells nothing more"
            )
    few = [one.name for one in groups if min(len(one.on(env)) for env in one.envs) < FEW]
    if few:
        lines.append(f"fewer than {FEW} seeds tell little: {', '.join(few)}")
    return lines


def _steps(one: Group) -> list[str]:
    steps = [run.steps for run in one.runs]
    return [f"{min(steps):,}" + (f" to {max(steps):,}" if max(steps) > SAME_STEPS * min(steps) else "")]


def _versions(run: Run) -> dict[str, Any]:
    versions = run.facts.get("versions")
    return versions if isinstance(versions, dict) else {}


def _each(what: Mapping[str, list[str]]) -> str:
    """What each contestant has, in a line."""
    return ", ".join(f"{name} {' and '.join(words) or 'none'}" for name, words in what.items())


def _some(runs: Sequence[Run], most: int = 3) -> str:
    """Names of runs, of many the first."""
    names = ", ".join(run.name for run in runs[:most])
    return names if len(runs) <= most else f"{names} and {len(runs) - most} more"


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
