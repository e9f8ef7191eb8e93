"""`lerax eval`."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax import registry
from lerax.errors import SettingError
from lerax.settings import Limits, Setting

from . import naming, policies, report, runtime, words
from .declared import declared, is_ours
from .policies import Subject
from .report import BadInput, Failure, Interrupted
from .signals import Signals
from .train import Debug, Quiet, Trust
from .values import KEYS, Given, Out, option, read_setting

VIDEO = "videos/last.mp4"  # of a run, by default
EPISODES = Setting("episodes", 100, "", Limits(at_least=1, at_most=2**20))
LEAST = Setting("min_return", 0.0, "", Limits())


class Missed(Failure):
    """The policy is not as good as was asked for (exit code 5)."""

    code = 5


def eval(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE",
            help="A run (its path, its name or how that begins, `latest`, `best:ENV`), or a policy's file.",
            autocompletion=words.runs_and_policies,
        ),
    ],
    episodes: Annotated[int, option(EPISODES, "Whole episodes, each cut after 10,000 steps.")] = 100,
    seed: Annotated[
        int, option(KEYS["seed"], "Seed of all randomness: the same one gives the same episodes.", "S")
    ] = 0,
    min_return: Annotated[
        float | None, option(LEAST, "Exit with 5 if the mean return is below this.", "R")
    ] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Sample actions instead of taking the most probable ones.")
    ] = False,
    env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Another environment of the same spaces.", autocompletion=words.envs
        ),
    ] = None,
    set_: Annotated[
        list[Any] | None,
        typer.Option(
            "--set",
            metavar="env.KEY=VALUE",
            help="Another setting of the environment, see `lerax list-envs ENV`; may be repeated.",
            parser=read_setting,
            autocompletion=words.set_option,
        ),
    ] = None,
    out: Out = "logs",
    trust: Trust = None,
    debug: Debug = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
    quiet: Quiet = False,
) -> int:
    """Evaluate the policy of a run; prints its returns on standard output."""
    warned = report.Warnings()
    warned.install()
    made_for = policies.find_run_or_policy("RUN", subject, trust or [], out)
    source = policies.last("RUN", made_for)
    played = _played(made_for, env, set_ or [])
    try:
        with Signals(quiet=quiet) as signals:
            if not quiet:
                report.say(f"lerax: evaluating {source.path} on {naming.written(played.env.name)}")
            signals.hold()  # compiled modules crash where an exception ends their import
            runtime.prepare("auto", warned.say)
            found = _evaluate(made_for, source, played, episodes, seed, not stochastic, signals)
    except Interrupted as stop:
        report.say(f"lerax: stopped by a signal (exit {stop.code})")
        return stop.code
    facts = {
        "policy": str(source.path),
        "env": played.env.name,
        "seed": seed,
        "deterministic": not stochastic,
        **{name: _finite(value) for name, value in found.items()},
    }
    if json:
        report.result_json(facts)
    else:
        report.result("\n".join(_lines(facts)))
        if not quiet:
            shown = naming.run_again(made_for.run or Path(subject)) + naming.trusting(made_for.trusted)
            made = made_for.run is not None and (made_for.run / VIDEO).exists()
            report.entry("next", f"lerax record-video {shown}{' --overwrite' if made else ''}")
    mean = found["mean_return"]
    if min_return is not None and not mean >= min_return:
        raise Missed(
            "--min-return", f"missed: the mean return is {mean:.6g} (wanted at least {min_return:g})"
        )
    return 0


def _played(made_for: Subject, env: str | None, settings: list[tuple[str, str, Any]]) -> Subject:
    """What is played: the environment of the run, or another one, with its settings and those given.

    Raises:
        BadInput: There is no such environment, or no such setting of it.
    """
    entry, given = made_for.env, dict(made_for.settings)
    if env is not None:
        entry = naming.find("--env", registry.ENV, env, trusted=True)
        given = given if entry == made_for.env else {}
    for table, key, value in settings:
        if table != "env":
            raise BadInput("--set", f"only settings of the environment count here (got {key}); give env.KEY")
        given[key] = Given(value, "--set", f"env.{key}")
    if is_ours("env", entry):
        naming.resolve("env", entry, declared("env", entry), given)
    return made_for._replace(env=entry, settings=given)


def _evaluate(
    made_for: Subject,
    source: policies.Source,
    played: Subject,
    episodes: int,
    seed: int,
    deterministic: bool,
    signals: Signals,
) -> dict[str, Any]:
    """Plays the episodes, and returns what they come to."""
    from jax import random as jr

    from lerax.evaluate import evaluate
    from lerax.policy.base_policy import check_policy

    own = policies.make_env("RUN", *_env_of(made_for))
    policy = policies.load(source, own, made_for, where="RUN")
    env = own if played == made_for else policies.make_env("--env", *_env_of(played))
    try:
        check_policy(policy, env)
    except SettingError as error:
        where = "--set" if played.env == made_for.env else "--env"
        raise BadInput(where, f"not of the policy's spaces (got {played.env.name}): {error.said}") from None
    signals.release()
    result = evaluate(env, policy, key=jr.key(seed), num_episodes=episodes, deterministic=deterministic)
    signals.release()
    return result.summary()._asdict()


def _env_of(subject: Subject) -> tuple[Any, ...]:
    return subject.env, subject.settings, subject.wraps


def _finite(value: Any) -> Any:
    """A value as JSON has it, which knows no NaN."""
    if isinstance(value, tuple):
        return [*map(_finite, value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(facts: dict[str, Any]) -> list[str]:
    """What was measured, for people to read."""
    number = lambda name: "not finite" if facts[name] is None else f"{facts[name]:.6g}"
    interval = facts["interval_return"]
    mean = f"mean {number('mean_return')}, std {number('std_return')}"
    if interval is not None and None not in interval:
        mean += f", 95 % interval {interval[0]:.6g} to {interval[1]:.6g}"
    how = "greedy" if facts["deterministic"] else "sampled"
    cut = f", {facts['cut']} of them cut" if facts["cut"] else ""
    return [
        f"return    {mean}, min {number('min_return')}, max {number('max_return')}",
        f"length    mean {number('mean_length')}, min {facts['min_length']}, max {facts['max_length']}",
        f"episodes  {facts['episodes']} {how}{cut}, {facts['env']}, seed {facts['seed']}",
    ]
