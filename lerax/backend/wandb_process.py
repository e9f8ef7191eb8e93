"""The process that wandb runs in: nothing of it reaches the one that trains, or can hold that up."""

import contextlib
import dataclasses
import enum
import json
import multiprocessing
import os
import queue
import signal
import subprocess
import threading
import time
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from lerax.processes import kill_with_children, python

from .wandb_sent import Sent

PROGRAM = "from lerax.backend.wandb_process import main; main()"
OFFLINE = ("offline", "dryrun")
CLOSE_SECONDS = 7.0  # for the end, after which the process is killed, and wandb's service with it
PARENT_SECONDS = 1.0  # after which it is looked whether the process that trains is there
LARGEST_ARRAY = 32  # values, of those that a config shows one by one
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the training's, which may have more to log


class WandbProcess:
    """The process, as seen from the one that trains, whose end ends it.

    Args:
        variables: What its environment has beside this process's own.

    Raises:
        ModuleNotFoundError: wandb is not installed.
    """

    def __init__(self, **variables: str):
        if find_spec("wandb") is None:
            raise ModuleNotFoundError("No module named 'wandb'; pip install wandb")
        command, environment = python("-c", PROGRAM)
        environment.pop("WANDB_SERVICE", None)  # of a run that the user has begun in this process
        environment |= variables
        self._line, theirs = multiprocessing.Pipe()
        nothing = subprocess.DEVNULL
        with theirs:  # in a session of its own: an interrupt from the keyboard is not for it
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=theirs.fileno(),
                stdout=nothing,
                stderr=nothing,
                start_new_session=True,
            )

    def tell(self, method: str, *arguments: Any) -> None:
        """Has a method of `Run` called."""
        with contextlib.suppress(OSError):  # it has ended: the next answer will not come
            self._line.send_bytes(json.dumps([method, *arguments], default=_plain).encode())

    def ask(self, method: str, *arguments: Any, seconds: float | None = None) -> Any:
        """Has a method of `Run` called, and waits for its result.

        Raises:
            ConnectionError: It failed, or one called since the last answer did, or the process has ended.
            TimeoutError: The answer has not come within `seconds`.
        """
        self.tell(method, *arguments)
        try:
            if not self._line.poll(seconds):
                raise TimeoutError(f"W&B has not answered within {seconds:g} s")
            result, text, number = self._line.recv()
        except (EOFError, ConnectionError):
            text = f"W&B's process has ended (exit status {self._process.wait()})"
            result = number = None
        if text is not None:
            error = ConnectionError(text)
            error.errno = number
            raise error
        return result

    def kill(self) -> None:
        """Ends it at once; from any thread."""
        if self._process.poll() is None:
            kill_with_children(self._process.pid)

    def close(self) -> None:
        """Ends it at once, and waits for that."""
        self.kill()
        self._process.wait()
        self._line.close()


class Run:
    """What is done in the process. Each method but `log` is answered."""

    def open(self, settings: dict[str, Any], config: dict[str, Any], mode: str | None, sent: str) -> Any:
        """Begins the run; without a mode online, if there is a key.

        Args:
            settings: wandb's.
            config: The run's.
            mode: wandb's.
            sent: The file that notes what W&B was given.

        Returns:
            The mode, and what W&B knows the run by.

        Raises:
            RuntimeError: What was asked for needs a key, and there is none.
        """
        import wandb

        if mode not in OFFLINE and not wandb.login(prompt=False, verify=False):
            if mode is not None:
                raise RuntimeError("no API key: `wandb login` or WANDB_API_KEY sets one")
            mode = "offline"
        settings["mode"] = mode = mode or "online"
        settings["project"] = settings["project"] or wandb.setup().settings.project or "lerax"
        given = {name: value for name, value in settings.items() if value is not None}
        self._run: Any = wandb.init(config=config, settings=wandb.Settings(**given))
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self._sent = Sent(sent)
        # Online W&B counts on by itself. The first row of this process, among all of the run:
        self._place = {"step": self._sent.rows, "commit": True} if mode in OFFLINE else {}
        facts = ("id", "name", "project", "entity", "url")
        return mode, {name: getattr(self._run, name) for name in facts}

    def resume(self, step: int) -> None:
        self._sent.resume(step)

    def _log(self, values: dict[str, Any]) -> None:
        self._run.log(values, **self._place)
        self._place = {}

    def log(self, values: dict[str, Any]) -> None:
        if self._sent.takes(values["step"]):
            self._log(values)

    def flush(self) -> None:
        self._sent.keep()

    def log_config(self, values: dict[str, Any]) -> None:
        self._run.config.update(values, allow_val_change=True)

    def log_video(self, tag: str, path: str, step: int) -> None:
        import wandb

        if self._sent.takes_video(step):
            self._log({tag: wandb.Video(path, format="mp4"), "step": step})  # copies the file

    def close(self, exit_code: int) -> bool:
        """Ends the run and wandb's service; whether all was uploaded in time."""
        import wandb

        self._sent.keep()
        try:
            self._run.finish(exit_code=exit_code)
        except TimeoutError:
            return False
        finally:
            wandb.teardown()
        return True


def main() -> None:
    """Is the process."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    line = Connection(os.dup(0))
    os.dup2(1, 0)  # what wandb starts gets nothing of the line
    calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(line, calls), daemon=True).start()
    run, text, number = Run(), None, None
    for method, *arguments in iter(calls.get, None):
        result = None
        try:
            result = getattr(run, method)(*arguments)
        except Exception as error:
            if text is None:
                text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
                number = getattr(error, "errno", None)
        if method != "log":
            with contextlib.suppress(OSError):  # nobody waits for it any more; there may be more to do
                line.send((result, text, number))
            text = number = None
    with contextlib.suppress(Exception):  # nobody is there to be told
        run.close(exit_code=1)
    os._exit(0)


def _read(line: Connection, calls: "queue.SimpleQueue[Any]") -> None:
    """Takes calls, and notices the other process's end even while wandb hangs, so that this one ends, too."""
    parent, is_there = os.getppid(), True
    with contextlib.suppress(EOFError, OSError):
        while is_there:
            if line.poll(PARENT_SECONDS):
                calls.put(json.loads(line.recv_bytes()))
            else:  # forked processes of its own may keep its end of the line open
                is_there = os.getppid() == parent
    calls.put(None)
    time.sleep(CLOSE_SECONDS)
    kill_with_children(os.getpid())


def _plain(value: Any) -> Any:
    """What wandb makes of a value that JSON has no type for."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, set | frozenset):
        return list(value)
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value.tolist() if 0 < getattr(value, "size", 0) <= LARGEST_ARRAY else str(value)
