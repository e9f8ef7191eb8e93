"""What has come of a sweep: its trials in the order of their scores, and the winner as a preset."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState

from lerax import runs
from lerax.files import parse_toml, write_atomically

from .study import FACTS, Sweep

BEST = "best.toml"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.RUNNING: "running",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
"""What a trial can be, in the order of a ranking."""
OWN = ("env", "algorithm", "policy")  # tables of a config
LEAST_FOR_IMPORTANCES = 10  # trials


class Row(NamedTuple):
    """A trial in a ranking.

    Attributes:
        trial: Its number.
        state: `complete`, `running`, `pruned` or `failed`.
        score: What is maximised; None where it is not complete.
        interval: Where that is for all possible seeds, with 95 % confidence; None for one seed.
        scores: The final mean return by seed.
        settings: What it has tried.
        reason: Why it has failed, else "".
    """

    trial: int
    state: str
    score: float | None
    interval: tuple[float, float] | None
    scores: dict[str, float]
    settings: dict[str, Any]
    reason: str


def ranking(trials: Sequence[FrozenTrial]) -> list[Row]:
    """All trials, the best first; behind the complete ones those that are not, in the order they began."""
    order = {state: place for place, state in enumerate(STATES.values())}
    rows = [_row(trial) for trial in trials]
    return sorted(rows, key=lambda row: (order[row.state], -(row.score or 0.0), row.trial))


def counts(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials there are of each state."""
    found = Counter(STATES[trial.state] for trial in trials)
    return {state: found[state] for state in STATES.values()}


def importances(sweep: Sweep) -> dict[str, float]:
    """How much of what sets good trials apart each setting explains, the greatest part first.

    By PED-ANOVA, Watanabe et al. (2023), https://arxiv.org/abs/2304.10255. Empty where too few trials are
    complete to tell.
    """
    complete = [trial for trial in sweep.trials() if trial.state == TrialState.COMPLETE]
    if len(complete) < LEAST_FOR_IMPORTANCES or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(sweep.study, evaluator=evaluator)


def write_best(sweep: Sweep) -> Path | None:
    """Writes the winner's settings as a preset; returns the file, None where no trial is complete.

    Raises:
        OSError: It cannot be written, or the winner's config not be read.
    """
    with sweep.alone():  # who comes later knows more
        best = next(iter(ranking(sweep.trials())), None)
        if best is None or best.score is None:
            return None
        folder = sweep.directory(best.trial)
        config = parse_toml((runs.seeds_of(folder)[0].path / runs.CONFIG).read_text())
        of = f"{best.score:g}, {len(best.scores)} seed{'s' * (len(best.scores) > 1)}"
        head = f"# The best of {sweep.path}: {folder.name} ({of})\n\n"
        path = sweep.path / BEST
        write_atomically(path, (head + tomli_w.dumps(preset(config))).encode())
    return path


def preset(config: dict[str, Any]) -> dict[str, Any]:
    """A run's config as a preset."""
    named = {table: config[table]["name"] for table in OWN}
    kept = {key: config[key] for key in ("steps", "score", "wrap") if key in config}
    tables = {table: {k: v for k, v in config[table].items() if k != "name"} for table in OWN}
    tables["policy"] = {"name": named["policy"]} | tables["policy"]
    return {"env": named["env"], named["algorithm"]: kept | tables}


def _row(trial: FrozenTrial) -> Row:
    facts, state = trial.user_attrs.get(FACTS) or {}, STATES[trial.state]
    between = facts.get("interval")
    return Row(
        trial.number,
        state,
        trial.value if state == "complete" else None,
        (between[0], between[1]) if between else None,
        facts.get("scores") or {},
        trial.params,
        facts.get("reason") or "",
    )
