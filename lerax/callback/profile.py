"""ProfileCallback: what a few iterations spend their time on, as a file that Perfetto opens."""

import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import numpy as jnp
from jaxtyping import Array, Int, PyTree

from lerax.errors import LeraxWarning, told
from lerax.files import write_atomically
from lerax.settings import check_count

from . import outbox
from .base_callback import AbstractCallback, OwnState

LONGEST_SECONDS = 2.0  # of a trace: its file stays small, and is written soon
WRITTEN = "perfetto_trace.json.gz"


class ProfileCallback(AbstractCallback):
    """Writes a trace of a few iterations, which https://ui.perfetto.dev opens: what ran when, and how long.

    The first iteration of a `run` is left out, in which everything is done for the first time. A trace ends
    after 2 seconds at the latest. It changes nothing of the training, which may wait while the file is
    written. A fault of it is a warning. Inside a `jax.jit` of yours it does nothing.

    Args:
        folder: Where the trace goes, made where it is missing: `from_iteration_N.json.gz`, of events in the
            Trace Event Format.
        num_iterations: Iterations that are traced.

    Raises:
        ValueError: `num_iterations` is below 1, or not a whole number.
    """

    _handle: Int[Array, ""]

    def __init__(self, folder: str | Path, *, num_iterations: int = 3):
        count = check_count("num_iterations", num_iterations, 3)
        self._handle = jnp.array(outbox.register(_Tracer(Path(folder), count)), jnp.int32)

    @property
    def path(self) -> Path | None:
        """The file of the last trace; None where there is none yet."""
        return self._tracer.path

    def close(self) -> None:
        """Ends a trace that is under way, and writes it; more calls do nothing."""
        self._tracer.end()

    def next_due(self, iteration: int) -> int | None:
        return self._tracer.next_due(iteration)

    def due_now(self) -> bool:
        return self._tracer.due_now()

    def on_host(self, state: Any, own: OwnState, iteration: int) -> None:
        self._tracer.come_to(iteration)

    def on_phase(self, phase: str) -> None:
        self._tracer.phase(phase)

    def stop_requested(self) -> bool:
        self._tracer.go_on()  # it is asked where there is something to come
        return False

    @property
    def _tracer(self) -> "_Tracer":
        found = outbox.receiver_of(int(self._handle))
        assert isinstance(found, _Tracer)
        return found


class _Trace(NamedTuple):
    """A trace that is under way: where JAX writes it, where it goes, and what ends it."""

    written: tempfile.TemporaryDirectory[str]
    path: Path
    timer: threading.Timer


class _Tracer:
    """The host's half of a ProfileCallback.

    Attributes:
        path: The file of the last trace; None where there is none yet.
    """

    def __init__(self, folder: Path, num_iterations: int):
        self.path: Path | None = None
        self._folder, self._count = folder, num_iterations
        self._waits = True  # for the iteration that the run begins with
        self._first: int | None = None  # the iteration after which the trace begins; None for no trace
        self._name: str | None = None  # of the file of a trace that is to begin now
        self._trace: _Trace | None = None  # what is under way
        self._ending = threading.Lock()

    def receive(self, message: PyTree, times: np.ndarray, running: np.ndarray | None) -> None:
        """Nothing is sent."""

    def phase(self, phase: str) -> None:
        """Notes when a training begins, and ends its trace with it."""
        if phase == "compiling":
            self._waits, self._first, self._name = True, None, None
        if phase != "training":
            self.end()

    def next_due(self, iteration: int) -> int | None:
        """The iterations after which the trace begins and ends."""
        ends = () if self._first is None else (self._first, self._first + self._count)
        return next((end for end in ends if end > iteration), None)

    def due_now(self) -> bool:
        """Whether the iteration that the run begins with is not known yet."""
        return self._waits

    def come_to(self, iteration: int) -> None:
        """Ends the trace, or has one begun, if it is time to."""
        if self._waits:
            self._waits, self._first = False, iteration + 1
        elif iteration == self._first:
            self._name = f"from_iteration_{iteration + 1}.json.gz"
        elif iteration == self.next_due(iteration - 1):
            self.end()

    def go_on(self) -> None:
        """Begins the trace, if one is to begin: training goes on."""
        if self._name is not None:
            name, self._name = self._name, None
            self._begin(name)

    def _begin(self, name: str) -> None:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Python's own functions would be most of the file
        try:
            written = tempfile.TemporaryDirectory(prefix="lerax-profile-")
        except OSError as error:
            return _warn(error)
        try:
            jax.profiler.start_trace(written.name, create_perfetto_trace=True, profiler_options=options)
        except Exception as error:  # somebody else traces, for instance
            written.cleanup()
            return _warn(error)
        timer = threading.Timer(LONGEST_SECONDS, self.end)  # an iteration may be long
        timer.daemon = True
        self._trace = _Trace(written, self._folder / name, timer)
        timer.start()

    def end(self) -> None:
        """Ends the trace and writes it, if there is one under way; waits where that is being done."""
        with self._ending:
            if self._trace is None:
                return
            (written, path, timer), self._trace = self._trace, None
            timer.cancel()
            try:
                jax.profiler.stop_trace()
                (found,) = Path(written.name).rglob(WRITTEN)
                self._folder.mkdir(parents=True, exist_ok=True)
                write_atomically(path, found.read_bytes())
                self.path = path
            except Exception as error:  # a full disk, for instance
                _warn(error)
            finally:
                written.cleanup()


def _warn(error: Exception) -> None:
    """Says that there is no trace: training goes on."""
    warnings.warn(f"no profile: {told(error)}", LeraxWarning, stacklevel=3)
