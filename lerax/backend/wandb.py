"""Weights & Biases."""

import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lerax.errors import SettingError
from lerax.files import SEEDS

from .base import AbstractLoggingBackend
from .wandb_process import CLOSE_SECONDS, OFFLINE, WandbProcess

MODES = ("online", "offline", "shared", "disabled")
OLD_MODES = ("run", "dryrun")  # what wandb once called online and offline
INIT_SECONDS = 15.0  # to reach the server
UPLOAD_SECONDS = 6.0  # to upload what is left at the end
SETTINGS: dict[str, Any] = {  # nothing is printed, and nothing recorded of machine, code or process
    "console": "off",
    "symlink": False,
    "use_dot_wandb": False,
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "label_disable": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "finish_timeout": UPLOAD_SECONDS,
    "finish_timeout_raises": True,
}
STAYS = "W&B: no %s, so the run stays offline; %s; upload later: `wandb sync %s/offline-*`"
NO_KEY = "API key", "`wandb login` sets one"
NO_TERMINAL = "terminal", "WANDB_MODE=online sends it at once"
MAX_UNANSWERED = 100  # rows on their way to W&B's process, which has to take them in the end's time
SENT = "sent"  # the file that notes what W&B was given
FAILED = ("failed", "diverged")  # phases that W&B is to show as a failure


class WandbBackend(AbstractLoggingBackend):
    """Logs to Weights & Biases over environment steps, and writes `{log_dir}/{run name}/wandb/`.

    Without an API key, or a terminal, the run is kept there, offline, for `wandb sync`, unless WANDB_MODE
    says otherwise; nobody is ever asked for a key. What is not given here is taken from wandb's own
    variables: WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, WANDB_TAGS, WANDB_NOTES, WANDB_MODE. A run that
    goes on, in the same directory, goes on in W&B too. wandb has a process of its own.

    Args:
        project: The project; `lerax` by default.
        config: Hyperparameters to log beside the training's own.
        entity: User or team.
        group: Name of a group of runs; by default that of the training whose seeds the runs are.
        tags: Tags of the run.
        mode: `online`, `offline`, `shared` or `disabled`; by default online with an API key and a terminal,
            else offline.
        log_dir: The folder that holds the runs.
        id: The run's id in the project; by default its name with random digits, kept in its directory.
        resume: What wandb is to do about an id that is there: `allow`, `must`, `never` or `auto`. By default
            `allow` where the run goes on.

    Attributes:
        run: What W&B knows the run by, while it is open: `id`, `name`, `project`, `entity` and `url`.
        url: Where the run can be seen; None for one that is not online.

    Raises:
        ValueError: `mode` or WANDB_MODE is unknown.
    """

    def __init__(
        self,
        project: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: str | None = None,
        log_dir: str | Path = "logs",
        id: str | None = None,
        resume: str | None = None,
    ):
        for name, given in (("mode", mode), ("WANDB_MODE", os.environ.get("WANDB_MODE"))):
            if given and given not in MODES + OLD_MODES:
                raise SettingError(name, given, ", ".join(MODES), wrong="unknown")
        self.project, self.config = project, dict(config or {})
        self.entity, self.group, self.tags = entity, group, tuple(tags)
        self.mode, self.log_dir = mode, Path(log_dir)
        self.id, self._resume = id, resume
        self.run: SimpleNamespace | None = None
        self.url: str | None = None
        self._folder = self.log_dir
        self._process: WandbProcess | None = None
        self._exit_code = self._rows = 0

    def open(self, name: str) -> None:
        self._folder = self.log_dir / name / "wandb"
        self._folder.mkdir(parents=True, exist_ok=True)
        asked = self.mode or os.environ.get("WANDB_MODE") or None
        if asked == "disabled":
            return
        mode = asked or (None if _is_attended() else "offline")
        self._process = WandbProcess(
            WANDB_MODE=mode or "online",
            WANDB_SILENT="true",  # what it would print, it would ask the server for
            WANDB_CACHE_DIR=os.environ.get("WANDB_CACHE_DIR") or str(self._folder.resolve() / "cache"),
            WANDB_ERROR_REPORTING=os.environ.get("WANDB_ERROR_REPORTING") or "false",
        )
        try:
            sent = str(self._folder / SENT)
            opened, facts = self._process.ask("open", self._settings(name), self.config, mode, sent)
            self.run, self.url = SimpleNamespace(**facts), facts["url"]
        except ConnectionError as error:
            hint = "" if asked in OFFLINE else "; WANDB_MODE=offline needs neither key nor network"
            raise ConnectionError(f"{error}{hint}") from error
        finally:
            if self.run is None:
                self._process.close()
                self._process = None
        if asked is None and opened == "offline":
            logging.getLogger("lerax").warning(STAYS, *(NO_TERMINAL if mode else NO_KEY), self._folder)

    def resume(self, step: int) -> None:
        self._ask("resume", step)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        if self._process is not None:
            # A step of wandb's own never goes back: what came with a smaller one would be dropped.
            self._process.tell("log", {**scalars, "step": step})
            self._rows += 1
            if self._rows % MAX_UNANSWERED == 0:
                self.flush()

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._ask("log_config", hparams)

    def log_video(
        self, tag: str, frames: UInt8[np.ndarray, "time height width 3"], step: int, fps: float
    ) -> None:
        from lerax.render import write_video

        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder).resolve() / "video.mp4"
            write_video(path, frames, fps)
            self._ask("log_video", tag, str(path), step)

    def log_phase(self, phase: str) -> None:
        self._exit_code = int(phase in FAILED)

    def flush(self) -> None:
        self._ask("flush")

    def abandon(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the run: what cannot be uploaded in time stays in its directory, for `wandb sync`."""
        if self._process is None:
            return
        try:
            is_complete = self._process.ask("close", self._exit_code, seconds=CLOSE_SECONDS)
        finally:
            self._process.close()
            self._process = self.run = None
        if not is_complete:
            text = f"not all was uploaded in {UPLOAD_SECONDS:g} s; the rest: wandb sync {self._folder}/run-*"
            raise TimeoutError(text)

    def _settings(self, name: str) -> dict[str, Any]:
        """wandb's settings for the run. Its id is kept beside it, for the time when the run goes on."""
        kept = self._folder / "id"
        stored = kept.read_text("ascii").strip() if kept.exists() else None
        run_id = self.id or stored or f"{name[:80]}-{secrets.token_hex(4)}"
        if run_id != stored:
            kept.write_text(run_id + "\n", "ascii")
            (self._folder / SENT).unlink(missing_ok=True)
        training = self.log_dir.resolve().name if (self.log_dir / SEEDS).is_file() else None
        return SETTINGS | {
            "project": self.project,
            "entity": self.entity,
            "run_group": self.group or training,
            "run_tags": self.tags or None,
            "run_name": f"{training}/{name}" if training else name,
            "run_id": run_id,
            "resume": self._resume or ("allow" if stored else None),
            "root_dir": str(self._folder.parent.resolve()),
            "init_timeout": float(os.environ.get("WANDB_INIT_TIMEOUT") or INIT_SECONDS),
        }

    def _ask(self, method: str, *arguments: Any) -> None:
        if self._process is not None:
            self._process.ask(method, *arguments)


def _is_attended() -> bool:
    """Whether somebody sits before the terminal or notebook: a job on a server may have no network."""
    return os.isatty(0) or "ipykernel" in sys.modules
