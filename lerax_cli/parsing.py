"""The parser: the commands, what it refuses beside what Typer does, and what it says of words of others."""

import importlib
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer._completion_classes import FishComplete
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .report import BadInput

# Each command's module, in which its function has its name, and what it does, as its docstring says.
COMMANDS = {
    "train": ("train", "Train a policy; prints the path of the run on standard output."),
    "resume": (
        "resume",
        "Go on with a run where its newest checkpoint is; prints the path of the run on standard output.",
    ),
    "branch": (
        "branch",
        "Train a new run from a checkpoint of another, with other settings; prints the path of the new run.",
    ),
    "sweep": (
        "sweep",
        "Try settings in many trainings, side by side in as many processes as are started; prints its path.",
    ),
    "slurm": (
        "slurm",
        "Print a SLURM job script that trains, and starts again until all is complete; --submit submits it.",
    ),
    "record-video": (
        "record_video",
        "Record a video of a policy, or a picture; prints the path of the file on standard output.",
    ),
    "watch": ("watch", "Show the dashboard of a run from its files, while it trains or afterwards."),
    "eval": ("eval", "Evaluate the policy of a run; prints its returns on standard output."),
    "compare": (
        "compare",
        "Compare trainings by the scores of their seeds; prints tables on standard output.",
    ),
    "plot": ("plot", "Plot what runs have logged: a line for each training, with a band over its seeds."),
    "report": (
        "reporting",
        "Write a report on trainings: scores, curves, settings and videos in one file; prints its path.",
    ),
    "export": (
        "export",
        "Export the policy of a run as a file that acts without JAX, or its metrics; prints the file's path.",
    ),
    "runs": (
        "runs",
        "List the runs in a folder, show all that is known of one, or remove those that can go.",
    ),
    "verify": (
        "verify",
        "Check every file of a run against its own record; prints a line for each on standard output.",
    ),
    "replay": (
        "replay",
        "Find the operation that made the first number that is not finite in a run that has diverged.",
    ),
    "new": ("new", "Write the folder of an environment of your own, which trains at once; prints its path."),
    "check": (
        "check",
        "Check an environment before it is trained on; prints a line for each check on standard output.",
    ),
    "bench": ("bench", "Measure how fast a training is here, by the number of environments; prints a table."),
    "eject": (
        "eject",
        "Write a program in Python that trains as a run was trained, bit for bit; prints its path.",
    ),
    "doctor": ("doctor", "Try everything that lerax uses, and say what mends what does not work."),
    "list-backends": (
        "lists",
        "List the logging backends, whether they can be used, and where they write.",
    ),
    "list-envs": ("lists", "List the environments, or the settings of one of them."),
    "list-wrappers": ("lists", "List the wrappers that --wrap takes, or the settings of one of them."),
    "list-policies": ("lists", "List the policies that can be trained, or the settings of one of them."),
    "list-algos": (
        "lists",
        "List the algorithms, or the settings of one of them and of the policy that it trains.",
    ),
}
WORDS = "lerax.words"  # the key of a command's words in its context
GROUPS = {"train": "Train", "record-video": "Look", "runs": "Keep", "new": "Make", "doctor": "Set up"}
"""What the commands from each of these on are for."""
SHOW = "`lerax record-video RUN` shows a policy"
EVALUATE = "`lerax eval RUN` evaluates a policy; in Python: lerax.evaluate.evaluate"
COMPARE = "`lerax compare RUN RUN` compares trainings by the scores of their seeds"
EXPORT = "`lerax export RUN` writes a policy as an ONNX file"
TABLES = "`lerax export RUN --format csv|parquet|json` writes the metrics of a run as a table"
WATCH = "`lerax watch RUN` shows the dashboard of a run"
EJECT = "`lerax eject RUN` writes a program in Python that trains the same"
RESUME = "`lerax resume RUN` goes on with it"
BRANCH = "`lerax branch RUN --set KEY=VALUE` makes a new run from a checkpoint of it"
REPORT = "`lerax report RUN` writes all of it as one page"
SWEEP = "`lerax sweep ENV --try KEY=A,B` tries settings in many trainings"
PLOT = "`lerax plot RUN` draws the curves of runs"
CURVES = "`lerax train ENV --backend tensorboard` says how to see its curves; every run has a metrics.jsonl"
INSTEAD = {
    **dict.fromkeys(("play", "enjoy", "render", "show", "view", "demo", "record"), SHOW),
    **dict.fromkeys(("evaluate", "test", "score"), EVALUATE),
    **dict.fromkeys(("onnx", "convert", "deploy", "save"), EXPORT),
    **dict.fromkeys(("script", "codegen", "generate"), EJECT),
    **dict.fromkeys(("csv", "parquet", "dataframe", "metrics"), TABLES),
    **dict.fromkeys(("continue", "restore", "restart"), RESUME),
    **dict.fromkeys(("fork", "finetune", "warmstart"), BRANCH),
    **dict.fromkeys(("diff", "stats", "statistics", "rliable"), COMPARE),
    **dict.fromkeys(("curves", "chart", "graph", "figure"), PLOT),
    **dict.fromkeys(("tune", "optimize", "hpo", "search", "optuna", "grid"), SWEEP),
    **dict.fromkeys(("html", "markdown", "summary", "publish"), REPORT),
    "tensorboard": CURVES,
    **dict.fromkeys(("dashboard", "logs", "tail", "attach", "monitor"), WATCH),
    **dict.fromkeys(("run", "learn", "start", "fit"), "`lerax train ENV` trains"),
    **dict.fromkeys(
        ("ls", "ps", "prune", "clean"), "`lerax runs` lists runs, `lerax runs prune` removes some"
    ),
    **dict.fromkeys(
        ("validate", "fsck"), "`lerax verify RUN` checks a run's files, `lerax check ENV` an environment"
    ),
    **dict.fromkeys(("init", "create", "scaffold"), "`lerax new env NAME` writes an environment of your own"),
    **dict.fromkeys(("debug", "nan", "diagnose"), "`lerax replay RUN` finds why a run diverged"),
    **dict.fromkeys(("benchmark", "speed", "profile"), "`lerax bench ENV` says how fast a training is"),
    **dict.fromkeys(
        ("sbatch", "srun", "cluster", "submit"),
        "`lerax slurm train ENV` prints a job script, --submit submits it",
    ),
    "version": "`lerax --version` says it",
    **dict.fromkeys(("envs", "list"), "`lerax list-envs`, `list-algos` and `list-backends` list all"),
}
STEPS = "--steps N"
ENV = "the environment has no option: `lerax {command} CartPole-v1`"
VIDEO = "--video-interval N, or `lerax record-video RUN` afterwards"
OPTIONS = {
    **dict.fromkeys(("--timesteps", "--total-timesteps", "--n-timesteps", "--num-timesteps"), STEPS),
    **dict.fromkeys(("--total-steps", "--max-steps", "--frames"), STEPS),
    **dict.fromkeys(("--env", "--env-id", "--env-name", "--environment", "--task"), ENV),
    **dict.fromkeys(("--render", "--render-mode", "--video", "--capture-video", "--record"), VIDEO),
    **dict.fromkeys(("--verbose", "-v"), "--progress full shows most; --debug adds tracebacks"),
    **dict.fromkeys(("--load", "--restore", "--continue", "--checkpoint"), "--resume RUN"),
    **dict.fromkeys(("--log-dir", "--logdir", "--log-folder"), "--out DIR"),
    **dict.fromkeys(("--run-name", "--exp-name"), "--name NAME"),
    **dict.fromkeys(("--tensorboard", "--tensorboard-log"), "--backend tensorboard"),
    **dict.fromkeys(("--wandb", "--track"), "--backend wandb"),
    **dict.fromkeys(("--gpu", "--cuda"), "--device gpu"),
    **dict.fromkeys(("--wrapper", "--wrappers", "--env-wrapper"), "--wrap NAME, see `lerax list-wrappers`"),
    **dict.fromkeys(("--frame-stack", "--frames-stack"), "--wrap frame_stack=N"),
    "--lr": "--set learning_rate=VALUE",
    "--n-envs": "--num-envs N",
}
OF_ALL = ("--steps", "--out", "--name", "--backend", "--set")  # that train and branch have
SAME = "a branch has that of its run; `lerax train` begins another"
BRANCHING = {
    **{name: hint for name, hint in OPTIONS.items() if hint.split()[0] in OF_ALL},
    **dict.fromkeys(("--env", "--algo", "--policy", "--wrap", "--num-envs", "--config", "--preset"), SAME),
    **dict.fromkeys(("--step", "--from", "--checkpoint"), "--at STEP"),
}
RECORDING = {
    **dict.fromkeys(("--render", "--render-mode", "--video", "--record"), "it makes a video, see -o"),
    **dict.fromkeys(("--model", "--checkpoint", "--load", "--run"), "--policy FILE, or a run instead of ENV"),
    "--algo": "a policy's file says what it is: --policy FILE",
}


