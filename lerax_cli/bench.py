"""`lerax bench`."""

import contextlib
import resource
import sys
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lerax.errors import told
from lerax.settings import Limits, Setting

from . import naming, options, report, runtime
from .declared import setting_name
from .report import BadInput, Failure, Interrupted
from .signals import Signals
from .train import Algo, Config, Debug, Device, Env, EnvPackage, Policy, Preset, Quiet, Set, Wrap
from .values import Given, as_text, convert, option, read_value

if TYPE_CHECKING:
    from lerax.bench import Benchmark, Speed

    from .parts import Parts

NUM_ENVS = Setting("num_envs", 1, "", Limits(at_least=1, at_most=2**20))
SECONDS = Setting("seconds", 60.0, "", Limits(above=0, at_most=86_400))
STEPS = 2**31 - 1  # more than an iteration has, whatever its number of environments
TIMES = (1, 4, 16, 64)  # the algorithm's own number of environments
MOST = 16  # numbers of environments
MIB = 2**20


def read_numbers(text: str) -> list[int]:
    """Numbers of environments from the text of an option, each once, in rising order."""
    numbers = {convert("--num-envs", NUM_ENVS, read_value(part)) for part in text.split(",")}
    if len(numbers) > MOST:
        raise BadInput("--num-envs", f"more than {MOST} (got {len(numbers)}); name fewer")
    return sorted(numbers)


def bench(
    env: Env = None,
    env_package: EnvPackage = None,
    algo: Algo = None,
    policy: Policy = None,
    preset: Preset = None,
    config: Config = None,
    set_: Set = None,
    wrap: Wrap = None,
    num_envs: Annotated[
        Any,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of environments to measure; 1, 4, 16 and 64 times the algorithm's own.",
            parser=read_numbers,
        ),
    ] = None,
    seconds: Annotated[
        float, option(SECONDS, "What it takes in all, about; what there is no time for is left out.")
    ] = 60.0,
    device: Device = "auto",
    debug: Debug = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
    quiet: Quiet = False,
) -> int:
    """Measure how fast a training is here, by the number of environments; prints a table."""
    warned = report.Warnings()
    warned.install()
    named = naming.of_package(env, env_package)
    plan = options.plan(
        named,
        algo=algo,
        policy=policy,
        wrap=wrap,
        steps=STEPS,
        seed=0,
        backends=["none"],
        preset=preset,
        config=config,
        settings=set_ or [],
        num_envs=num_envs and num_envs[0],
        nan=None,
        warn=warned.say,
    )
    say = (lambda line: None) if quiet else (lambda line: report.say(f"lerax: {line}"))
    try:
        with Signals(quiet=quiet) as signals, contextlib.redirect_stdout(sys.stderr):
            signals.hold()  # compiled modules crash where an exception ends their import
            found = runtime.prepare(device, warned.say, keep=False)
            from .parts import build

            parts = build(plan)
            signals.phase = "compiling"
            signals.release()  # nothing is to be saved
            measured = _measure(parts, num_envs, seconds, signals, say)
    except Interrupted as stop:
        report.say(f"lerax: stopped by a signal (exit {stop.code})")
        return stop.code
    if json:
        report.result_json(_facts(parts, found, measured))
        return 0
    report.table([HEAD, *map(_cells, measured.speeds)], ("COMPILE", "MEMORY"))
    report.result(f"recommended: {_why(measured)}")
    if not quiet:
        names = {"--env-package": env_package, "--algo": algo, "--policy": policy, "--preset": preset}
        given = [naming.written(env)] if env is not None else []
        given += [f"{name} {quote(value)}" for name, value in (names | {"--config": config}).items() if value]
        given += [f"--set {quote(f'{setting_name(*key)}={as_text(value)}')}" for *key, value in set_ or []]
        given += [f"--wrap {quote(_wrapped(*one))}" for one in wrap or []]
        _notes(measured, given)
    return 0


