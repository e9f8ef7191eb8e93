"""Callbacks that end training."""

import signal
import threading
from types import FrameType
from typing import Any

import equinox as eqx
import jax
from jax import numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from lerax import tree
from lerax.settings import REQUIRED, check_settings, setting

from . import outbox
from .base_callback import (
    AbstractCallback,
    AbstractCallbackState,
    AbstractCallbackStepState,
    IterationContext,
    ResetContext,
    StepContext,
    TrainingContext,
)
from .episode import EpisodeStatistics, alpha_setting


class GivenState(AbstractCallbackStepState):
    """Whether all that an environment has given was finite.

    Attributes:
        observation: Whether all observations were.
        reward: Whether all rewards were.
    """

    observation: Bool[Array, "*env"]
    reward: Bool[Array, "*env"]


class NonFiniteState(AbstractCallbackState):
    """What `StopOnNonFinite` found.

    Attributes:
        parameters: All parameters of the policy after the last iteration in which everything was finite, as
            one vector; `lerax.tree.ravel(policy)[1]` makes a policy of it.
        iteration: The first iteration in which something was not; 0 for none.
        given: Whether the environments had given finite observations and rewards until then.
    """

    parameters: Float[Array, " parameters"]
    iteration: Int[Array, ""]
    given: GivenState

    @property
    def reason(self) -> str:
        """What was not finite first, and what to do, on the host."""
        given = {"observation": self.given.observation, "reward": self.given.reward}
        wrong = " and ".join(name for name, finite in given.items() if not finite)
        if wrong and jnp.all(jnp.isfinite(self.parameters)):  # else they were not from the beginning
            what = f"the environment gave what is not finite ({wrong}), before any loss was not"
            return f"{what}; mend the environment: the learning rate is not at fault"
        return "a loss or a parameter is not finite; try a smaller learning rate"


class StopOnNonFinite(AbstractCallback):
    """Ends training when a logged scalar or a parameter is not finite, and keeps the last good parameters.

    They are in its state, a `NonFiniteState`; the policy that training gives back is the last one.
    """

    def reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> NonFiniteState:
        given = GivenState(jnp.array(True), jnp.array(True))
        return NonFiniteState(tree.ravel(ctx.policy)[0], jnp.array(0, jnp.int32), given)

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> GivenState:
        return GivenState(jnp.array(True), jnp.array(True))

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> GivenState:
        # What is in no space becomes NaN.
        flat = ctx.env.observation_space.flatten(ctx.locals["next_observation"])
        finite = jnp.all(jnp.isfinite(flat))
        return GivenState(ctx.state.observation & finite, ctx.state.reward & jnp.isfinite(ctx.reward))

    def on_iteration(self, ctx: IterationContext, *, key: Key[Array, ""]) -> NonFiniteState:
        parameters, log = tree.ravel(ctx.policy)[0], ctx.training_log
        missing = {name: ~there for name, there in ctx.training_log_mask.items()}
        fine = [jnp.all(jnp.isfinite(value) | missing.get(name, False)) for name, value in log.items()]
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(parameters)), *fine]))
        good = finite & (ctx.state.iteration == 0)
        iteration = jnp.where(good, ctx.state.iteration, ctx.iteration_count)
        given = jax.tree.map(jnp.all, ctx.step_state)
        given = tree.where(ctx.state.iteration == 0, given, ctx.state.given)
        return NonFiniteState(jnp.where(good, parameters, ctx.state.parameters), iteration, given)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        return ctx.state.iteration == 0


