"""Weights & Biases."""

import atexit
import contextlib
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from lerax.errors import SettingError

from .base import AbstractLoggingBackend

MODES = ("online", "offline", "shared", "disabled")
OLD_MODES = ("run", "dryrun")  # what wandb once called online and offline
OFFLINE = ("offline", "dryrun")
INIT_SECONDS = 15.0  # to reach the server
UPLOAD_SECONDS = 6.0  # to upload what is left at the end
CLOSE_SECONDS = 7.0  # after which wandb's service is killed at the end, so that nothing waits for it
SETTINGS: dict[str, Any] = {  # nothing is printed, and nothing recorded of machine, code or process
    "console": "off",
    "silent": True,
    "symlink": False,
    "use_dot_wandb": False,
    "reinit": "create_new",
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
FAILED = ("failed", "diverged")  # phases that W&B is to show as a failure

_services: set[subprocess.Popen] = set()


@atexit.register
def _kill_services() -> None:
    """Ends what a thread that hangs has left: it would keep our standard output open."""
    for service in _services:
        service.kill()
        service.wait()


class WandbBackend(AbstractLoggingBackend):
    """Logs to Weights & Biases over environment steps, and writes `{log_dir}/{run name}/wandb/`.

    Without an API key, or a terminal, the run is kept there, offline, for `wandb sync`, unless WANDB_MODE
    says otherwise; nobody is ever asked for a key. What is not given here is taken from wandb's own
    variables: WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, WANDB_TAGS, WANDB_NOTES, WANDB_MODE. A run that
    goes on, in the same directory, goes on in W&B too.

    Args:
        project: The project; `lerax` by default.
        config: Hyperparameters to log beside the training's own.
        entity: User or team.
        group: Name of a group of runs.
        tags: Tags of the run.
        mode: `online`, `offline`, `shared` or `disabled`; by default online with an API key and a terminal,
            else offline.
        log_dir: The folder that holds the runs.
        id: The run's id in the project; by default its name with random digits, kept in its directory.
        resume: What wandb is to do about an id that is there: `allow`, `must`, `never` or `auto`. By default
            `allow` where the run goes on.

    Attributes:
        run: The `wandb.Run` while it is open, for what lerax does not log.
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
        self.id, self.resume = id, resume
        self.run: Any = None
        self.url: str | None = None
        self._folder = self.log_dir
        self._session: Any = None
        self._service: subprocess.Popen | None = None
        self._exit_code = 0

    def open(self, name: str) -> None:
        self._folder = self.log_dir / name / "wandb"
        self._folder.mkdir(parents=True, exist_ok=True)
        import wandb  # before its hooks are held back: modules of others register theirs

        asked = self.mode or os.environ.get("WANDB_MODE") or None
        with _environment(self._folder), _no_hooks():
            if asked == "disabled":
                self.run = wandb.init(mode="disabled")
                return
            self._session, self._service = _session()
            try:
                self.run = wandb.init(config=self.config, settings=self._settings(name, asked))
                self.url = self.run.url
                self.run.define_metric("step")
                self.run.define_metric("*", step_metric="step")
            except Exception as error:
                with contextlib.suppress(Exception):
                    self._leave()
                hint = "" if asked in OFFLINE else "; WANDB_MODE=offline needs neither key nor network"
                what = (str(error).splitlines() or [""])[0]
                raise ConnectionError(f"{type(error).__name__}: {what}{hint}") from error

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        # A step of wandb's own never goes back: what came with a smaller one would be dropped.
        self.run.log({**scalars, "step": step})

    def log_hparams(self, hparams: Mapping[str, Any]) -> None:
        self.run.config.update(dict(hparams), allow_val_change=True)

    def log_video(
        self, tag: str, frames: UInt8[np.ndarray, "time height width 3"], step: int, fps: float
    ) -> None:
        import wandb

        from lerax.render import write_video

        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "video.mp4"
            write_video(path, frames, fps)
            self.run.log({tag: wandb.Video(str(path), format="mp4"), "step": step})  # copies the file

    def log_phase(self, phase: str) -> None:
        self._exit_code = int(phase in FAILED)

    def close(self) -> None:
        """Ends the run: what cannot be uploaded in time stays in its directory, for `wandb sync`."""
        if self.run is None:
            return
        run, self.run = self.run, None
        killer = threading.Timer(CLOSE_SECONDS, self._kill)
        killer.daemon = True
        killer.start()
        try:
            run.finish(exit_code=self._exit_code)
        except TimeoutError:
            text = f"not all was uploaded in {UPLOAD_SECONDS:g} s; the rest: wandb sync {self._folder}/run-*"
            raise TimeoutError(text) from None
        finally:
            self._leave()
            killer.cancel()

    def _leave(self) -> None:
        """Ends wandb's service and threads, if they are ours and no other run of this process needs them."""
        if self._service is None or self._session.most_recent_active_run is not None:
            return
        import wandb

        try:
            wandb.teardown()
        finally:
            self._kill()

    def _kill(self) -> None:
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            _services.discard(self._service)

    def _mode(self, asked: str | None) -> str:
        """The mode that was asked for; else online, if there is a key.

        Raises:
            RuntimeError: `online` needs a key, and there is none.
        """
        from wandb.sdk.lib import wbauth

        if asked in OFFLINE:
            return asked
        host = self._session.settings.base_url
        if asked is None and not _is_attended():
            return self._stay_offline("terminal", "WANDB_MODE=online sends it at once")
        if wbauth.authenticate_session(host=host, source="lerax", prompt=False, update_session=False):
            return asked or "online"
        if asked is not None:
            raise RuntimeError("no API key: `wandb login` or WANDB_API_KEY sets one")
        return self._stay_offline("API key", "`wandb login` sets one")

    def _stay_offline(self, missing: str, way_out: str) -> str:
        logging.getLogger("lerax").warning(STAYS, missing, way_out, self._folder)
        return "offline"

    def _settings(self, name: str, asked: str | None) -> Any:
        """wandb's settings for the run. Its id is kept beside it, for the time when the run goes on."""
        import wandb

        kept = self._folder / "id"
        stored = kept.read_text("ascii").strip() if kept.exists() else None
        run_id = self.id or stored or f"{name[:80]}-{secrets.token_hex(4)}"
        if run_id != stored:
            kept.write_text(run_id + "\n", "ascii")
        values = {
            "project": self.project or self._session.settings.project or "lerax",
            "entity": self.entity,
            "run_group": self.group,
            "run_tags": self.tags or None,
            "run_name": name,
            "run_id": run_id,
            "resume": self.resume or ("allow" if stored else None),
            "mode": self._mode(asked),
            "root_dir": str(self._folder.parent.resolve()),
        }
        given = {key: value for key, value in values.items() if value is not None}
        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT") or INIT_SECONDS)
        return wandb.Settings(**given, **SETTINGS, init_timeout=timeout)


def _is_attended() -> bool:
    """Whether somebody sits before the terminal or notebook: a job on a server may have no network."""
    try:
        return os.isatty(sys.stdin.fileno()) or "ipykernel" in sys.modules
    except (OSError, ValueError, AttributeError):  # closed, or not a file at all
        return "ipykernel" in sys.modules


def _session() -> tuple[Any, subprocess.Popen | None]:
    """wandb's session in this process, and the process of its service, unless somebody else started that."""
    import wandb

    is_new = "WANDB_SERVICE" not in os.environ
    session = wandb.setup()
    service = getattr(getattr(session.ensure_service(), "_proc", None), "_process", None)
    if is_new and service is not None:
        _services.add(service)
    return session, service if service in _services else None


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Variables that only wandb's settings and its service are to see."""
    ours = {
        "WANDB_MODE": "offline",  # the run's own mode is decided later; until then nothing is sent
        "WANDB_SILENT": "true",
        "WANDB_CACHE_DIR": os.environ.get("WANDB_CACHE_DIR") or str(folder.resolve() / "cache"),
        "WANDB_ERROR_REPORTING": os.environ.get("WANDB_ERROR_REPORTING") or "false",
    }
    before = {key: os.environ.get(key) for key in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


@contextlib.contextmanager
def _no_hooks() -> Iterator[None]:
    """Keeps wandb from hooking into the end of the process, where it would wait for its service for ever."""
    before = atexit.register, sys.exit, sys.excepthook

    def register(function: Callable, *args: Any, **kwargs: Any) -> Callable:
        if (getattr(function, "__module__", None) or "").startswith(("wandb.", "opentelemetry.")):
            return function
        return before[0](function, *args, **kwargs)

    atexit.register = register
    try:
        yield
    finally:
        atexit.register, sys.exit, sys.excepthook = before
