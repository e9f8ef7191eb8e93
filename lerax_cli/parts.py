"""What a training is made of, from the names and settings of a plan."""

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax import random as jr

from lerax import devices, registry, tree
from lerax.algorithm import divided, footprint, together
from lerax.env.contract import EnvContractError
from lerax.env.hosted import AbstractHostedEnv
from lerax.errors import SettingError
from lerax.names import Entry
from lerax.settings import Setting, plain, settings_of

from . import fitting, naming, wrapping
from .declared import TABLES, WRAP
from .options import TrainingPlan
from .report import BadInput, Failure

HEADER_BYTES, LEAF_BYTES = 2**12, 2**7  # of a policy's file beside its numbers: once, and for each array


@dataclass(frozen=True)
class Parts:
    """Algorithm, environment and policy of a training; nothing of them is computed yet.

    Attributes:
        plan: What was planned.
        algorithm: The algorithm.
        env: The environment, with its wrappers around it.
        policy: The policy's entry.
        policy_class: The policy's class.
        policy_form: A policy with a shape in place of each array.
        declared: How the settings are declared, by table (`env`, `policy`, `algorithm`) and name.
        settings: Their values, defaults included.
        wraps: The wrappers, the innermost first, as a file has them.
    """

    plan: TrainingPlan
    algorithm: Any
    env: Any
    policy: Entry
    policy_class: Any
    policy_form: Any
    declared: dict[str, dict[str, Setting]]
    settings: dict[str, dict[str, Any]]
    wraps: list[dict[str, Any]]

    def plain(self, table: str) -> dict[str, Any]:
        """The values of a table as a file has them."""
        return {
            name: plain(self.declared[table][name], value) for name, value in self.settings[table].items()
        }

    @property
    def policy_bytes(self) -> int:
        """The most that the policy's file takes."""
        arrays = len(jax.tree.leaves(self.policy_form))
        header = HEADER_BYTES + len(str(self.wraps))
        return header + LEAF_BYTES * arrays + footprint.size(self.policy_form)

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole training, the last iteration filled."""
        return self.algorithm.num_iterations(self.plan.steps) * self.algorithm.steps_per_iteration

    def config(self) -> dict[str, Any]:
        """What `config.toml` says: all that repeats the run."""
        plan = self.plan
        score = {} if plan.score is None else {"score": plan.score}
        wraps = {WRAP: self.wraps} if self.wraps else {}
        named = {"env": plan.env, "algorithm": plan.algorithm, "policy": self.policy}
        return {
            "seed": plan.seed,
            "steps": plan.steps,
            "preset": "none",
            "backend": plan.backends or ["none"],
            "nan": plan.nan,
            **plan.videos,
            "save_every": plan.save_every,
            "keep": plan.keep,
            **plan.layout,
            **score,
            **wraps,
            **{table: {"name": entry.name} | self.plain(table) for table, entry in named.items()},
        }

    def first_policy(self) -> Any:
        """The policy before training, from the seed."""
        policy = jax.tree_util.Partial(self.policy_class, **self.settings["policy"])
        return _first_policy(self.env, policy, np.uint32(self.plan.seed))

    def initial_state(self) -> tuple[Any, Any]:
        """The state before training and the key of the evaluation, from the seed, in one program."""
        policy = jax.tree_util.Partial(self.policy_class, **self.settings["policy"])
        with together.among(self.mesh):
            state, key = _initial(self.algorithm, self.env, policy, np.uint32(self.plan.seed))
        return state, divided.on_one(key)

    @functools.cached_property
    def mesh(self) -> Any:
        """The devices that training is divided among; None for one."""
        return _mesh(self.plan)

    def template(self, callbacks: list[Any]) -> Any:
        """The form of the states of the training, with such callbacks, on the devices that have it."""
        make = functools.partial(self.algorithm.template, callback=callbacks)
        policy = functools.partial(self.policy_class, env=self.env, **self.settings["policy"])
        form = lambda seed: make(self.env, policy(key=keys(seed)[0]))
        return divided.spread(self.algorithm, eqx.filter_eval_shape(form, np.uint32(0)), self.mesh)


def keys(seed: Any) -> Any:
    """Those of the first policy, of the training and of the evaluation."""
    return jr.split(jr.key(seed), 3)


@tree.compiled
def _first_policy(env: Any, policy: Any, seed: Any) -> Any:
    return policy(env=env, key=keys(seed)[0])


@tree.compiled
def _initial(algorithm: Any, env: Any, policy: Any, seed: Any) -> tuple[Any, Any]:
    policy_key, learn_key, evaluation_key = keys(seed)
    return algorithm.init(env, policy(env=env, key=policy_key), key=learn_key), evaluation_key


def build(plan: TrainingPlan, trainings: int = 1) -> Parts:
    """Makes the parts, and refuses what does not fit into memory before anything is compiled.

    Args:
        plan: What is trained.
        trainings: How many of these there are at a time.

    Raises:
        BadInput: A setting is unknown, out of range, or does not fit the others.
        Failure: The training needs more memory than there is.
    """
    places, given = plan.places, plan.settings
    load = lambda table, entry: naming.load(places[table], TABLES[table], entry)
    algorithm_class, env_class = load("algorithm", plan.algorithm), load("env", plan.env)
    policy = plan.policy or naming.default_policy(places["algorithm"], algorithm_class)
    policy_class = load("policy", policy)
    plan = replace(
        plan,
        env=naming.complete(plan.env, env_class),
        algorithm=naming.complete(plan.algorithm, algorithm_class),
        policy=plan.policy and naming.complete(plan.policy, policy_class),
    )
    policy = naming.complete(policy, policy_class)
    named = {
        "env": (plan.env, env_class),
        "policy": (policy, policy_class),
        "algorithm": (plan.algorithm, algorithm_class),
    }
    declared = {table: settings_of(cls) for table, (_, cls) in named.items()}
    settings = {
        table: naming.resolve(table, entry, declared[table], given[table], declared)
        for table, (entry, _) in named.items()
    }
    algorithm = naming.make(places["algorithm"], algorithm_class, settings["algorithm"], given["algorithm"])
    try:
        algorithm.num_iterations(plan.steps)
    except SettingError as error:
        if error.name != "total_timesteps":
            raise BadInput(places["algorithm"], str(error)) from None
        raise BadInput(plan.steps_from, error.reason) from None
    except ValueError as error:  # of an algorithm of somebody else
        raise BadInput(places["algorithm"], f"{plan.algorithm.name}: {error}") from error
    bare = naming.make(places["env"], env_class, settings["env"], given["env"])
    env, wraps = wrapping.around(bare, plan.wraps)
    usual = policy == registry.POLICIES.get(plan.algorithm.policy)
    if usual:
        kind = type(env.action_space).__name__
        fitting.check(places["algorithm"], plan.algorithm, plan.env.name, (kind,))
    shape_of = lambda **values: eqx.filter_eval_shape(
        lambda seed: policy_class(env=env, **values, key=jr.key(seed)), np.uint32(0)
    )
    policy_form = naming.make(places["policy"], shape_of, settings["policy"], given["policy"])
    if not usual:  # of an algorithm of ours and its own policy it is known that they fit
        learner = lambda seed: algorithm.init_learner(env, policy_form, key=jr.key(seed))
        naming.make(places["policy"], lambda: eqx.filter_eval_shape(learner, np.uint32(0)), {}, {})
    count, where = math.prod(plan.layout.values()), places["algorithm"]
    try:
        if count != 1:
            where = "--devices" if plan.processes == 1 else "--distributed"
            algorithm.check_divided(count)
        footprint.check(algorithm, env, policy_form, trainings, _mesh(plan))
    except MemoryError as error:
        raise Failure("memory", str(error)) from None
    except EnvContractError as error:
        raise BadInput(places["env"], str(error)) from error
    except SettingError as error:  # of what an algorithm gives, or that it cannot be divided
        raise BadInput(where, str(error)) from error
    if plan.processes != 1 and isinstance(env.unwrapped, AbstractHostedEnv):
        raise BadInput(where, f"{env.name} keeps its state outside of JAX (got {plan.processes} processes)")
    return Parts(plan, algorithm, env, policy, policy_class, policy_form, declared, settings, wraps)


def _mesh(plan: TrainingPlan) -> Any:
    """The devices that training is divided among; None for one."""
    return devices.mesh_of(plan.devices) if plan.layout else None


def load_backend(name: str, out: Path) -> Any:
    """A backend that was named; nothing of it is opened yet.

    Raises:
        BadInput: It cannot be made.
    """
    try:
        return registry.load_backend(name)(log_dir=out)
    except ValueError as error:
        raise BadInput("--backend", f"{name}: {error}") from error
    except (Exception, SystemExit) as error:  # a plugin may raise what it likes
        what = f"{name} is not available; {type(error).__name__}: {error}"
        raise BadInput("--backend", what) from error
