"""What goes wrong in an environment outside of JAX."""

import traceback
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """Why an environment goes no further.

    Attributes:
        what: In a few words.
        traceback: Python's, of what it raised; "" where it raised nothing.
    """

    what: str
    traceback: str = ""


def fault_of(error: BaseException) -> Fault:
    """What an exception says."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return Fault(said, "".join(traceback.format_exception(error)))


class HostedEnvError(RuntimeError):
    """An environment outside of JAX has failed: it raised, gave what it must not, did not answer or died.

    Attributes:
        env: Its name.
        what: What happened.
        traceback: Python's, of what it raised; "" where it raised nothing.
        state: The state of the training that it ended, whose policy is what was learned until then; None
            where there was no training.
    """

    def __init__(self, env: str, fault: Fault):
        super().__init__(f"{env}: {fault.what}")
        self.env, self.what, self.traceback = env, fault.what, fault.traceback
        self.state: Any = None


class EpisodesLostError(RuntimeError):
    """An environment outside of JAX is not there any more: its episodes have to begin anew."""