def without(words: Sequence[str], options: Sequence[str], flags: Sequence[str] = ()) -> list[str]:
    """A command's words without some options and what stands behind them, and without some flags."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        if word in options:
            next(left, None)
        elif word not in flags and not word.startswith(tuple(f"{option}=" for option in options)):
            kept.append(word)
    return kept


class Command(TyperCommand):
    """A command that also refuses an option that is given two values, and knows the options of others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # which is how a shell asks for completions
            self._check(ctx, list(args))
        ctx.meta[WORDS] = list(args)  # as they were typed, for a command that writes them into a script
        return super().parse_args(ctx, args)

    def _check(self, ctx: Any, args: list[str]) -> None:
        parser = self.make_parser(ctx)
        options = {**parser._long_opt, **parser._short_opt}
        for option in options.values():
            if option.action == "store":
                option.action = "append"
        try:
            given, _, params = parser.parse_args(args=args)
        except Exception as error:
            name = getattr(error, "option_name", None)
            if type(error).__name__ == "NoSuchOption" and name is not None:
                self._instead(name)
            raise
        for param in params:
            values = given.get(param.name)
            if isinstance(values, list) and not param.multiple and len(set(values)) > 1:
                both = " and ".join(map(repr, dict.fromkeys(values)))
                raise BadInput(param.opts[0], f"given twice (got {both}); give one of them")

    def _instead(self, name: str) -> None:
        """Says what there is instead of an option, if that is known."""
        of = {"train": OPTIONS, "sweep": OPTIONS, "branch": BRANCHING, "record-video": OPTIONS | RECORDING}
        known = of.get(self.name or "", {})
        if name in known:
            refuse("option", name, known[name].format(command=self.name))
        from .declared import TABLES, ours, setting_name  # not for the list of commands

        setting = name.strip("-").replace("-", "_")
        if self.name in ("train", "branch", "sweep"):
            for table in TABLES:
                if any(setting in rows for rows in ours()[table].values()):
                    refuse("option", name, f"--set {setting_name(table, setting)}=VALUE")


