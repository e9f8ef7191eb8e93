"""What every algorithm is: its settings, its state, and one iteration; the loop around it is in loop.py."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import numpy as np
import optax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from lerax import tree
from lerax.callback import AbstractCallback, IterationContext
from lerax.callback.callback_list import as_callback
from lerax.callback.outbox import closed
from lerax.env import AbstractEnvLike
from lerax.env.contract import check_env, check_values
from lerax.env.step import begin_episode, check_contract
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.settings import Limits, Setting, check_instance, setting_values

from . import loop, memory

P = ParamSpec("P")
R = TypeVar("R")


class StepState(eqx.Module):
    """Where the environments stand; every array has a leading environment axis.

    Attributes:
        env_state: States of the environments.
        observation: What the policy sees next.
        policy_state: Memories of the policy.
        callback_state: The callbacks' states for the environments; None before training starts.
    """

    env_state: Any
    observation: PyTree
    policy_state: PyTree
    callback_state: PyTree


class AlgorithmState(eqx.Module):
    """Everything that training changes, and all that it needs to go on.

    Attributes:
        iteration_count: Iterations done.
        total_iterations: Iterations of the whole training, at the end of which falling schedules reach 0;
            0 as long as nobody has said how many.
        key: PRNG key that each iteration derives its own from, by its number.
        env: The environment.
        policy: The policy.
        opt_state: The optimizer's state.
        step_state: Where the environments stand.
        memory: What else the algorithm keeps; None where it keeps nothing.
        callback_state: The callbacks' states; None before training starts.
    """

    iteration_count: Int[Array, ""]
    total_iterations: Int[Array, ""]
    key: Key[Array, ""]
    env: AbstractEnvLike
    policy: AbstractPolicy
    opt_state: PyTree
    step_state: StepState
    memory: PyTree
    callback_state: PyTree


def _of_an_instance(method: Callable[P, R]) -> Callable[P, R]:
    """A method that says what is missing where it is called on the class."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if not (args and isinstance(args[0], AbstractAlgorithm)):
            name = method.__name__
            raise TypeError(f"{name}: called on a class; write it on an instance, such as PPO().{name}(...)")
        return method(*args, **kwargs)

    return called


