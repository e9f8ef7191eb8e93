"""Runs the command in processes that are forked from one which has imported what the command imports.

Each is a process of its own, with its own streams, signals and exit code, but its start costs a tenth of a
second instead of one and a half. What is decided while modules are imported (JAX_PLATFORMS, PYTHONPATH,
LC_ALL) is decided once for all: where a test is about such a thing, `terminal` starts Python anew.

One of them carries out command after command (`Prefork.again`). It keeps in memory what it has traced and
compiled: a training that another test has had costs a sixth of a second instead of one and a half.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

MODULES = (
    *("jax", "equinox", "lerax.algorithm", "lerax.backend", "lerax.callback", "lerax.checkpoint"),
    *("lerax.env.classic_control", "lerax.evaluate", "lerax.policy", "lerax_cli.__main__", "lerax_cli.app"),
    *(
        "lerax_cli.job",
        "lerax_cli.doctor",
        "lerax_cli.lists",
        "lerax_cli.record_video",
        "lerax_cli.train",
        "pydantic",
    ),
)
Finished = subprocess.CompletedProcess[str]
CLOSED = ""  # instead of a stream's path
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
        strict: bool = False,
    ) -> Finished:
        """Runs `lerax` without a terminal until it ends.

        Args:
            arguments: Of the command.
            cwd: Where it runs.
            env: Its environment.
            seconds: The longest that it may take.
            meanwhile: Called with its number while it runs.
            stdout: Where standard output goes: a path; by default to the result.
            script: What is run instead of `lerax`.
            strict: Whether its warnings are errors.

        Raises:
            subprocess.TimeoutExpired: It took longer and was killed.
        """
        with tempfile.TemporaryDirectory(prefix="lerax-streams-") as folder:
            out, err = (os.path.join(folder, name) for name in ("out", "err"))
            streams = [os.devnull, stdout or out, err]
            pid = self._fork(arguments, cwd, env, seconds, streams, script=script, strict=strict)
            try:
                meanwhile(pid)
            finally:
                code = self._ask(wait=pid)
            assert code is not None
            done = Finished(["lerax", *arguments], code, "" if stdout else _text(out), _text(err))
        return _in_time(done, seconds)

    def again(
        self,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        seconds: float,
        out: str | None = None,
        err: str | None = None,
    ) -> Finished:
        """`run` in a process that has carried out others before, and has what they have compiled.

        `out` and `err` are where the streams go: a path or `CLOSED`; by default to the result.
        """
        with tempfile.TemporaryDirectory(prefix="lerax-streams-") as folder:
            files = [os.path.join(folder, name) for name in ("out", "err")]
            for path in files:  # it may die before it opens them
                Path(path).touch()
            streams = [os.devnull, *(files[i] if to is None else to for i, to in enumerate((out, err)))]
            asked = {"argv": arguments, "cwd": str(cwd), "env": env, "seconds": seconds, "streams": streams}
            code = self._ask(again=asked)
            assert code is not None
            done = Finished(["lerax", *arguments], code, *map(_text, files))
        return _in_time(done, seconds)

    def start(
        self,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        seconds: float,
        terminal: int | None = None,
    ) -> "Forked":
        """Runs `lerax`, and does not wait for its end.

        Args:
            arguments: Of the command.
            cwd: Where it runs.
            env: Its environment.
            seconds: The longest that it may take; it is killed then.
            terminal: A descriptor: its standard input and standard error, in a session of its own; by default
                standard error is a pipe, as standard output is.
        """
        (out, into_out), (err, into_err) = os.pipe(), os.pipe()
        keyboard = os.devnull if terminal is None else _path(terminal)
        streams = [keyboard, _path(into_out), _path(into_err if terminal is None else terminal)]
        try:
            pid = self._fork(arguments, cwd, env, seconds, streams, session=terminal is not None)
        finally:
            os.close(into_out)
            os.close(into_err)
        return Forked(pid, ["lerax", *arguments], out, err, lambda block: self._ask(wait=pid, block=block))

    def _fork(
        self,
        argv: list[str],
        cwd: Path,
        env: dict[str, str],
        seconds: float,
        streams: list[str],
        script: str | None = None,
        strict: bool = False,
        session: bool = False,
    ) -> int:
        asked = {"argv": argv, "cwd": str(cwd), "env": env, "seconds": seconds, "streams": streams}
        pid = self._ask(**asked, script=script, strict=strict, session=session)
        assert pid is not None
        return pid

    def _ask(self, **request: object) -> int | None:
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """Ends the process. Those that it forked have ended."""
        self._server.communicate()


class Forked:
    """A process that was forked, to be used as a `subprocess.Popen` of texts.

    Attributes:
        pid: Its number, which is nobody else's before its end was asked for.
        args: What it was called with.
        stdout: What it writes; a pipe.
        stderr: The same; a pipe that has ended where standard error is a terminal.
        returncode: None until its end was seen.
    """

    stdin = None

    def __init__(self, pid: int, args: list[str], out: int, err: int, code: Callable[[bool], int | None]):
        self.pid, self.args, self._code = pid, args, code
        self.stdout, self.stderr = (os.fdopen(number, encoding="utf-8") for number in (out, err))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = self._code(False)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns its exit code."""
        end = time.monotonic() + (timeout or float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.005)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Reads all that it writes, and waits for its end."""
        texts = ["", ""]

        def read(number: int) -> None:
            stream = (self.stdout, self.stderr)[number]
            if not stream.closed:
                with stream:
                    texts[number] = stream.read()

        threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(timeout)
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


def close_all() -> None:
    """Ends all processes that were made here."""
    while _servers:
        _servers.pop().close()


def _path(descriptor: int) -> str:
    """Where other processes find an open file of this one."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _in_time(done: Finished, seconds: float) -> Finished:
    if done.returncode == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(done.args, seconds, done.stdout, done.stderr)
    return done


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def _serve() -> None:
    """Answers each line of standard input: with a forked process's number, or with an exit code."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # as the command does before it imports JAX
    for name in MODULES:
        importlib.import_module(name)
    from jax._src import xla_bridge

    assert not xla_bridge.backends_are_initialized(), "importing lerax must not run anything in JAX"
    gc.freeze()
    answers, warm = os.dup(1), None
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "wait" in request:
            child, status = os.waitpid(request["wait"], 0 if request.get("block", True) else os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if child else None
        elif "again" in request:
            warm = warm or _Warm()
            answer = warm.ask(line)
            if answer is None:  # it has died
                answer, warm = warm.end(), None
        else:
            opened = [_opened(*pair) for pair in enumerate(request.pop("streams"))]
            answer = os.fork()
            if answer == 0:
                os.close(answers)
                return _become(opened, **request)
            for file in opened:
                os.close(file)
        os.write(answers, f"{json.dumps(answer)}\n".encode())
    if warm:
        warm.end()


class _Warm:
    """A process that carries out one command after the other."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        self._socket, other = (ours, theirs) if self.pid else (theirs, ours)
        other.close()
        self._lines = self._socket.makefile("rw")
        if self.pid == 0:
            for line in self._lines:
                print(_carry_out(**json.loads(line)["again"]), file=self._lines, flush=True)
            os._exit(0)

    def ask(self, line: str) -> int | None:
        """The exit code of a command; None where the process has died of it."""
        try:
            self._lines.write(line)
            self._lines.flush()
            answer = self._lines.readline()
        except ConnectionError:
            answer = ""
        return int(answer) if answer else None

    def end(self) -> int:
        """Ends it, if it has not ended; its exit code."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _carry_out(argv: list[str], cwd: str, env: dict[str, str], seconds: float, streams: list[str]) -> int:
    """Does what `lerax_cli.app.main` does, but for the end of the process."""
    _take([None if path == CLOSED else _opened(number, path) for number, path in enumerate(streams)])
    signal.alarm(round(seconds))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["lerax", *argv]
    _, out, err = streams  # what is closed is None, as where Python starts
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False) if out else None
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False) if err else None
    app, report = (sys.modules[f"lerax_cli.{name}"] for name in ("app", "report"))
    report.hold_streams()
    with warnings.catch_warnings():
        code = app.run(argv)
    code = code or report.lost_result()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    _take([_opened(number, os.devnull) for number in range(3)])  # what no file took is not for the next one's
    sys.stderr.flush()
    signal.alarm(0)
    return int(code)


def _take(opened: Sequence[int | None]) -> None:
    """Makes files the standard streams; None closes one."""
    for number, file in enumerate(opened):
        if file is None:
            os.close(number)
        else:
            os.dup2(file, number)
            os.close(file)


def _opened(number: int, path: str) -> int:
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
    return os.open(path, how | os.O_NOCTTY)


def _become(
    opened: list[int],
    argv: list[str],
    cwd: str,
    env: dict[str, str],
    seconds: float,
    script: str | None,
    strict: bool,
    session: bool,
) -> None:
    """Is `lerax` from here on, or a script."""
    _take(opened)
    if session:
        os.setsid()
    signal.alarm(round(seconds))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(":") if path]
    sys.argv = [script or "lerax", *argv]
    if script is None:
        return sys.modules["lerax_cli.__main__"].main()
    if strict:
        warnings.simplefilter("error")
    sys.path.insert(0, os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    _serve()