class StopOnReturn(AbstractCallback):
    """Ends training when the moving average of the episodes' returns reaches a threshold.

    Every environment must have finished an episode.

    Args:
        threshold: The least mean over the environments that ends training.
        alpha: Weight of the newest episode in the moving average of each environment.

    Raises:
        ValueError: `threshold` is no finite number, or `alpha` out of range.
    """

    threshold: float = setting(REQUIRED, "The least return that ends training.", kind="float")
    alpha: float = alpha_setting()

    def __init__(self, threshold: float, alpha: float = 0.1):
        self.threshold, self.alpha = threshold, alpha
        check_settings(self)

    def step_reset(self, ctx: ResetContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return EpisodeStatistics.initial()

    def on_step(self, ctx: StepContext, *, key: Key[Array, ""]) -> EpisodeStatistics:
        return ctx.state.after(ctx, self.alpha)

    def continue_training(self, ctx: IterationContext, *, key: Key[Array, ""]) -> Bool[Array, ""]:
        statistics = ctx.step_state
        reached = jnp.mean(statistics.average_return) >= self.threshold
        return ~(jnp.all(statistics.begun) & reached)


class _Request:
    """Whether training is to end: the host's half of a callback, known to it by its number."""

    def __init__(self) -> None:
        self.made = False

    def receive(self, *message: Any) -> None:
        """Nothing is sent to it."""


class _AbstractStopWhenAsked(AbstractCallback):
    """Ends training after the chunk in which a request was made."""

    _handle: eqx.AbstractVar[Int[Array, ""]]

    def on_training_start(self, ctx: TrainingContext, *, key: Key[Array, ""]) -> Any:
        outbox.warn_inside_jit(type(self).__name__)
        return ctx.state

    def stop_requested(self) -> bool:
        return self._request.made

    @property
    def _request(self) -> Any:
        return outbox.receiver_of(int(self._handle))


class StopOnRequest(_AbstractStopWhenAsked):
    """Ends training soon after `request` was called, from a signal handler, another thread or a notebook.

    The host asks between compiled chunks, so within about a quarter of a second; training that is itself
    inside a `jax.jit` cannot be asked, and warns.
    """

    _handle: Int[Array, ""]

    def __init__(self) -> None:
        self._handle = jnp.array(outbox.register(_Request()), jnp.int32)

    def request(self) -> None:
        """Asks training to end after the current chunk."""
        self._request.made = True


class StopOnInterrupt(_AbstractStopWhenAsked):
    """Makes Ctrl-C end training after the current chunk: `learn` gives back what was learned so far.

    It is a context manager, to be entered around the training in the main thread. The first SIGINT in
    training asks for its end, the next one raises KeyboardInterrupt at once. Before training begins, while it
    is compiled for instance, nothing is lost and the first one raises. Leaving the context brings the handler
    back that was there before; where SIGINT is ignored, it stays so.

    Raises:
        RuntimeError: It is entered in another thread, or training begins and it is not entered.
    """

    _handle: Int[Array, ""]

    def __init__(self) -> None:
        self._handle = jnp.array(outbox.register(_Interrupt()), jnp.int32)

    @property
    def interrupted(self) -> bool:
        """Whether a SIGINT has asked for the end since it was entered."""
        return self._request.made

    def __enter__(self) -> "StopOnInterrupt":
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            raise RuntimeError(
                f"StopOnInterrupt: signals come to the main thread alone (got {thread.name}); "
                "enter it there, or use StopOnRequest"
            )
        self._request.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._request.leave()

    def on_phase(self, phase: str) -> None:
        self._request.trains(phase == "training")


class _Interrupt(_Request):
    """The handler of SIGINT."""

    def __init__(self) -> None:
        super().__init__()
        self._before: Any = None
        self._entered = self._begun = False

    def enter(self) -> None:
        """Takes the place of the handler that is there."""
        if self._entered:
            raise RuntimeError("StopOnInterrupt: already entered; make another one")
        self.made, self._begun, self._entered = False, False, True
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as a shell has it for jobs in the background
            signal.signal(signal.SIGINT, self._handle)

    def leave(self) -> None:
        """Gives its place back."""
        self._entered = False
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._before or signal.SIG_DFL)

    def trains(self, begun: bool) -> None:
        """Notes whether there is something to lose: once training has begun, there always is."""
        if not self._entered:
            raise RuntimeError(
                "StopOnInterrupt: not entered; write `with StopOnInterrupt() as stop:` around the training"
            )
        self._begun = self._begun or begun

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.made or not self._begun:
            raise KeyboardInterrupt
        self.made = True
