"""How fast a training is on this machine, by the number of environments: `lerax bench` shows it."""

import dataclasses
import functools
import math
import operator
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Key, PyTree

from lerax import tree
from lerax.algorithm import AbstractAlgorithm, AlgorithmState, footprint, loop
from lerax.algorithm.off_policy.exploring import random_action, random_noise
from lerax.callback import AbstractCallback
from lerax.callback.callback_list import as_callback
from lerax.collect import Standing, Steps, collect
from lerax.env import AbstractEnvLike
from lerax.learner import Log
from lerax.policy import AbstractPolicy
from lerax.settings import Limits, Setting, check_count

NEAR = 0.9  # of the best speed, which is as good
SAMPLE_SECONDS = 0.1  # that a program is timed for at least, each time
ROUNDS = 3, 9  # how often each is timed: wanted, and at most
SAFE = 1.5  # by how much a larger number of environments may take longer than it should
STEPS = 2**31 - 1  # of the training that is begun: nothing falls to 0 meanwhile
SECONDS = Setting("seconds", 60.0, "Seconds that measuring takes in all.", Limits(above=0, at_most=86_400))
Rollout = tuple[Standing, Steps]
Step = Callable[[AbstractAlgorithm, AlgorithmState, Standing, Key[Array, ""]], Rollout]


class Parts(NamedTuple):
    """Seconds of an iteration, or shares of it, by part of the loop.

    Attributes:
        simulation: The environments' own steps, with random actions.
        policy: What acting takes beside them.
        update: What is learned: values, advantages, the replay buffer, and the gradient steps.
        rest: The callbacks' hooks, such as the statistics of episodes and the records of logs.
    """

    simulation: float
    policy: float
    update: float
    rest: float


class Speed(NamedTuple):
    """What was measured with one number of environments.

    Attributes:
        num_envs: The number.
        steps_per_second: Environment steps of training in a second: the median.
        slowest: The least that was measured.
        fastest: The most.
        rounds: How often it was measured.
        seconds: Seconds that an iteration takes.
        shares: The parts of these, which sum to 1.
        compile_seconds: Seconds that the training's program took to be traced and compiled.
        program_bytes: What the program holds while it runs: the state, what it computes, and its records.
    """

    num_envs: int
    steps_per_second: float
    slowest: float
    fastest: float
    rounds: int
    seconds: float
    shares: Parts
    compile_seconds: float
    program_bytes: int


class Benchmark(NamedTuple):
    """What `measure` found.

    Attributes:
        speeds: For each number of environments, in rising order.
        left_out: The numbers that there was no time or no memory for, and why.
    """

    speeds: tuple[Speed, ...]
    left_out: dict[int, str]

    @property
    def best(self) -> Speed:
        """The fastest."""
        return max(self.speeds, key=lambda speed: speed.steps_per_second)

    @property
    def recommended(self) -> Speed:
        """The smallest number of environments that is at most a tenth slower than the best."""
        enough = NEAR * self.best.steps_per_second
        return next(speed for speed in self.speeds if speed.steps_per_second >= enough)


