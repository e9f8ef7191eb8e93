"""The parser: what it refuses beside what Typer does, and what it says of words that others have."""

from typing import Any, NoReturn

from typer.core import TyperCommand, TyperGroup

from .declared import ours, setting_name
from .report import BadInput

SHOW = "`lerax record-video RUN` shows a policy"
EVALUATE = "every run ends with an evaluation, see its run.json; in Python: lerax.evaluate.evaluate"
REPEAT = "a run cannot be continued; `lerax train --config RUN/config.toml` repeats it"
CURVES = "`lerax train ENV --backend tensorboard` says how to see its curves; every run has a metrics.jsonl"
COMMANDS = {
    **dict.fromkeys(("play", "enjoy", "watch", "render", "show", "view", "demo", "record"), SHOW),
    **dict.fromkeys(("eval", "evaluate", "test", "score"), EVALUATE),
    **dict.fromkeys(("resume", "continue", "restore"), REPEAT),
    **dict.fromkeys(("plot", "curves", "tensorboard", "dashboard", "logs"), CURVES),
    **dict.fromkeys(("run", "learn", "start", "fit"), "`lerax train ENV` trains"),
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
    **dict.fromkeys(("--resume", "--load", "--restore"), REPEAT),
    **dict.fromkeys(("--log-dir", "--logdir", "--log-folder"), "--out DIR"),
    **dict.fromkeys(("--run-name", "--exp-name"), "--name NAME"),
    **dict.fromkeys(("--tensorboard", "--tensorboard-log"), "--backend tensorboard"),
    **dict.fromkeys(("--wandb", "--track"), "--backend wandb"),
    **dict.fromkeys(("--gpu", "--cuda"), "--device gpu"),
    "--lr": "--set learning_rate=VALUE",
    "--n-envs": "--num-envs N",
}
RECORDING = {
    **dict.fromkeys(("--render", "--render-mode", "--video", "--record"), "it makes a video, see -o"),
    **dict.fromkeys(("--model", "--checkpoint", "--load", "--run"), "--policy FILE, or a run instead of ENV"),
    "--algo": "a policy's file says what it is: --policy FILE",
}


class Command(TyperCommand):
    """A command that also refuses an option that is given two values, and knows the options of others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # which is how a shell asks for completions
            self._check(ctx, list(args))
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
        known = {"train": OPTIONS, "record-video": OPTIONS | RECORDING}.get(self.name or "", {})
        if name in known:
            refuse("option", name, known[name].format(command=self.name))
        setting = name.strip("-").replace("-", "_")
        if self.name == "train":
            for table, entries in ours().items():
                if any(setting in rows for rows in entries.values()):
                    refuse("option", name, f"--set {setting_name(table, setting)}=VALUE")


class Group(TyperGroup):
    """The commands, and what there is instead of those that other programs have."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0].lower() == "help":
            about = args[1] + " " if args[1:] and args[1] in self.commands else ""
            refuse("command", args[0], f"`lerax {about}--help` shows it")
        if args and args[0] not in self.commands and args[0].lower() in COMMANDS:
            refuse("command", args[0], COMMANDS[args[0].lower()])
        return super().resolve_command(ctx, args)


def refuse(kind: str, name: str, instead: str) -> NoReturn:
    """Says what there is instead of a word that there is not."""
    raise BadInput(name, f"no such {kind}; {instead}")