class Group(TyperGroup):
    """The commands, each imported when it is asked for, and what there is instead of those of others."""

    def __init__(self, **attributes: Any):
        super().__init__(**attributes)
        for name, (_, about) in COMMANDS.items():  # as the list of commands shows them
            self.add_command(TyperCommand(name, help=about))

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, COMMANDS))
        sections: dict[str, list[tuple[str, str]]] = {}
        section: list[tuple[str, str]] = []
        for name in COMMANDS:
            if name in GROUPS:
                section = sections[GROUPS[name]] = []
            about = self.commands[name].get_short_help_str(formatter.width - width - 6)
            section.append((name.ljust(width), about))
        for head, rows in sections.items():
            with formatter.section(head):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        first, *others = args
        if first.lower() == "help":
            about = others[0] + " " if others and others[0] in COMMANDS else ""
            refuse("command", first, f"`lerax {about}--help` shows it")
        if first not in COMMANDS and first.lower() in INSTEAD:
            refuse("command", first, INSTEAD[first.lower()])
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and load(first), rest


def load(name: str) -> Any:
    """A command with its options, and those inside it; its module is imported."""
    module = importlib.import_module(f"{__package__}.{COMMANDS[name][0]}")
    function, inside = getattr(module, name.replace("-", "_")), getattr(module, "SUBCOMMANDS", {})
    alone = typer.Typer(name=name, add_completion=False, rich_markup_mode=None)
    if inside:
        alone.callback(invoke_without_command=True)(function)
    for own, command in (inside or {name: function}).items():
        alone.command(own, cls=Command)(command)
    return get_command(alone)


def refuse(kind: str, name: str, instead: str) -> NoReturn:
    """Says what there is instead of a word that there is not."""
    raise BadInput(name, f"no such {kind}; {instead}")


class Answer(FishComplete):
    """Words for a shell, one in each line, a tab and what it means behind it.

    Typer's own breaks what is longer than a line of the terminal, and the import of rich, which it does that
    with, takes as long as all the rest.
    """

    def format_completion(self, item: Any) -> str:
        meaning = " ".join((item.help or "").split())
        return f"{item.value}\t{meaning}" if meaning else item.value