def measure(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    num_envs: Sequence[int],
    *,
    seconds: float = 60.0,
    callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
    key: Key[Array, ""] | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Benchmark:
    """Measures how fast a training is with some numbers of environments, and which part of it takes how long.

    Four programs are compiled for each number, of which each does what the one before does and more: random
    actions; the policy's; these with the callbacks' hooks; and the training itself. A part of the time is the
    difference of two. They are timed in turns, several times, since a machine is faster at one time than at
    another; the median counts. An algorithm with a replay buffer learns from the first steps on here.

    Args:
        algorithm: The algorithm, with any number of environments.
        env: The environment.
        policy: The policy to begin with.
        num_envs: The numbers of environments.
        seconds: Seconds that it takes in all, about. The smallest number is measured whatever it takes; those
            that there is no time for are left out.
        callback: Callbacks of the training. Their hooks are in its program; host methods are not called.
        key: PRNG key; that of 0 by default.
        tell: Takes lines that say what is being done.

    Returns:
        What was measured.

    Raises:
        ValueError: A number of environments does not fit the algorithm's other settings.
        MemoryError: Not even the smallest number fits into memory.
        HostedEnvError: An environment outside of JAX has failed.
    """
    until = time.monotonic() + SECONDS.convert(seconds)
    made = [with_num_envs(algorithm, number) for number in sorted({*num_envs})]
    check_count("num_envs", len(made), 1)
    ready: list[_Training] = []
    left_out: dict[int, str] = {}
    for one in made:
        number = one.num_envs
        if ready and (late := _too_late(ready, number, until)):
            left_out[number] = late
            continue
        try:
            footprint.check(one, env, policy)
        except MemoryError as error:
            if not ready:
                raise
            left_out[number] = str(error)
            continue
        tell(f"{number:,} environment{'s' * (number != 1)}: compiling")
        ready.append(_Training(one, env, policy, callback, jr.key(0) if key is None else key))
    tell(f"measuring {', '.join(f'{one.algorithm.num_envs:,}' for one in ready)}")
    for number in range(ROUNDS[1]):
        if number and time.monotonic() + sum(one.round_seconds for one in ready) > until:
            break
        for one in ready if number % 2 else reversed(ready):
            one.time()
    return Benchmark(tuple(one.speed() for one in ready), left_out)


def with_num_envs(algorithm: AbstractAlgorithm, num_envs: int) -> AbstractAlgorithm:
    """The algorithm with another number of environments; one with a replay buffer learns at once.

    Raises:
        ValueError: It does not fit the other settings.
    """
    given: Any = algorithm  # whose fields are its settings
    at_once = {"learning_starts": 0} if hasattr(given, "learning_starts") else {}
    return dataclasses.replace(given, num_envs=num_envs, **at_once)


def _too_late(ready: list["_Training"], num_envs: int, until: float) -> str:
    """Why there is no time for more environments: they take as much longer as there are more of them."""
    last = ready[-1]
    grown = num_envs / last.algorithm.num_envs
    at_once = last.begin_seconds + SAFE * grown * last.first_seconds
    rounds = sum(one.round_seconds for one in ready) + SAFE * grown * last.round_seconds
    needed = time.monotonic() + at_once + ROUNDS[0] * rounds - until
    return f"no time: it takes about {math.ceil(needed):,} s more" if needed > 0 else ""


class _Training:
    """A training with one number of environments, as programs that are timed.

    All of them go on with the same environments, some of which live outside of JAX and have one state only.

    Attributes:
        algorithm: The algorithm.
        begin_seconds: What it took to make and to compile all.
        first_seconds: What it took to run all for the first time.
        round_seconds: What it takes to time all once.
        compile_seconds: What it took to compile the training's own program.
        program_bytes: What that one holds.
    """

    def __init__(
        self,
        algorithm: AbstractAlgorithm,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        callback: Sequence[AbstractCallback] | AbstractCallback | None,
        key: Key[Array, ""],
    ):
        began = time.monotonic()
        self.algorithm, self._key = algorithm, key
        fixed = tree.settings_as_data((algorithm, as_callback(callback)))
        self._fixed = fixed[0]
        total = min(STEPS, (2**31 - 1) * algorithm.steps_per_iteration)
        state = algorithm.init(env, policy, key=key, total_timesteps=total)
        self._state = loop.started(fixed, state, np.int32(algorithm.num_iterations(total)))[0]
        compiling = time.monotonic()
        whole = self._looped(fixed)
        self.compile_seconds = time.monotonic() - compiling
        self.program_bytes = _bytes(whole.compiled.memory_analysis())
        watched = _WithoutUpdates(algorithm.num_envs, fixed[0]), fixed[1]
        with ThreadPoolExecutor(len(Parts._fields) - 1) as pool:  # how long these take to compile is not told
            making = [pool.submit(self._repeated, step) for step in (_simulated, _acted)]
            making.append(pool.submit(self._looped, watched))
            simulated, acted, hooked = (one.result() for one in making)
        self._runs: list[Callable[[np.int32], int]] = [
            functools.partial(self._step, simulated, _simulated),
            functools.partial(self._step, acted, _acted),
            functools.partial(self._loop, hooked, watched),
            functools.partial(self._loop, whole, fixed),
        ]
        self.begin_seconds = time.monotonic() - began
        self._counts, self._times = [1] * len(Parts._fields), [[] for _ in Parts._fields]
        for _ in range(2):  # the first call of a program takes longer
            self.time()
        self.first_seconds = sum(map(sum, self._times))
        once = [seconds for _, seconds in self._times]
        self._counts = [max(1, math.ceil(SAMPLE_SECONDS / seconds)) for seconds in once]
        self.round_seconds = sum(map(operator.mul, self._counts, once))
        self._times = [[] for _ in Parts._fields]

    def time(self) -> None:
        """Times each program once, in seconds of an iteration."""
        self._state = loop.going_on(self.algorithm, self._state, warn=False)
        for run, count, times in zip(self._runs, self._counts, self._times, strict=True):
            began = time.monotonic()
            made = run(np.int32(count))
            times.append((time.monotonic() - began) / max(made, 1))
        self._state = loop.going_on(self.algorithm, self._state, warn=False)  # which says what has failed

    def speed(self) -> Speed:
        """What was measured."""
        per_iteration = self.algorithm.steps_per_iteration
        whole = statistics.median(self._times[-1])
        rounds = [  # whose times are close together, as the speed of a busy machine is then
            Parts(simulated, acted - simulated, all_ - watched, watched - acted)
            for simulated, acted, watched, all_ in zip(*self._times, strict=True)
        ]
        positive = [max(statistics.median(part), 0.0) for part in zip(*rounds, strict=True)]
        return Speed(
            num_envs=self.algorithm.num_envs,
            steps_per_second=per_iteration / whole,
            slowest=per_iteration / max(self._times[-1]),
            fastest=per_iteration / min(self._times[-1]),
            rounds=len(self._times[-1]),
            seconds=whole,
            shares=Parts(*(part / sum(positive) for part in positive)),
            compile_seconds=self.compile_seconds,
            program_bytes=self.program_bytes,
        )

    def _looped(self, fixed: Any) -> Any:
        """The program of the training loop with an algorithm and callbacks."""
        return tree.compiled_now(loop.chunk, fixed, self._state, np.int32(0), donate=loop.DONATE)

    def _repeated(self, step: Step) -> Any:
        """The program that only steps the environments."""
        given = self._given(step), self._state.standing
        return tree.compiled_now(_repeat, *given, np.int32(0), donate=loop.DONATE)

    def _given(self, step: Step) -> Any:
        state = eqx.tree_at(lambda state: state.standing, self._state, None)  # which is donated
        return step, self._fixed, state, self._key

    def _loop(self, program: Any, fixed: Any, count: np.int32) -> int:
        """Runs the program of a loop; returns how many iterations it has made."""
        self._state, _, made, *_ = program(fixed, self._state, count)
        return int(made)

    def _step(self, program: Any, step: Step, count: np.int32) -> int:
        """Runs a program that only steps the environments, through as many iterations."""
        standing, _ = jax.block_until_ready(program(self._given(step), self._state.standing, count))
        self._state = dataclasses.replace(self._state, standing=standing)
        return int(count)


class _WithoutUpdates(AbstractAlgorithm):
    """Acts as an algorithm does, and learns nothing: what its training takes without the updates."""

    num_envs: int
    algorithm: AbstractAlgorithm

    @property
    def steps_per_iteration(self) -> int:
        return self.algorithm.steps_per_iteration

    def init_learner(self, env: AbstractEnvLike, policy: AbstractPolicy, *, key: Key[Array, ""]) -> Any:
        return self.algorithm.init_learner(env, policy, key=key)

    def iteration(
        self, state: AlgorithmState, *, key: Key[Array, ""]
    ) -> tuple[AlgorithmState, Steps | None, Log]:
        _, seen, log = eqx.filter_eval_shape(self.algorithm.iteration, state, key=key)
        standing, steps = _acted(self.algorithm, state, state.standing, key)
        return (
            state.after(standing, state.learner),
            None if seen is None else steps,
            jax.tree.map(jnp.zeros_like, log),
        )


def _bytes(of: Any) -> int:
    """What a program holds, from XLA's own figures; what it changes in place counts once."""
    whole = of.argument_size_in_bytes + of.output_size_in_bytes + of.temp_size_in_bytes
    return whole - of.alias_size_in_bytes


def _repeat(given: Any, standing: Standing, length: Any) -> tuple[Standing, Any]:
    """Steps the environments through `length` iterations: where they stand then, and the last one's steps."""
    step, algorithm, state, key = given
    arrays, static = eqx.partition(standing, eqx.is_array)

    def body(number: Array, both: Any) -> Any:
        now = eqx.combine(both[0], static)
        standing, steps = step(algorithm, state, now, jr.fold_in(key, number))
        return eqx.filter(tree.strongly_typed(standing), eqx.is_array), _written(steps)

    form = jax.eval_shape(body, jnp.array(0, jnp.int32), (arrays, None))[1]
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), form)
    arrays, steps = lax.fori_loop(0, length, body, (arrays, blank))
    return eqx.combine(arrays, static), steps


