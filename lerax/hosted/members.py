"""Where environments live: on a thread of their own, or in a process of their own.

An environment is made, stepped and drawn on one and the same thread, since some bear no other. Whoever waits
for an answer waits for a limited time.
"""

import pickle
import queue
import signal
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from multiprocessing.connection import Connection
from typing import Any

from lerax.processes import kill_with_children, python

from .faults import Fault, fault_of
from .instances import Instances, Kind, Rows

Answer = tuple[Rows | None, Fault | None]
STDERR = 2
END_SECONDS = 2.0  # for a process to end by itself
OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # are for the training, which ends its processes


class AbstractMember(ABC):
    """Someone who has some environments, and does with them what it is asked."""

    @abstractmethod
    def ask(self, name: str, *arguments: Any) -> None:
        """Asks for a method of `Instances`."""

    @abstractmethod
    def answer(self, seconds: float) -> Answer:
        """What came of what was asked, and what has gone wrong so far.

        Raises:
            TimeoutError: There is no answer within so many seconds.
            EOFError: There will be none.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets the environments go; waits for nothing that hangs."""


class OnThread(AbstractMember):
    """Environments on a thread of this process.

    Args:
        kind: Of what kind they are.
        count: How many.
        draws: Whether each state is drawn.

    Attributes:
        instances: The environments; None until they are made.
    """

    def __init__(self, kind: Kind, count: int, draws: bool):
        self.instances: Instances | None = None
        self._asked, self._answers = queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()
        arguments = kind, count, draws
        threading.Thread(target=self._work, args=arguments, daemon=True, name="lerax env").start()

    def ask(self, name: str, *arguments: Any) -> None:
        self._asked.put((name, arguments))

    def answer(self, seconds: float) -> Answer:
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError from None

    def close(self) -> None:
        self._asked.put(None)

    def _work(self, *arguments: Any) -> None:
        for answer in answers(iter(self._asked.get, None), self, *arguments):
            self._answers.put(answer)


class InProcess(AbstractMember):
    """Environments in a process of their own, which ends with this one.

    Args:
        kind: Of what kind they are.
        count: How many.
    """

    def __init__(self, kind: Kind, count: int):
        ours, theirs = socket.socketpair()
        with theirs:
            command, environment = python("-m", "lerax.hosted.worker", str(theirs.fileno()))
            before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)  # it begins with these held
            try:
                self._process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=STDERR,  # standard output is for others
                    pass_fds=[theirs.fileno()],
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._line = Connection(ours.detach())
        self._line.send_bytes(pickle.dumps((kind, count)))

    def ask(self, name: str, *arguments: Any) -> None:
        try:
            self._line.send((name, arguments))
        except OSError:
            pass  # it has died, which the answer says

    def answer(self, seconds: float) -> Answer:
        if not self._line.poll(seconds):
            raise TimeoutError
        try:
            return self._line.recv()
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        self._line.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            kill_with_children(self._process.pid)
            self._process.wait()


def answers(asked: Any, owner: Any, kind: Kind, count: int, draws: bool) -> Any:
    """Makes environments, does what is asked, and gives the answers one by one, the first to their making."""
    try:
        owner.instances = instances = Instances(kind, count, draws)
        yield None, None
        for name, arguments in asked:
            yield getattr(instances, name)(*arguments), instances.fault
        instances.close()
    except GeneratorExit:  # nobody asks any more
        raise
    except BaseException as error:  # others' code may raise what it likes
        yield None, fault_of(error)
