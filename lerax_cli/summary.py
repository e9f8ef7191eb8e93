"""What is said of a run at its end, and what one would do next."""

from collections import Counter
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from . import report
from .naming import run_again, training_again, trusting, written

if TYPE_CHECKING:
    from .job import Job
    from .side_by_side import SideBySide

POLICY = "policy.eqx"
TENSORBOARD_IMAGES = 10  # of a tag, which it shows by itself


def summarize(job: "Job", outcome: dict[str, Any]) -> None:
    """The end of the run in a few lines on standard error."""
    plan, path, say = job.plan, job.directory.path, report.say
    names = plan.env.name, plan.algorithm.name, plan.policy.name if plan.policy else ""
    extra = outcome["steps"] - plan.steps
    filling = f" ({extra:,} to fill the last iteration)" if extra > 0 else ""
    say(
        f"{written(names[1])} on {written(names[0])}, seed {plan.seed}: {outcome['status']} after "
        f"{outcome['steps']:,} steps{filling} in {outcome['seconds_training']:.1f} s"
    )
    evaluation = outcome.get("evaluation")
    if evaluation:
        solved = {True: "solved: ", False: "not solved: ", None: ""}[outcome["solved"]]
        aim = f", at least {plan.score:g} counts as solved" if plan.score is not None else ""
        say(
            f"{solved}mean return {evaluation['mean_return']:.1f} +- {evaluation['std_return']:.1f} "
            f"over {evaluation['episodes']} greedy episodes{aim}"
        )
    if plan.untuned:
        say(f"settings    the defaults: {written(names[0])} has no preset for {written(names[1])}")
    if job.videos is not None:
        say("videos      " + job.videos.text(f" in {path / 'videos'}" if job.videos.made else ""))
    if trace := outcome.get("profile"):
        report.entry(
            "profile", f"{path / trace}: open it in https://ui.perfetto.dev, it stays on this machine"
        )
    if POLICY in job.saved:
        say(f"policy      {path / POLICY}")
    stopped = ("interrupted", "paused", "pruned", *(["failed"] if POLICY in job.saved else []))
    if outcome["status"] in stopped:
        report.entry("go on", f"lerax resume {quote(str(path))}{trusting(names)}{job.placed}")
    if source := job.directory.facts.get("branched_from"):
        report.entry("branched", f"from {source['path']} at step {source['step']:,}")
    else:
        report.entry("repeat", training_again(names, path / "config.toml") + job.placed)
    if "tensorboard" in plan.backends:
        made = 0 if job.videos is None else job.videos.made
        samples = f" --samples_per_plugin images={made}" if made > TENSORBOARD_IMAGES else ""
        say(f"curves      tensorboard --logdir {quote(str(path.parent))}{samples}")
    if POLICY in job.saved and outcome["status"] not in stopped:
        report.entry("next", f"lerax watch {run_again(path)}")
    for backend in job.backends:
        if url := getattr(backend, "url", None):
            say(f"online      {url}")


def summarize_seeds(work: "SideBySide", outcome: dict[str, Any]) -> None:
    """The end of several trainings in a few lines on standard error."""
    plan, say, path = work.plan, report.say, quote(str(work.path))
    names = plan.env.name, plan.algorithm.name, plan.policy.name if plan.policy else ""
    ends = outcome["seeds"]
    counts = Counter(end["status"] for end in ends)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    what = f"{written(names[1])} on {written(names[0])}, {len(ends)} seeds"
    say(f"{what}: {said}, in {outcome['seconds']:.1f} s")
    for end in ends:
        evaluation = end.get("evaluation")
        score = f"{evaluation['mean_return']:.1f} +- {evaluation['std_return']:.1f}" if evaluation else ""
        report.entry(f"seed {end['seed']}", f"{end['status']} after {end['steps']:,} steps  {score}".rstrip())
    if score := outcome.get("score"):
        aim = "" if plan.score is None else f"; {score['solved']} solved (at least {plan.score:g})"
        sure = "{:.1f} to {:.1f}".format(*score["interval"]) if "interval" in score else "takes two"
        say(f"interquartile mean {score['iqm']:.1f} of {score['of']} seeds, 95% interval {sure}{aim}")
    if plan.untuned:
        say(f"settings    the defaults: {written(names[0])} has no preset for {written(names[1])}")
    say(f"runs        {path}")
    if any(end["status"] in ("interrupted", "paused", "pruned", "failed") for end in ends):
        report.entry("go on", f"lerax resume {path}{trusting(names)}")
    again = training_again(names, Path(ends[0]["run"]) / "config.toml")
    listed = ",".join(str(end["seed"]) for end in ends)
    report.entry("repeat", f"{again} --seeds {listed}")
    report.entry("compare", f"lerax compare {run_again(work.path)} OTHER")
    report.entry("curves", f"lerax plot {run_again(work.path)}")
    if "tensorboard" in plan.backends:
        report.entry("", f"tensorboard --logdir {path}")
