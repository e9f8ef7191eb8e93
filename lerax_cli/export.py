"""`lerax export`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from lerax.files import EXPORTED, ONNX
from lerax.run import read_facts
from lerax.settings import Limits, Setting

from . import policies, report, runtime, tables, words
from .policies import Source, Subject
from .report import BadInput, Failure, Interrupted
from .signals import Signals
from .train import Debug, Json, Quiet, Trust
from .values import KEYS, Out, Overwrite, check_free, option

FORMAT = Setting("format", "onnx", "Format of the file.", Limits(choices=("onnx", *tables.READ)))
NEEDED = ("onnx", "onnxruntime")


def export(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE",
            help="A run (its path, its name or how that begins, `latest`, `best:ENV`), or a policy's file; "
            "of metrics also a training with several seeds.",
            autocompletion=words.exportable,
        ),
    ],
    format: Annotated[
        str,
        option(FORMAT, "Format of the file: onnx for the policy, the others for the metrics as a table."),
    ] = "onnx",
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
            metavar="FILE",
            help="The file; policy.onnx or exported.csv and so on in the run's directory, or beside the "
            "policy's file with its name.",
        ),
    ] = None,
    seed: Annotated[
        int | None, option(KEYS["seed"], "Seed of the episodes that a policy is tried in; 0.", "S")
    ] = None,
    overwrite: Overwrite = False,
    out: Out = "logs",
    trust: Trust = None,
    debug: Debug = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Export the policy of a run as a file that acts without JAX, or its metrics; prints the file's path."""
    warned = report.Warnings()
    warned.install()
    if format != "onnx":
        _refuse_of_policies(format, policy=policy, seed=seed, trust=trust)
        folder, runs = tables.find(subject, out)
        path = _place(output, folder / f"{EXPORTED}.{format}", overwrite)
        return tables.export(path, runs, format, warned, json=json, quiet=quiet)
    made_for = policies.find_run_or_policy("RUN", subject, trust or [], out)
    if policy is not None and made_for.run is None:
        raise BadInput("--policy", f"of a run, and {subject!r} is a policy's file")
    source = policies.last("RUN", made_for)
    if policy is not None:
        (source,) = policies.find_sources([policy], made_for.run, grid=False)
    if source.path is None:
        raise BadInput("--policy", f"nothing that could be exported (got {policy!r})")
    own = made_for.run / ONNX if made_for.run else source.path.with_suffix(".onnx")
    path = _place(output, own, overwrite)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise Failure("lerax export", f"{' and '.join(missing)} missing; pip install 'lerax[onnx]'")
    try:
        with Signals(quiet=quiet) as signals:
            if not quiet:
                report.say(f"lerax: exporting {source.path}")
            signals.hold()  # compiled modules crash where an exception ends their import
            runtime.prepare("auto", warned.say)
            found = _export(path, made_for, source, seed or 0, signals)
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


def _refuse_of_policies(format: str, **given: Any) -> None:
    """Refuses options that a table has no use for."""
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"--{name}", f"is of policies, and --format {format} writes metrics; leave it out")


def _place(text: str | None, usual: Path, overwrite: bool) -> Path:
    """Where the file goes, if it can go there, as far as names tell; `usual` where nobody says."""
    path = usual if text is None else Path(text)
    if path.suffix != usual.suffix or "://" in str(text) or "\0" in str(text):
        raise BadInput("-o", f"not the name of a file that ends in {usual.suffix} (got {text!r})")
    check_free(path, overwrite)
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