class AbstractAlgorithm(eqx.Module):
    """A learning algorithm. Its fields are its settings, checked when it is made.

    Attributes:
        num_envs: Environments that are stepped side by side.
        learning_rate: Step size of the optimizer.
        anneal_learning_rate: Whether it falls linearly to 0 over the training.
    """

    num_envs: eqx.AbstractVar[int]
    learning_rate: eqx.AbstractVar[float]
    anneal_learning_rate: eqx.AbstractVar[bool]

    @property
    def name(self) -> str:
        """The algorithm's name."""
        return type(self).__name__

    @property
    @abstractmethod
    def steps_per_iteration(self) -> int:
        """Environment steps that one iteration takes, over all environments."""

    @abstractmethod
    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer; it works on all parameters raveled into one vector and holds its learning rate."""

    def memory(self) -> PyTree:
        """What the algorithm keeps beside policy and optimizer, at the start of training; by default None."""
        return None

    def buffers(self, env: AbstractEnvLike, policy: Any) -> dict[str, int]:
        """Bytes that an iteration holds beside the state, by what they are for; by default none.

        Args:
            env: The environment.
            policy: The policy, or its form.
        """
        return {}

    @abstractmethod
    def iteration(
        self, state: AlgorithmState, *, key: Key[Array, ""], callback: AbstractCallback
    ) -> tuple[AlgorithmState, dict[str, Float[Array, ""]]]:
        """One iteration.

        Args:
            state: The state before it.
            key: PRNG key.
            callback: Whose `on_step` is to be called after each step of each environment.

        Returns:
            The state after it, its count of iterations not yet raised, and scalars to log by name.
        """

    def num_iterations(self, total_timesteps: int) -> int:
        """Iterations needed for at least `total_timesteps` environment steps.

        Raises:
            ValueError: There are fewer steps than one iteration takes, or more than can be counted.
        """
        total_timesteps = Setting("total_timesteps", 1_000_000, "", Limits()).convert(total_timesteps)
        least, most = self.steps_per_iteration, (2**31 - 1) * self.steps_per_iteration
        if not least <= total_timesteps <= most:
            what = "fewer than one iteration takes" if total_timesteps < least else "too many iterations"
            raise ValueError(
                f"total_timesteps: {what} (got {total_timesteps}); needs at least {least} and at most {most}"
            )
        return -(-total_timesteps // self.steps_per_iteration)

    def falling(self) -> list[str]:
        """What falls over the training: the settings called `anneal_...` that are on."""
        return [name for name, value in setting_values(self).items() if name.startswith("anneal_") and value]

    @_of_an_instance
    def init(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        *,
        key: PRNGKeyArray,
        total_timesteps: int | None = None,
    ) -> AlgorithmState:
        """The state before training. Nothing of the arguments is consumed.

        Args:
            env: The environment.
            policy: The policy to begin with.
            key: PRNG key of the training.
            total_timesteps: Environment steps of the whole training, at the end of which falling schedules
                reach 0, however many `run`s it is cut into. By default those of the first `run`.

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
        key = tree.typed_key(key)
        if not tree.is_traced(self, env, policy, key):
            memory.check(self, env, policy)
        total = 0 if total_timesteps is None else self.num_iterations(total_timesteps)
        state = _init(self, env, policy, key, jnp.asarray(total, jnp.int32))
        if not tree.is_traced(state):
            check_values(env, state.step_state.observation)
        return state

    @_of_an_instance
    def template(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        *,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
    ) -> AlgorithmState:
        """The form of the states that `run` gives back, which `lerax.checkpoint.load` loads one into.

        Nothing is computed, compiled or logged.

        Args:
            env: The environment.
            policy: A policy of the same form.
            callback: Callbacks of the same kinds, in the same order, as those of the `run`.

        Returns:
            A state with a `jax.ShapeDtypeStruct` in place of each array.
        """
        members = as_callback(callback)

        def form(seed: Any) -> AlgorithmState:
            return loop.form(self, self.init(env, policy, key=jr.key(seed)), members)

        return eqx.filter_eval_shape(form, np.uint32(0))

    @_of_an_instance
    def run(
        self,
        state: AlgorithmState,
        total_timesteps: int,
        *,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
    ) -> AlgorithmState:
        """Trains until the state has seen `total_timesteps` environment steps in all.

        Steps are rounded up to whole iterations. A state that comes from an earlier `run` with the same
        callbacks goes on with their states, and however training is cut into `run`s, it ends with the same
        numbers. `state` itself stays valid.

        Args:
            state: From `init` or an earlier `run`.
            total_timesteps: Environment steps in all.
            callback: One callback or several.

        Returns:
            The state after training; its `callback_state` and `step_state.callback_state` are tuples with
            one entry for each callback.

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
        whole, falling = int(state.total_iterations), self.falling()
        if falling and 0 < whole < total:
            raise ValueError(
                f"total_timesteps: beyond the end of the training, where {' and '.join(falling)} reaches 0 "
                f"(got {total_timesteps}, it ends at {whole * self.steps_per_iteration}); begin it with "
                f"init(..., total_timesteps={total_timesteps})"
            )
        return loop.run_from_host(self, state, callback, total)

    @_of_an_instance
    def learn(
        self,
        env: AbstractEnvLike,
        policy: AbstractPolicy,
        total_timesteps: int,
        *,
        key: PRNGKeyArray,
        callback: Sequence[AbstractCallback] | AbstractCallback | None = None,
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

        Returns:
            The trained policy.

        Raises:
            ValueError: There are fewer steps than one iteration takes.
        """
        state = self.init(env, policy, key=key, total_timesteps=total_timesteps)
        return self.run(state, total_timesteps, callback=callback).policy

    def advance(
        self, state: AlgorithmState, callback: AbstractCallback
    ) -> tuple[AlgorithmState, Bool[Array, ""]]:
        """One iteration with its hooks.

        Args:
            state: The state before it.
            callback: Whose hooks are to be called.

        Returns:
            The state after it, and whether to go on.
        """
        key, hook_key, stop_key = jr.split(jr.fold_in(state.key, state.iteration_count), 3)
        state = self._annealed(state)
        state, training_log = self.iteration(state, key=key, callback=callback)
        state = eqx.tree_at(lambda s: s.iteration_count, state, state.iteration_count + 1)
        ctx = IterationContext(
            state=state.callback_state,
            step_state=state.step_state.callback_state,
            env=state.env,
            policy=state.policy,
            iteration_count=state.iteration_count,
            opt_state=state.opt_state,
            training_log=training_log,
            algorithm=self,
            locals={},
        )
        callback_state = callback.on_iteration(ctx, key=hook_key)
        ctx = eqx.tree_at(lambda c: c.state, ctx, callback_state)
        with closed("continue_training"):
            go_on = callback.continue_training(ctx, key=stop_key)
        state = eqx.tree_at(lambda s: s.callback_state, state, callback_state)
        return tree.strongly_typed(state), jnp.asarray(go_on, bool)

    def _check_own(self, state: AlgorithmState) -> None:
        """Refuses a state without values, and one of an algorithm that holds other things."""
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(state)):
            raise TypeError(
                "state: a template, which holds no values (got forms of arrays); "
                "load a state into it, such as lerax.checkpoint.load(path, template)"
            )
        num_envs = jnp.shape(jax.tree.leaves(state.step_state.observation)[0])[0]
        kept, wanted = (jax.tree.structure(m) for m in (state.memory, eqx.filter_eval_shape(self.memory)))
        others = num_envs != self.num_envs
        if others or kept != wanted:
            differs = f"num_envs {num_envs} against {self.num_envs}" if others else "another memory"
            raise ValueError(
                f"state: of an algorithm with other settings (got {differs}); "
                "go on with the algorithm that made it, or make one with init"
            )

    def progress(self, state: AlgorithmState) -> Float[Array, ""]:
        """The part of the whole training that is done, from 0 towards 1."""
        return jnp.minimum(state.iteration_count.astype(jnp.float32) / state.total_iterations, 1.0)

    def _annealed(self, state: AlgorithmState) -> AlgorithmState:
        if not self.anneal_learning_rate:
            return state
        rate = self.learning_rate * (1.0 - self.progress(state))
        rates = state.opt_state.hyperparams | {"learning_rate": jnp.asarray(rate, jnp.float32)}
        opt_state = state.opt_state._replace(hyperparams=rates)
        return eqx.tree_at(lambda s: s.opt_state, state, opt_state)


@eqx.filter_jit
def _init(
    algorithm: AbstractAlgorithm,
    env: AbstractEnvLike,
    policy: AbstractPolicy,
    key: PRNGKeyArray,
    total_iterations: Int[Array, ""],
) -> AlgorithmState:
    check_contract(env)  # here it is done once for each program
    env, policy, key = tree.copy_arrays((env, policy, key))
    env_key, observation_key, policy_key, run_key = jr.split(key, 4)
    begin = jax.vmap(lambda k, s: begin_episode(env, key=k, show_key=s))
    env_state, observation = begin(*(jr.split(k, algorithm.num_envs) for k in (env_key, observation_key)))
    policy_state = jax.vmap(lambda k: policy.reset(key=k))(jr.split(policy_key, algorithm.num_envs))
    parameters = tree.ravel(policy)[0]
    return AlgorithmState(
        iteration_count=jnp.array(0, jnp.int32),
        total_iterations=total_iterations,
        key=run_key,
        env=env,
        policy=policy,
        opt_state=algorithm.optimizer().init(parameters),
        step_state=StepState(env_state, observation, policy_state, None),
        memory=algorithm.memory(),
        callback_state=None,
    )
