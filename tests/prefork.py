"""Runs the command in processes that are forked from one which has imported what the command imports.

Each is a process of its own, with its own streams, signals and exit code, but its start costs a tenth of a
second instead of one and a half. What is decided while modules are imported (JAX_PLATFORMS, PYTHONPATH,
LC_ALL) is decided once for all: where a test is about such a thing, `terminal.run` starts Python anew.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

MODULES = (
    *("jax", "equinox", "lerax.algorithm", "lerax.backend", "lerax.callback", "lerax.checkpoint"),
    *("lerax.env.classic_control", "lerax.evaluate", "lerax.policy", "lerax_cli.app", "lerax_cli.job"),
    *("lerax_cli.doctor", "lerax_cli.lists", "lerax_cli.record_video", "lerax_cli.train", "pydantic"),
)
Finished = subprocess.CompletedProcess[str]
_servers: "list[Prefork]" = []


class Prefork:
    """A process that waits for command lines and forks for each; it ends with its standard input."""

    def __init__(self, env: dict[str, str]):
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(
            [sys.executable, __file__], env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        _servers.append(self)

    def run(
        self,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        seconds: float,
        meanwhile: Callable[[int], object] = lambda pid: None,
        stdout: str | None = None,
        script: str | None = None,
    ) -> Finished:
        """Runs `lerax` without a terminal until it ends.

        Args:
            arguments: Of the command.
            cwd: Where it runs.
            env: Its environment.
            seconds: The longest that it may take.
            meanwhile: Called with its number while it runs.
            stdout: Where standard output goes: a path; by default to the result.
            script: What is run instead of `lerax`; its warnings are errors.

        Raises:
            subprocess.TimeoutExpired: It took longer and was killed.
        """
        assert self._server.stdin is not None and self._server.stdout is not None
        with tempfile.TemporaryDirectory(prefix="lerax-streams-") as folder:
            out, err = (os.path.join(folder, name) for name in ("out", "err"))
            streams = [stdout or out, err]
            asked = {"argv": arguments, "cwd": str(cwd), "env": env, "seconds": seconds, "streams": streams}
            asked["script"] = script
            print(json.dumps(asked), file=self._server.stdin, flush=True)
            pid = int(self._server.stdout.readline())
            try:
                meanwhile(pid)
            finally:
                code = int(self._server.stdout.readline())
            done = Finished(["lerax", *arguments], code, "" if stdout else _text(out), _text(err))
        if code == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(done.args, seconds, done.stdout, done.stderr)
        return done

    def close(self) -> None:
        """Ends the process. Those that it forked have ended."""
        self._server.communicate()


def close_all() -> None:
    """Ends all processes that were made here."""
    while _servers:
        _servers.pop().close()


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def _serve() -> None:
    """Answers each line of standard input with an exit code on standard output."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # as the command does before it imports JAX
    for name in MODULES:
        importlib.import_module(name)
    from jax._src import xla_bridge

    assert not xla_bridge.backends_are_initialized(), "importing lerax must not run anything in JAX"
    gc.freeze()
    answers = os.dup(1)
    while request := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            os.close(answers)
            return _become(**json.loads(request))
        os.write(answers, f"{child}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(answers, f"{code}\n".encode())


def _become(
    argv: list[str], cwd: str, env: dict[str, str], seconds: float, streams: list[str], script: str | None
) -> None:
    """Is `lerax` from here on, or a script."""
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    opened = [os.open(os.devnull, os.O_RDONLY), *(os.open(path, write) for path in streams)]
    for number, file in enumerate(opened):
        os.dup2(file, number)
        os.close(file)
    signal.alarm(round(seconds))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as where the command begins
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(":") if path]
    sys.argv = [script or "lerax", *argv]
    if script is None:
        return sys.modules["lerax_cli.app"].main()
    warnings.simplefilter("error")
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _serve()
