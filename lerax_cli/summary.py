"""What is said of a run at its end, and what one would do next."""

from shlex import quote
from typing import TYPE_CHECKING, Any

from . import report
from .naming import naming_again, trusting, written

if TYPE_CHECKING:
    from .job import Job

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
    if POLICY in job.saved:
        say(f"policy      {path / POLICY}")
    stopped = ("interrupted", "paused", *(["failed"] if POLICY in job.saved else []))
    if outcome["status"] in stopped:
        report.entry("go on", f"lerax resume {quote(str(path))}{trusting(names)}")
    if source := job.directory.facts.get("branched_from"):
        report.entry("branched", f"from {source['path']} at step {source['step']:,}")
    else:
        config = quote(str(path / "config.toml"))
        report.entry("repeat", f"lerax train {naming_again(*names)}--config {config}")
    if "tensorboard" in plan.backends:
        made = 0 if job.videos is None else job.videos.made
        samples = f" --samples_per_plugin images={made}" if made > TENSORBOARD_IMAGES else ""
        say(f"curves      tensorboard --logdir {quote(str(path.parent))}{samples}")
    for backend in job.backends:
        if url := getattr(backend, "url", None):
            say(f"online      {url}")