def _measure(
    parts: "Parts", numbers: list[int] | None, seconds: float, signals: Signals, say: Any
) -> "Benchmark":
    """Measures the training of a plan.

    Raises:
        BadInput: A number of environments that was asked for does not fit.
        Failure: The training cannot be made or run, or not even the smallest number fits into memory.
    """
    from lerax.backend import MemoryBackend
    from lerax.bench import measure, with_num_envs
    from lerax.callback import LoggingCallback
    from lerax.hosted import HostedEnvError

    from .control import TimeLimit, watching

    algorithm = parts.algorithm
    for number in numbers or ():
        given = {"num_envs": Given(number, "--num-envs", "num_envs")}
        naming.make("--num-envs", lambda n=number: with_num_envs(algorithm, n), {}, given)
    if numbers is None:
        numbers = [number for times in TIMES if _fits(algorithm, number := times * algorithm.num_envs)]
    hooks = [LoggingCallback(MemoryBackend()), *watching(parts.plan.nan, signals, TimeLimit())]
    try:
        policy = parts.first_policy()
        return measure(algorithm, parts.env, policy, numbers, seconds=seconds, callback=hooks, tell=say)
    except HostedEnvError:
        raise
    except Exception as error:  # others' code may raise what it likes
        raise Failure("bench", " ".join(told(error).split())[:500]) from error


def _fits(algorithm: Any, number: int) -> bool:
    """Whether an algorithm can have so many environments."""
    from lerax.bench import with_num_envs

    try:
        with_num_envs(algorithm, number)
    except ValueError:
        return False
    return True


HEAD = ("ENVS", "STEPS/S", "COMPILE", "MEMORY", "SIMULATION", "POLICY", "UPDATE", "REST")


def _cells(speed: "Speed") -> tuple[str, ...]:
    shares = (f"{100 * share:.0f} %" for share in speed.shares)
    memory = f"{speed.program_bytes / MIB:,.1f} MiB"
    rate = f"{speed.steps_per_second:,.0f}"
    return f"{speed.num_envs:,}", rate, f"{speed.compile_seconds:.1f} s", memory, *shares


def _why(measured: "Benchmark") -> str:
    """The recommended number of environments, and the reason."""
    chosen, best = measured.recommended, measured.best
    envs = f"{chosen.num_envs:,} environment{'s' * (chosen.num_envs != 1)}"
    largest = measured.speeds[-1].num_envs
    if len(measured.speeds) == 1:
        return f"{envs}; nothing else was measured"
    if chosen is best:
        more = "" if best.num_envs < largest else ", and the largest number that was measured"
        return f"{envs}, the fastest{more}"
    part = 100 * chosen.steps_per_second / best.steps_per_second
    return f"{envs}, {part:.0f} % of the best speed, which is that of {best.num_envs:,}"


def _wrapped(name: str, value: Any) -> str:
    """A wrapper as `--wrap` takes it."""
    return name if value == {} else f"{name}={as_text(value)}"


def _notes(measured: "Benchmark", given: list[str]) -> None:
    """What the figures are, what they do not say, and what one would do next, with the options given."""
    from lerax.bench import ROUNDS

    rounds = min(speed.rounds for speed in measured.speeds)
    spread = max((speed.fastest - speed.slowest) / speed.steps_per_second for speed in measured.speeds)
    times = f"medians of {rounds} times, single ones {100 * spread:.0f} % apart at the most"
    few = f"measured only {'once' if rounds == 1 else 'twice'} for lack of time: --seconds N for more"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.entry("speed", times if rounds >= ROUNDS[0] else few)
    report.entry("compile", "the training's program, without the cache that the next start has")
    report.entry("memory", f"what that program holds; this process held {peak:,.0f} MiB at the most")
    for number, why in measured.left_out.items():
        report.entry("left out", f"{number:,} environments: {why}")
    report.entry("learning", "this is about speed: more environments also change what is learned")
    line = " ".join(["lerax train", *given, f"--num-envs {measured.recommended.num_envs}"])
    report.entry("next", line)


def _facts(parts: "Parts", device: Any, measured: "Benchmark") -> dict[str, Any]:
    """All of it as `--json` prints it."""
    rows = [speed._asdict() | {"shares": speed.shares._asdict()} for speed in measured.speeds]
    return {
        "env": parts.plan.env.name,
        "algo": parts.plan.algorithm.name,
        "device": str(device),
        "recommended": measured.recommended.num_envs,
        "speeds": rows,
        "left_out": {str(number): why for number, why in measured.left_out.items()},
        "process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
