"""Environments by sessions: those that were begun together, and are stepped until nobody does any more."""

import atexit
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from lerax import cores

from .faults import EpisodesLostError, Fault
from .instances import GOES_ON, Kind, Rows, held
from .members import AbstractMember, InProcess, OnThread
from .words import FLAGS, HEAD, REWARD, SEEDED, SESSION, SLOT, TERMINAL, TRUNCATED, WAITING, Words

KEPT = 4  # sessions of each training: its own, of an evaluation and a video, and one more
MAKE_SECONDS = 300.0  # for environments to be made


class Options(NamedTuple):
    """How environments are kept.

    Attributes:
        workers: Processes that they are divided among; 0 for a thread of this one.
        timeout: Seconds that a step or a beginning of one environment may take.
        draws: Whether each state is drawn.
    """

    workers: int
    timeout: float
    draws: bool


class Session:
    """Environments that were begun together.

    Args:
        kind: Of what kind they are.
        count: How many.
        options: How they are kept.

    Attributes:
        fault: The first thing that went wrong.
    """

    def __init__(self, kind: Kind, count: int, options: Options):
        workers = 0 if options.draws else min(options.workers, count)
        self.fault: Fault | None = None
        self._timeout, self._lock = options.timeout, threading.Lock()
        self._members: list[AbstractMember | None] = []
        self._where = np.empty((count, 2), int)  # of each place: whose it is, and which of theirs
        for number, places in enumerate(np.array_split(np.arange(count), max(workers, 1))):
            self._where[places] = np.stack([np.full(len(places), number), np.arange(len(places))], 1)
            one = InProcess(kind, len(places)) if workers else OnThread(kind, len(places), options.draws)
            self._members.append(one)
        for number in range(len(self._members)):
            self._answer(number, MAKE_SECONDS)

    def do(
        self, name: str, slots: Int[np.ndarray, " lane"], given: Shaped[np.ndarray, "lane ..."], rows: Rows
    ) -> Rows:
        """Lets environments do something.

        Args:
            name: A method of `Instances`.
            slots: Which environments.
            given: What each is given.
            rows: Their rows before.

        Returns:
            Their rows after it.
        """
        rows = rows.copy()
        whose, places = self._where[slots].T
        lanes_of: dict[int, Any] = {0: slice(None)}
        if len(self._members) > 1:
            lanes_of = {number: np.flatnonzero(whose == number) for number in np.unique(whose).tolist()}
        with self._lock:
            for number, lanes in lanes_of.items():
                if (member := self._members[number]) is not None:
                    member.ask(name, places[lanes].tolist(), given[lanes], rows[lanes])
            for number, lanes in lanes_of.items():
                answer = self._answer(number, self._timeout * len(places[lanes]))  # one after the other
                rows[lanes] = held(rows[lanes]) if answer is None else answer
        return rows

    def frame(self, slot: int, count: int) -> np.ndarray | None:
        """Takes the picture of a state: uint8, `[height, width, 3]`; None where there is none."""
        member = self._members[0]
        instances = member.instances if isinstance(member, OnThread) else None
        if instances is None:
            return None
        for key in [key for key in [*instances.frames] if key[0] == slot and key[1] < count]:
            del instances.frames[key]
        return instances.frames.get((slot, count))

    def close(self) -> None:
        """Lets all go."""
        for member in self._members:
            if member is not None:
                member.close()
        self._members = [None] * len(self._members)

    def _answer(self, number: int, seconds: float) -> Rows | None:
        """What a member answers; None where it has failed, now or before."""
        member = self._members[number]
        if member is None:
            return None
        try:
            rows, fault = member.answer(seconds)
        except TimeoutError:
            rows, fault = None, Fault(f"no answer for {seconds:g} s; env.timeout allows more")
        except EOFError:
            rows, fault = None, Fault("its process has died")
        self.fault = self.fault or fault
        if fault is not None and rows is None:
            self._members[number] = None
            if isinstance(member, InProcess):
                member.close()
        return rows


