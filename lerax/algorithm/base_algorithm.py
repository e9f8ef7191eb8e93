"""What every algorithm is: its settings, its state, and one iteration; the loop around it is in loop.py."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Generic, Literal, ParamSpec, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Float, Int, Key, PRNGKeyArray

from lerax import tree
from lerax.callback import AbstractCallback
from lerax.callback.callback_list import as_callback
from lerax.collect import Standing, Steps
from lerax.devices import mesh_of
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env, check_values
from lerax.env.step import check_alive, check_contract
from lerax.errors import SettingError, SettingTypeError
from lerax.learner import AbstractLearner, Log
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.settings import Limits, Setting, check_count, check_instance, setting_values

from . import divided, footprint, hooks, loop, together
from .state import AlgorithmState, LearnerT

P = ParamSpec("P")
R = TypeVar("R")
_fitting: set[Hashable] = set()  # forms of algorithms with learners that they have made
WHOLE_PARTS = ("num_envs", "batch_size")  # settings of which each device has as much as any other
INIT = 2**31  # folded into the key for the learner's: no iteration has this number


def _of_an_instance(method: Callable[P, R]) -> Callable[P, R]:
    """A method that says what is missing where it is called on the class."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if not (args and isinstance(args[0], AbstractAlgorithm)):
            name = method.__name__
            raise TypeError(f"{name}: called on a class; write it on an instance, such as PPO().{name}(...)")
        return method(*args, **kwargs)

    return called


