"""What a report says of trainings."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lerax.backend import ConsoleBackend
from lerax.backend.jsonl import METRICS, read_records
from lerax.errors import SettingError
from lerax.files import LARGEST_TEXT
from lerax.runs import CONFIG, Run
from lerax.study import tables
from lerax.study.compare import compare
from lerax.study.curves import curves
from lerax.study.groups import Group, differing, written

from .blocks import Block, Code, Fold, Plot, Report, Screen, Section, Table, Text
from .origin import code, machines

SCREEN = 100, 30  # columns and lines of the dashboard
SCREENS = 4  # trainings whose dashboard is shown
COMMANDS = 12  # that are written out
NAMED = 3  # algorithms and environments in a title
RATE = "time/steps_per_second"
Again = Callable[[Run], str]
"""The command that repeats a run."""


def contents(
    groups: Sequence[Group],
    problems: Sequence[str] = (),
    *,
    title: str = "",
    tags: Sequence[str] = (),
    by: Sequence[str] = (),
    again: Again | None = None,
) -> Report:
    """What there is to say of trainings, but for their videos.

    Args:
        groups: The trainings, as `lerax.study.groups.contestants` finds them.
        problems: A line for each run that is left out.
        title: What stands above all; "" for algorithms and environments.
        tags: What is drawn of what was logged; none for the return.
        by: The settings that the groups were made by, if they were.
        again: The command that repeats a run; None for `lerax train --config` with its config.

    Raises:
        SettingError: There is no training, or no run has logged one of the tags.
    """
    if not groups:
        raise SettingError(
            "run", len(problems), wrong="none of them can be read", hint="; ".join(problems[:3])
        )
    problems = list(problems)
    sections = [
        Section("What was trained", _trained(groups)),
        Section("Scores", _scores(groups, problems)),
        Section("Curves", _curves(groups, tags, by, problems)),
        Section("Settings", _settings(groups)),
        Section("Runs", _runs(groups)),
        Section("Machine and versions", machines(groups)),
        Section("Code", code(groups)),
        Section("Dashboard", _screens(groups, problems), on_paper=False),
        Section("How to repeat it", _repeated(groups, again or _by_config)),
    ]
    count = sum(len(one.runs) for one in groups)
    several = f" of {len(groups)} trainings" if len(groups) > 1 else ""
    said = f"{count} run{'s' * (count > 1)}{several}"
    kept = [section for section in sections if section.blocks]
    return Report(title or _title(groups), said, kept, list(dict.fromkeys(problems)))


def _title(groups: Sequence[Group]) -> str:
    runs = [run for one in groups for run in one.runs]
    algos, envs = (
        [*dict.fromkeys(words)] for words in ([run.algo for run in runs], [run.env for run in runs])
    )
    named = lambda words: ", ".join(words[:NAMED]) + (" and more" if len(words) > NAMED else "")
    return f"{named(algos) or 'a training'} on {named(envs) or 'an environment that is not known'}"


def _trained(groups: Sequence[Group]) -> list[Block]:
    rows: tables.Rows = [("NAME", "ALGORITHM", "ENVIRONMENT", "POLICY", "SEEDS", "STEPS")]
    for one in groups:
        settings = [written(one.settings.get(key, "")) for key in ("algo", "env", "policy")]
        rows.append((one.name, *settings, _seeds(one), _range([run.steps for run in one.runs])))
    return [Table(rows)]


def _seeds(one: Group) -> str:
    """The seeds of its runs: `0 to 4`, or one by one."""
    seeds = [run.facts.get("seed") for run in one.runs]
    known = sorted({seed for seed in seeds if isinstance(seed, int)})
    if len(known) > 2 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known))


def _range(numbers: Sequence[float]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _scores(groups: Sequence[Group], problems: list[str]) -> list[Block]:
    try:
        found = compare(groups)
    except SettingError as error:
        return [Text(f"There are none: {error.wrong}.", warns=True)]
    rows = (tables.scores(found), tables.pairs(found), tables.profile(found))
    several = any(len(one["runs"]) > 1 for one in found["contestants"])
    about = f"Scores: {found['score_is']}." + f" Intervals: {found['intervals']}." * several
    return [
        *(Table(some) for some in rows if some),
        Text(about),
        *(Text(line, warns=True) for line in found["warnings"] if line not in problems),
    ]


def _curves(
    groups: Sequence[Group], tags: Sequence[str], by: Sequence[str], problems: list[str]
) -> list[Block]:
    blocks: list[Block] = []
    for tag in tags or ("",):
        try:
            found = curves(groups, tag=tag, by=by)
        except SettingError as error:
            if tag:
                raise
            return [Text(f"There are none: {error.wrong} ({error.got}).", warns=True)]
        problems += found.problems
        blocks.append(Plot(found))
    return blocks


def _settings(groups: Sequence[Group]) -> list[Block]:
    """Those that differ, and all of each training."""
    settings = [one.settings for one in groups]
    keys = differing(settings)
    rows: tables.Rows = [("SETTING", *(one.name for one in groups))]
    rows += [(key, *(written(of[key]) if key in of else "" for of in settings)) for key in keys]
    if len(groups) == 1:
        blocks: list[Block] = []
    elif keys:
        blocks = [Text("What differs between the trainings:"), Table(rows)]
    else:
        blocks = [Text("The trainings have the same settings.")]
    for one in groups:
        every: tables.Rows = [("SETTING", "VALUE")]
        every += [(key, written(value)) for key, value in one.settings.items()]
        blocks.append(Fold(f"All settings of {one.name}", [Table(every)], on_paper=True))
    return blocks


def _runs(groups: Sequence[Group]) -> list[Block]:
    head = ("RUN", "SEED", "STATUS", "STEPS", "SCORE", "SECONDS", "OF THEM TRAINING", "STEPS PER SECOND")
    rows: tables.Rows = [(*head, "BEGAN")]
    blocks: list[Block] = []
    for run in (run for one in groups for run in one.runs):
        facts, rate = run.facts, run.last(RATE)
        why = f" ({run.reason})" if run.reason else ""
        seconds = [_number(facts.get(name), ",.0f") for name in ("seconds", "seconds_training")]
        score, began = _number(run.score, ".4g"), str(facts.get("started", ""))
        told = (run.name, str(facts.get("seed", "")), run.status + why, f"{run.steps:,}")
        rows.append((*told, score, *seconds, _number(rate, ",.0f"), began))
        source = facts.get("branched_from")
        if isinstance(source, dict):
            blocks.append(
                Text(f"{run.name} branched off from {source.get('path')} at step {source.get('step')}.")
            )
    about = (
        "Seconds are those of a run's last process, of training those of all of them, with compilation, "
        "whichever seed compiled; steps per second the last logged ones."
    )
    return [Table(rows), Text(about), *blocks]


def _number(value: Any, form: str) -> str:
    return f"{value:{form}}" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _screens(groups: Sequence[Group], problems: list[str]) -> list[Block]:
    """What the dashboard showed last of the first seed of each training."""
    blocks: list[Block] = []
    for one in groups[:SCREENS]:
        run = one.runs[0]
        try:
            screen = Screen(run.name, _screen(run), SCREEN[0])
        except OSError as error:
            problems.append(f"{run.name} has no dashboard: {METRICS} cannot be read ({error.strerror})")
            continue
        blocks.append(screen if len(groups) == 1 else Fold(run.name, [screen]))
    if len(groups) > SCREENS:
        blocks.append(Text(f"Of {len(groups) - SCREENS} more trainings it is left out."))
    return blocks


def _screen(run: Run) -> list[Any]:
    console = ConsoleBackend("off", device=run.device)
    console.on_training_start(run.total, 0)
    elapsed = 0.0
    if (run.path / METRICS).is_file():  # a pipe would be waited for
        for step, scalars in read_records(run.path / METRICS):
            console.log_scalars(scalars, step)
            elapsed = scalars.get("time/elapsed", elapsed)
    console.log_phase("training" if run.status == "running" else run.status)
    console.elapsed(elapsed if run.spent is None else run.spent)
    return console.picture(run.name, *SCREEN)


def _repeated(groups: Sequence[Group], again: Again) -> list[Block]:
    """What was typed, what trains the same again, and the configs that say all of it."""
    runs = [run for one in groups for run in one.runs]
    typed = dict.fromkeys(_typed(run) for run in runs)
    blocks: list[Block] = []
    for text, lines in (("As it was typed:", typed), ("Each run again:", dict.fromkeys(map(again, runs)))):
        kept = [line for line in lines if line]
        more = f"# and {len(kept) - COMMANDS} more like these" if len(kept) > COMMANDS else ""
        if kept:
            blocks += [Text(text), Code("\n".join(filter(None, [*kept[:COMMANDS], more])), "sh")]
    for one in groups:
        if config := _config(one.runs[0].path / CONFIG):
            blocks.append(Fold(f"{CONFIG} of {one.runs[0].name}", [Code(config, "toml")]))
    return blocks


def _typed(run: Run) -> str:
    argv = run.facts.get("argv")
    known = isinstance(argv, list) and all(isinstance(word, str) for word in argv)
    return shlex.join(["lerax", *argv]) if known and argv else ""


def _by_config(run: Run) -> str:
    return f"lerax train --config {shlex.quote(str(run.path / CONFIG))}"


def _config(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