class Sessions:
    """The sessions of one environment: what compiled programs call, by functions of `host_call`'s form.

    Args:
        name: The environment's name.
        kind: What makes it.
        options: How environments are kept.
    """

    def __init__(self, name: str, kind: Kind, options: Options):
        self.name, self._kind, self._options = name, kind, options
        self.row_size = HEAD + Words(kind.observations).size
        self._open: OrderedDict[int, Session] = OrderedDict()  # the one that was used last at the end
        self._kept: set[int] = set()
        self._lock = threading.Lock()
        atexit.register(self.close)

    def initial(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """Makes environments, one for each lane, and begins an episode in each.

        Each is given a seed, and how many devices make some: the processes are divided among these.
        """
        (given,), (rows,) = inputs, outputs
        seeds, devices = given.T.astype(int)
        workers = -(-self._options.workers // int(devices[0]))
        session = Session(self._kind, len(seeds), self._options._replace(workers=workers))
        number = secrets.randbits(32)  # that of another process means nothing here
        with self._lock:
            self._open[number] = session
            free = [other for other in self._open if other not in self._kept]
            for other in free[: max(len(free) - KEPT * cores.trainings(), 0)]:
                self._open.pop(other).close()
        rows[:] = 0
        rows[:, SESSION], rows[:, SLOT] = number, np.arange(len(rows))
        rows[:] = session.do("begin", np.arange(len(rows)), seeds, rows)

    def begin(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """Begins an episode in those environments that wait for one."""
        (before,), (rows,) = inputs, outputs
        rows[:] = before
        waiting = np.flatnonzero(before[:, FLAGS] & WAITING)
        if waiting.size:
            seeded = (before[:, FLAGS] & SEEDED) != 0
            self._do("begin", np.where(seeded, before[:, REWARD].astype(int), GOES_ON), rows, waiting)

    def step(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        """Takes a step in each environment whose episode goes on."""
        (before, actions), (rows,) = inputs, outputs
        rows[:] = before
        over = (before[:, FLAGS] & (TERMINAL | TRUNCATED)) != 0
        rows[over, REWARD] = 0
        if not over.all():
            self._do("step", actions, rows, np.flatnonzero(~over) if over.any() else slice(None))

    def fault(self, rows: Rows) -> Fault | EpisodesLostError | None:
        """Why environments go no further; None where all do."""
        sessions = [self._session(number) for number in np.unique(rows[:, SESSION]).tolist()]
        if None in sessions:
            return EpisodesLostError(f"{self.name}: its episodes begin anew: it keeps no state to go on with")
        return next((session.fault for session in sessions if session and session.fault), None)

    def frame(self, session: int, slot: int, count: int) -> np.ndarray | None:
        """Takes the picture of a state; None where there is none."""
        found = self._session(session)
        return None if found is None else found.frame(slot, count)

    def keep(self, numbers: Iterable[int]) -> None:
        """Keeps sessions until they are let go, however many others are begun."""
        with self._lock:
            self._kept.update(numbers)

    def let_go(self, numbers: Iterable[int]) -> None:
        """Lets the environments of sessions go."""
        with self._lock:
            self._kept.difference_update(numbers)
            found = [self._open.pop(number) for number in numbers if number in self._open]
        for session in found:
            session.close()

    def close(self) -> None:
        """Lets all environments go."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _session(self, number: int) -> Session | None:
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
            return self._open.get(number)

    def _do(
        self,
        name: str,
        given: Shaped[np.ndarray, "lane ..."],
        rows: Rows,
        lanes: Int[np.ndarray, " some"] | slice,
    ) -> None:
        """Lets the environments of some lanes do something; those that are not there any more stand still."""
        numbers = rows[lanes, SESSION]
        if (numbers != numbers[0]).any():
            where = np.arange(len(rows))[lanes]
            for number in np.unique(numbers):
                self._do(name, given, rows, where[numbers == number])
            return
        session, before = self._session(int(numbers[0])), rows[lanes]
        if session is None:
            rows[lanes] = held(before)
        else:
            rows[lanes] = session.do(name, before[:, SLOT].astype(int), given[lanes], before)
