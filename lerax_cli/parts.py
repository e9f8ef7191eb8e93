"""What a training is made of, from the names and settings of a plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerax import registry
from lerax.errors import SettingError

from . import options
from .options import Plan
from .report import BadInput, Failure

HEADER_BYTES, LEAF_BYTES = 2**12, 2**7  # of a policy's file beside its numbers: once, and for each array


@dataclass(frozen=True)
class Parts:
    """Algorithm, environment and policy of a training; nothing of them is computed yet.

    Attributes:
        plan: What was planned.
        algorithm: The algorithm.
        env: The environment.
        policy_class: The policy's class.
        policy_form: A policy with a shape in place of each array.
        settings: Every setting by table (`algorithm`, `policy`) and name, defaults included.
    """

    plan: Plan
    algorithm: Any
    env: Any
    policy_class: Any
    policy_form: Any
    settings: dict[str, dict[str, Any]]

    @property
    def policy_bytes(self) -> int:
        """The most that the policy's file takes."""
        import jax

        from lerax.algorithm import footprint

        arrays = len(jax.tree.leaves(self.policy_form))
        return HEADER_BYTES + LEAF_BYTES * arrays + footprint.size(self.policy_form)

    def config(self) -> dict[str, Any]:
        """What `config.toml` says: all that repeats the run."""
        plan = self.plan
        score = {} if plan.score is None else {"score": plan.score}
        return {
            "env": self.env.name,
            "algo": plan.algorithm.name,
            "seed": plan.seed,
            "steps": plan.steps,
            "preset": "none",
            "backend": plan.backends or ["none"],
            "nan": plan.nan,
            "video_interval": plan.video_interval,
            **score,
            **self.settings,
        }

    def initial_state(self) -> tuple[Any, Any]:
        """The state before training and the key of the evaluation, from the seed, in one program."""
        import numpy as np
        from jax import random as jr

        from lerax import tree

        @tree.compiled
        def initial(algorithm: Any, env: Any, seed: Any) -> tuple[Any, Any]:
            policy_key, learn_key, evaluation_key = jr.split(jr.key(seed), 3)
            policy = self.policy_class(env=env, **self.settings["policy"], key=policy_key)
            return algorithm.init(env, policy, key=learn_key), evaluation_key

        return initial(self.algorithm, self.env, np.uint32(self.plan.seed))


def build(plan: Plan) -> Parts:
    """Makes the parts, and refuses what does not fit into memory before anything is compiled.

    Raises:
        BadInput: A setting is unknown, out of range, or does not fit the others.
        Failure: The training needs more memory than there is.
    """
    import equinox as eqx
    import numpy as np
    from jax import random as jr

    from lerax.algorithm import footprint

    classes = {"algorithm": plan.algorithm.load(), "policy": plan.policy.load()}
    settings = {table: options.all_settings(cls, plan.settings[table]) for table, cls in classes.items()}
    try:
        algorithm = classes["algorithm"](**settings["algorithm"])
        algorithm.num_iterations(plan.steps)
    except SettingError as error:
        raise BadInput(_place(plan, error.name), error.reason) from None
    except ValueError as error:  # of an algorithm of somebody else
        raise BadInput("--algo", f"{plan.algorithm.name}: {error}") from error
    env, policy_class = plan.env.load()(), classes["policy"]
    make = lambda seed: policy_class(env=env, **settings["policy"], key=jr.key(seed))
    policy_form = eqx.filter_eval_shape(make, np.uint32(0))
    try:
        footprint.check(algorithm, env, policy_form)
    except MemoryError as error:
        raise Failure("memory", str(error)) from None
    return Parts(plan, algorithm, env, policy_class, policy_form, settings)


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


def _place(plan: Plan, name: str) -> str:
    """Where a value came from that does not fit the others."""
    if name == "total_timesteps":
        return plan.steps_from
    given = plan.settings["algorithm"].get(name)
    return f"{given.where}: {given.name}" if given is not None else name
