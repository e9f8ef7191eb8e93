"""`lerax verify`."""

import functools
from typing import Annotated, Any

import typer

from lerax.runs import LIVES
from lerax.settings import Limits, Setting
from lerax.verify import Checked, check

from . import continued, naming, report, runtime
from .report import BadInput
from .runs import RunName
from .signals import Signals
from .train import Debug, Trust
from .values import Out, option, read_option

ITERATIONS = Setting("replay", 1, "", Limits(at_least=1, at_most=2**31 - 1))
STEP = Setting("from", 0, "", Limits(at_least=0, at_most=2**63 - 1))

Json = Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")]


def verify(
    run: RunName,
    replay: Annotated[
        int | None, option(ITERATIONS, "Train N iterations again in memory, and compare them with the run's.")
    ] = None,
    from_: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="STEP",
            help="With --replay: begin with the checkpoint of this step; the newest but one.",
            parser=functools.partial(read_option, "--from", STEP),
        ),
    ] = None,
    trust: Trust = None,
    out: Out = "logs",
    debug: Debug = False,
    json: Json = False,
) -> int:
    """Check every file of a run against its own record; prints a line for each on standard output."""
    if from_ is not None and replay is None:
        raise BadInput("--from", "is where --replay begins; give --replay N, too")
    found = naming.find_run("RUN", run, out)
    checked = []
    for one in check(found):
        checked.append(one)
        if not json:
            _tell(one)
    if replay is not None:
        checked.append(_repeat(continued.read(str(found.path), out, "RUN"), replay, from_, trust or []))
        if not json:
            _tell(checked[-1])
    wrong = [one.name for one in checked if one.wrong]
    if json:
        report.result_json(
            {"run": str(found.path), "status": found.status, "ok": not wrong, "files": _rows(checked)}
        )
    lives = " (it lives)" if found.status == LIVES else ""
    if wrong:
        report.say(
            f"lerax: error: {found.path}{lives}: {len(wrong)} of {len(checked)} wrong: {', '.join(wrong)}"
        )
    elif not json:
        report.say(f"lerax: {found.path}{lives}: all {len(checked)} are right")
    return 1 if wrong else 0


def _tell(one: Checked) -> None:
    report.result(f"{'wrong' if one.wrong else 'ok':<6} {one.name}  {one.wrong or one.said}")


def _rows(checked: list[Checked]) -> list[dict[str, Any]]:
    return [one._asdict() | {"ok": not one.wrong} for one in checked]


def _repeat(run: continued.Continued, iterations: int, step: int | None, trust: list[str]) -> Checked:
    """What came of training some iterations again."""
    warned = report.Warnings()
    warned.install()
    plan = continued.plan_of(run, trust, warned.say)
    with Signals(quiet=True) as signals:
        signals.hold()
        device = runtime.prepare(continued.device_of(run), warned.say, devices=plan.devices)
        from .again import Again  # it imports JAX

        signals.release()
        repeated = Again(run, plan, signals).repeat(
            iterations, step, runtime.circumstances(device, plan.layout)
        )
    return Checked("replay", repeated.said, repeated.wrong)
