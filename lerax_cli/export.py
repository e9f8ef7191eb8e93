"""`lerax export`."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.run import read_facts
from lerax.settings import Limits, Setting

from . import policies, report, runtime, words
from .policies import Source, Subject
from .report import BadInput, Failure, Interrupted
from .signals import Signals
from .train import Debug, Json, Quiet, Trust
from .values import KEYS, Out, option

FORMAT = Setting("format", "onnx", "Format of the file.", Limits(choices=("onnx",)))
NEEDED = ("onnx", "onnxruntime")


def export(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE",
            help="A run (its path, its name or how that begins, `latest`, `best:ENV`), or a policy's file.",
            autocompletion=words.runs_and_policies,
        ),
    ],
    format: Annotated[str, option(FORMAT, "Format of the file.")] = "onnx",
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|best|last|NAME",
            help="Another policy of the run: its best, or a named one; its last.",
            autocompletion=words.policies,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.onnx",
            help="The file; policy.onnx in the run's directory, or beside the policy's file with its name.",
        ),
    ] = None,
    seed: Annotated[int, option(KEYS["seed"], "Seed of the episodes that it is tried in.", "S")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists already.")
    ] = False,
    out: Out = "logs",
    trust: Trust = None,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Export the policy of a run as a file that acts without JAX; prints its path on standard output."""
    warned = report.Warnings()
    warned.install()
    made_for = policies.find_run_or_policy("RUN", subject, trust or [], out)
    if policy is not None and made_for.run is None:
        raise BadInput("--policy", f"of a run, and {subject!r} is a policy's file")
    source = policies.last("RUN", made_for)
    if policy is not None:
        (source,) = policies.find_sources([policy], made_for.run, grid=False)
    if source.path is None:
        raise BadInput("--policy", f"nothing that could be exported (got {policy!r})")
    path = _place(output, made_for.run, source.path, overwrite)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise Failure("lerax export", f"{' and '.join(missing)} missing; pip install 'lerax[onnx]'")
    try:
        with Signals(quiet=quiet) as signals:
            if not quiet:
                report.say(f"lerax: exporting {source.path}")
            signals.hold()  # compiled modules crash where an exception ends their import
            runtime.prepare("auto", warned.say)
            found = _export(path, made_for, source, seed, signals)
    except Interrupted as stop:
        report.say(f"lerax: stopped by a signal (exit {stop.code}); no file was written")
        return stop.code
    if json:
        report.result_json({"path": str(path), **found})
        return 0
    if not quiet:
        _summarize(path, found)
    report.result(str(path))
    return 0


def _place(text: str | None, run: Path | None, policy: Path, overwrite: bool) -> Path:
    """Where the file goes, if it can go there, as far as names tell."""
    path = Path(text) if text is not None else (run / "policy.onnx" if run else policy.with_suffix(".onnx"))
    if path.suffix != ".onnx" or "://" in str(text) or "\0" in str(text):
        raise BadInput("-o", f"not the name of a file that ends in .onnx (got {text!r})")
    if os.path.isdir(path):
        raise BadInput("-o", f"a folder (got {str(path)!r}); give a file")
    if os.path.lexists(path) and not overwrite:
        raise BadInput("-o", f"it exists already (got {str(path)!r}); replace it with --overwrite")
    return path


def _export(path: Path, made_for: Subject, source: Source, seed: int, signals: Signals) -> dict[str, Any]:
    """Writes the file, and returns what is to be said of it."""
    from jax import random as jr

    from lerax import export as library
    from lerax.errors import SettingError

    env = policies.make_env("RUN", made_for.env, made_for.settings, made_for.wraps)
    policy = policies.load(source, env, made_for, where="RUN")
    facts = _facts(made_for, source)
    signals.release()
    try:
        found = library.export(path, policy, env, key=jr.key(seed), metadata=facts)
    except library.ExportError as error:
        raise Failure(
            str(source.path), f"what was exported acts otherwise: {error}; no file was written"
        ) from None
    except SettingError as error:
        raise Failure(str(source.path), f"cannot be exported: {error.reason}") from None
    except OSError as error:
        raise Failure("-o", f"{path} cannot be written ({error.strerror})") from None
    return {"policy": str(source.path), **facts, **found._asdict()}


def _facts(made_for: Subject, source: Source) -> dict[str, Any]:
    """What the file says of its policy's training."""
    from lerax import checkpoint

    assert source.path is not None
    about = checkpoint.read_metadata(source.path)
    run: dict[str, Any] = {}
    if made_for.run is not None and source.path.resolve().parent == made_for.run.resolve():
        try:
            run = read_facts(made_for.run)
        except (OSError, ValueError):
            run = {}
    last = source.path.name == policies.LAST
    evaluation = run.get("evaluation") if last else None
    score = evaluation.get("mean_return") if isinstance(evaluation, dict) else about.get("return")
    steps = about.get("steps", run.get("steps") if last else None)
    facts = {
        "env": made_for.env.name,
        "policy_class": about.get("policy"),
        "algorithm": run.get("algo"),
        "steps": steps,
        "score": score,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _summarize(path: Path, found: dict[str, Any]) -> None:
    signature = lambda values: ", ".join(f"{name} {form}" for name, form in values.items())
    report.entry("takes", signature(found["inputs"]))
    report.entry("gives", signature(found["outputs"]))
    ties = f", {found['ties']} ties" if found["ties"] else ""
    report.entry(
        "checked",
        f"against the policy on {found['observations']:,} observations: at most {found['difference']:.1g} "
        f"apart{ties}",
    )
    given = ", ".join(f'"{name}": {name}' for name in found["inputs"])
    report.entry(
        "next",
        f'onnxruntime.InferenceSession("{path}").run(["action"], {{{given}}})[0]  # in Python, [batch, ...]',
    )