def _written(given: PyTree) -> PyTree:
    """What a program must not leave out, as a training does not."""
    return tree.without_keys(eqx.filter(given, eqx.is_array))


def _simulated(
    algorithm: AbstractAlgorithm, state: AlgorithmState, standing: Standing, key: Key[Array, ""]
) -> Rollout:
    """The environment steps of an iteration, with random actions."""
    env = state.env
    space = env.action_space
    return collect(
        env,
        state.policy,
        lambda memory, observation, mask, noise: (memory, random_action(space, mask, noise), None),
        standing,
        noise=lambda key: random_noise(space, key=key),
        key=key,
        num_steps=_num_steps(algorithm),
    )


def _acted(
    algorithm: AbstractAlgorithm, state: AlgorithmState, standing: Standing, key: Key[Array, ""]
) -> Rollout:
    """The environment steps of an iteration, with the policy's actions."""
    found = algorithm.rollout(dataclasses.replace(state, standing=standing), key=key)
    if found is not None:
        return found
    policy = state.policy

    def act(memory: PyTree, observation: PyTree, mask: PyTree, key: Array) -> tuple:
        return *policy(memory, observation, key=key, action_mask=mask), None

    steps = _num_steps(algorithm)
    return collect(state.env, policy, act, standing, noise=lambda key: key, key=key, num_steps=steps)


def _num_steps(algorithm: AbstractAlgorithm) -> int:
    """Steps of each environment in an iteration."""
    return max(1, algorithm.steps_per_iteration // algorithm.num_envs)
