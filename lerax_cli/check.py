"""`lerax check`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lerax import registry
from lerax.settings import Limits, Setting

from . import naming, policies, report, runtime, words
from .declared import declared, is_ours
from .report import BadInput, Interrupted
from .signals import Signals
from .train import Debug
from .values import Given, option, read_setting

if TYPE_CHECKING:
    from lerax.check import Finding

STEPS = Setting("steps", 1000, "", Limits(at_least=1, at_most=10**6))


def check(
    env: Annotated[
        str,
        typer.Argument(
            metavar="ENV",
            help="Environment, see `lerax list-envs`, or a class of your own: FILE.py:CLASS or MODULE:CLASS.",
            autocompletion=words.envs,
            show_default=False,
        ),
    ],
    set_: Annotated[
        list[Any] | None,
        typer.Option(
            "--set",
            metavar="env.KEY=VALUE",
            help="A setting of the environment, see `lerax list-envs ENV`; may be repeated.",
            parser=read_setting,
            autocompletion=words.set_option,
        ),
    ] = None,
    steps: Annotated[int, option(STEPS, "Random steps in each of eight environments.", "N")] = 1000,
    debug: Debug = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Check an environment before it is trained on; prints a line for each check on standard output."""
    warned = report.Warnings()
    warned.install()
    entry, given = naming.find("ENV", registry.ENV, naming.no_run("ENV", env), trusted=True), {}
    for table, key, value in set_ or []:
        if table != "env":
            raise BadInput("--set", f"only settings of the environment count here (got {key}); give env.KEY")
        given[key] = Given(value, "--set", f"env.{key}")
    if is_ours("env", entry):
        naming.resolve("env", entry, declared("env", entry), given)
    try:
        with Signals(quiet=True) as signals:
            signals.hold()  # compiled modules crash where an exception ends their import
            runtime.prepare("auto", warned.say)
            from lerax.check import check_env

            made = policies.make_env("ENV", entry, given)
            signals.release()
            try:
                found = check_env(made, num_steps=steps)
            except TypeError as error:  # of what is no environment
                raise BadInput("ENV", str(error)) from error
    except Interrupted as stop:
        report.say(f"lerax: stopped by a signal (exit {stop.code})")
        return stop.code
    return _tell(naming.written(entry.name), found, json)


def _tell(env: str, found: "list[Finding]", json: bool) -> int:
    """Says what was found; returns the exit code."""
    wrong = [one.name for one in found if not one.ok]
    if json:
        rows = [one._asdict() for one in found]
        report.result_json({"env": env, "ok": not wrong, "checks": rows})
    else:
        report.table([("CHECK", "OK", "WHAT IT GIVES", "WHAT MENDS IT"), *map(_cells, found)])
    if wrong:
        report.say(f"lerax: error: {env}: {len(wrong)} of {len(found)} checks wrong: {', '.join(wrong)}")
    elif not json:
        report.say(f"lerax: {env}: all {len(found)} are right; `lerax train {env}` trains on it")
    return 1 if wrong else 0


def _cells(one: "Finding") -> tuple[str, ...]:
    mend = "" if one.ok else f"wanted: {one.wanted}; {one.hint}"
    return one.name, "yes" if one.ok else "no", one.got, mend