class AbstractAlgorithm(eqx.Module, Generic[LearnerT]):
    """A learning algorithm. Its fields are its settings, checked when it is made.

    Attributes:
        num_envs: Environments that are stepped side by side.
        default_policy: The policy that the command trains with it: a name of the registry or `module:class`.
    """

    num_envs: eqx.AbstractVar[int]
    default_policy: ClassVar[str] = "MLPActorCriticPolicy"

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return type(self).__name__

    @property
    @abstractmethod
    def steps_per_iteration(self) -> int:
        """Environment steps that one iteration takes, over all environments."""

    @abstractmethod
    def init_learner(self, env: AbstractEnvLike, policy: AbstractPolicy, *, key: Key[Array, ""]) -> LearnerT:
        """What the algorithm keeps, at the start of training.

        Args:
            env: The environment.
            policy: The policy to begin with.
            key: PRNG key.

        Raises:
            TypeError: The algorithm cannot train such a policy.
        """

    @abstractmethod
    def iteration(
        self, state: AlgorithmState[LearnerT], *, key: Key[Array, ""]
    ) -> tuple[AlgorithmState[LearnerT], Steps | None, Log]:
        """One iteration.

        Args:
            state: The state before it.
            key: PRNG key.

        Returns:
            The state after it; the steps that were taken, `[time, env]`, which the callbacks' `on_step` are
            shown, None for none; and scalars to log by name, a `Maybe` where a value is not always there.
            `learning_rate` is the name of the learning rate.
        """

    def rollout(
        self, state: AlgorithmState[LearnerT], *, key: Key[Array, ""]
    ) -> tuple[Standing, Steps] | None:
        """The environment steps of an iteration alone, which `lerax.bench` times.

        Args:
            state: The state before it.
            key: PRNG key.

        Returns:
            Where the environments stand then, and the steps, `[time, env]`; by default None, and what the
            policy's `__call__` takes is timed.
        """
        return None

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        """Bytes that an iteration holds beside the state, by what they are for; by default none.

        Args:
            env: The environment.
            policy: The policy, or its form.
        """
        return {}

    def divided(self, count: int) -> "AbstractAlgorithm":
        """The same algorithm for one of several devices that training is divided among, unchecked.

        By default it cannot be: an iteration has to average over the devices (`lerax.devices.mean`) what all
        of them need alike, such as gradients.

        Args:
            count: How many devices there are.

        Raises:
            SettingError: It cannot be divided.
        """
        hint = "define `divided`, with averages from lerax.devices in its iteration, or train on one"
        raise SettingError("devices", count, wrong=f"{self.name} cannot be divided among devices", hint=hint)

    def check_divided(self, count: int) -> None:
        """Refuses to be divided among so many devices.

        Args:
            count: How many devices there are.

        Raises:
            SettingError: It cannot be divided, or what is divided leaves something over.
        """
        here = self.divided(count)
        for name, part in vars(here).items():
            if name in WHOLE_PARTS and part * count != (own := getattr(self, name)):
                wrong = f"cannot be divided among {count} devices"
                raise SettingError(name, own, f"a multiple of {count}", wrong=wrong)
        check_again: Any = getattr(here, "__check_init__", lambda: None)
        check_again()

    def num_iterations(self, total_timesteps: int) -> int:
        """Iterations needed for at least `total_timesteps` environment steps.

        Raises:
            ValueError: There are fewer steps than one iteration takes, or more than can be counted.
        """
        total_timesteps = Setting("total_timesteps", 1_000_000, "", Limits()).convert(total_timesteps)
        check_count("steps_per_iteration", self.steps_per_iteration)
        least, most = self.steps_per_iteration, (2**31 - 1) * self.steps_per_iteration
        if not least <= total_timesteps <= most:
            what = "fewer than one iteration takes" if total_timesteps < least else "too many iterations"
            needs = f"needs at least {least} and at most {most}"
            raise SettingError("total_timesteps", total_timesteps, wrong=what, hint=needs)
        return -(-total_timesteps // self.steps_per_iteration)

    def idle(self, total_timesteps: int) -> str:
        """Why a training of so many steps makes not one update; "" where it makes some."""
        return ""

    def falling(self) -> list[str]:
        """What falls to 0 over the training: the settings called `..._schedule` that are not constant.

        An `exploration_schedule` ends at `final_epsilon` instead.
        """
        schedules = {
            name: value for name, value in setting_values(self).items() if name.endswith("_schedule")
        }
        schedules.pop("exploration_schedule", None)
        return [name for name, value in schedules.items() if value != "constant"]

    def check_length(self, state: AlgorithmState, total_timesteps: int) -> None:
        """Refuses to go beyond the end of a training at which a schedule has fallen to 0.

        Args:
            state: Of the training.
            total_timesteps: Environment steps in all.

        Raises:
            SettingError: It would.
        """
        whole, falling = int(state.total_iterations), self.falling()
        if falling and 0 < whole < self.num_iterations(total_timesteps):
            wrong = f"beyond the end of the training, where nothing is left by {' and '.join(falling)}"
            said = f"{total_timesteps}, it ends at {whole * self.steps_per_iteration}"
            hint = f"begin it with init(..., total_timesteps={total_timesteps})"
            raise SettingError("total_timesteps", total_timesteps, wrong=wrong, hint=hint, said=said)

    @_of_an_instance
    def init(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        *,
        key: PRNGKeyArray,
        total_timesteps: int | None = None,
        devices: int | Literal["all"] | Mesh | None = None,
    ) -> AlgorithmState:
        """The state before training. Nothing of the arguments is consumed.

        Args:
            env: The environment.
            policy: The policy to begin with.
            key: PRNG key of the training.
            total_timesteps: Environment steps of the whole training, at the end of which falling schedules
                reach 0, however many `run`s it is cut into. By default those of the first `run`.
            devices: The devices that training is divided among: how many, `all`, or a mesh of
                `lerax.devices.mesh_of`. By default it is not divided.

        Returns:
            What `run` begins with.

        Raises:
            ValueError: There are fewer steps than one iteration takes, or the policy was made for another
                environment.
            EnvContractError: The environment breaks the contract.
            MemoryError: The training does not fit into memory.
        """
        check_env(env)
        check_policy(policy, env)
        key, mesh = tree.typed_key(key), mesh_of(devices)
        if mesh is not None:
            self.check_divided(mesh.size)
        if not tree.is_traced(self, env, policy, key):
            footprint.check(self, env, policy, mesh=mesh)
        total = 0 if total_timesteps is None else self.num_iterations(total_timesteps)
        env, policy, key = divided.copied((env, policy, key), mesh)
        with together.among(mesh):
            state = _init(self, env, policy, key, np.int32(total))
        if not tree.is_traced(state):
            check_alive(env, state.standing.env_state)
            check_values(env, divided.within_reach(state.standing.observation))
        return state

    @_of_an_instance
    def template(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        *,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
        devices: int | Literal["all"] | Mesh | None = None,
    ) -> AlgorithmState:
        """The form of the states that `run` gives back, which `lerax.checkpoint.load` loads one into.

        Nothing is computed, compiled or logged.

        Args:
            env: The environment.
            policy: A policy of the same form.
            callback: Callbacks of the same kinds, in the same order, as those of the `run`.
            devices: The devices that what is loaded is divided among, as `init` takes them.

        Returns:
            A state with a `jax.ShapeDtypeStruct` in place of each array.

        Raises:
            SettingError: It cannot be divided among these devices.
        """
        members, mesh = as_callback(callback), mesh_of(devices)
        if mesh is not None:
            self.check_divided(mesh.size)

        def form(seed: Any) -> AlgorithmState:
            return hooks.form(self, self.init(env, policy, key=jr.key(seed)), members)

        return divided.spread(self, eqx.filter_eval_shape(form, np.uint32(0)), mesh)

    @_of_an_instance
    def run(
        self,
        state: AlgorithmState,
        total_timesteps: int,
        *,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
    ) -> AlgorithmState:
        """Trains until the state has seen `total_timesteps` environment steps in all.

        Steps are rounded up to whole iterations. A state that comes from an earlier `run` goes on with the
        states of those callbacks that were there, and however training is cut into `run`s with the same
        callbacks, it ends with the same numbers. `state` itself stays valid.

        Args:
            state: From `init` or an earlier `run`.
            total_timesteps: Environment steps in all.
            callback: One callback or several.

        Returns:
            The state after training; its `callback_state` and `callback_step_state` are tuples with one
            entry for each callback.

        Raises:
            TypeError: `state` is none, or a template, which holds no values.
            ValueError: The state is of an algorithm with other settings; there are fewer steps than one
                iteration takes, or more than the whole training has, at whose end a schedule has fallen
                to 0. Where `run` itself is traced, it stays there.
        """
        check_instance("state", state, AlgorithmState, f"{self.name}().init(env, policy, key=key)")
        self._check_own(state)
        callback = as_callback(callback)
        total = self.num_iterations(total_timesteps)
        if tree.is_traced(self, state, callback):
            return loop.run_traced(self, state, callback, total)
        self.check_length(state, total_timesteps)
        return loop.run_from_host(self, state, callback, total)

    @_of_an_instance
    def follow(
        self,
        state: AlgorithmState,
        total_timesteps: int,
        *,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
        received: Callable[[], int] = lambda: 0,
    ) -> None:
        """What `run` is to all processes but the first, where training is divided among several.

        Returns when the first one says so, with `lerax.algorithm.together.tell(mesh, Order.LEAVE)`.

        Args:
            state: The same as in the first process.
            total_timesteps: Environment steps in all.
            callback: Callbacks of the same kinds, in the same order, as there; their host methods are not
                called, and what they emit is dropped.
            received: The number of a signal that has come to this process, 0 for none; the first handles it.

        Raises:
            ProcessLostError: Another process has ended.
        """
        self._check_own(state)
        total = self.num_iterations(total_timesteps)
        loop.follow_from_host(self, state, as_callback(callback), total, received)

    @_of_an_instance
    def learn(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        total_timesteps: int,
        *,
        key: PRNGKeyArray,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
        devices: int | Literal["all"] | Mesh | None = None,
    ) -> Any:
        """Trains a policy and returns it: `init`, then `run`.

        Also works inside `jax.jit` and `jax.vmap`; then it is one program and callbacks' host methods are
        not called.

        Args:
            env: The environment.
            policy: The policy to begin with; it stays as it is.
            total_timesteps: Environment steps, rounded up to whole iterations.
            key: PRNG key of the training; it stays usable.
            callback: One callback or several.
            devices: The devices that training is divided among, as `init` takes them.

        Returns:
            The trained policy.

        Raises:
            ValueError: There are fewer steps than one iteration takes.
        """
        state = self.init(env, policy, key=key, total_timesteps=total_timesteps, devices=devices)
        return divided.on_one(self.run(state, total_timesteps, callback=callback)).policy

    def _check_own(self, state: AlgorithmState) -> None:
        """Refuses a state without values, and one of an algorithm that holds other things."""
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(state)):
            wrong, said = "a template, which holds no values", "forms of arrays"
            hint = "load a state into it, such as lerax.checkpoint.load(path, template)"
            raise SettingTypeError("state", state, wrong=wrong, hint=hint, said=said)
        num_envs = state.standing.num_envs
        others = num_envs != self.num_envs
        if others or not self._keeps_such(state):
            differs = f"num_envs {num_envs} against {self.num_envs}" if others else "another learner"
            wrong = "of an algorithm with other settings"
            hint = "go on with the algorithm that made it, or make one with init"
            raise SettingError("state", state, wrong=wrong, hint=hint, said=differs)

    def _keeps_such(self, state: AlgorithmState[LearnerT]) -> bool:
        """Whether the algorithm's learner has the form of the state's; it is traced once for each form."""
        forms = tree.form((self, state.env, state.learner))
        if forms not in _fitting:
            own = eqx.filter_eval_shape(self.init_learner, state.env, state.policy, key=state.key)
            if tree.difference(state.learner, own) is not None:
                return False
            _fitting.add(forms)
        return True

    def progress(self, state: AlgorithmState) -> Float[Array, ""]:
        """The part of the whole training that is done, from 0 towards 1."""
        return jnp.minimum(state.iteration_count.astype(jnp.float32) / state.total_iterations, 1.0)


@tree.compiled
def _init(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    key: PRNGKeyArray,
    total_iterations: Int[ArrayLike, ""],
) -> AlgorithmState:
    check_contract(env)  # here it is done once for each program
    env, policy, key, total = tree.copy_arrays((env, policy, key, total_iterations))
    keys = jr.split(key, (algorithm.num_envs, 4))  # drawn at once: each drawing has to be compiled
    run_key = keys[0, 3]
    learner = algorithm.init_learner(env, policy, key=jr.fold_in(run_key, INIT))
    form = "class Learner(AbstractLearner) with the fields policy and opt_state"
    check_instance(f"{algorithm.name}.init_learner", learner, AbstractLearner, form)
    state = AlgorithmState(
        iteration_count=jnp.array(0, jnp.int32),
        total_iterations=total,
        key=run_key,
        env=env,
        standing=divided.begun(env, policy, keys[:, :3]),
        learner=learner,
    )
    return divided.laid_out(algorithm, state)
