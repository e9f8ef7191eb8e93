"""Which algorithms fit an environment, and which one trains it where none is named; of ours without JAX."""

import math
from collections.abc import Mapping
from typing import Any

from lerax import registry
from lerax.errors import SettingError
from lerax.names import Entry
from lerax.registry import ALGORITHM, ENV, POLICY

from .declared import action_kinds
from .report import BadInput

DEFAULT_ALGORITHM = "ppo"  # where nothing else is known: it fits any actions that one of ours does
Kinds = tuple[str, ...] | None
SECONDS = "seconds"  # of a preset, that training took where it was measured
CLEARLY = 2.0  # how many times as long the default may take: less than that differs from machine to machine


def fitting(kinds: Kinds) -> list[Entry]:
    """Our algorithms that fit actions of such kinds; all where that is not known."""
    known = {entry: action_kinds("algorithm", entry) or () for entry in registry.ALGORITHMS.values()}
    return [entry for entry, own in known.items() if kinds is None or {*kinds} <= {*own}]


def default_algorithm(env: Entry | None, presets: Mapping[str, Mapping[str, Any]], policy: str = "") -> Entry:
    """The algorithm that trains an environment where none is named.

    Of those that fit, it is the one whose preset reaches its score soonest; PPO where no other takes less
    than half of its time, or where no preset says.

    Args:
        env: The environment.
        presets: The tuned settings that count, by algorithm.
        policy: The policy that is named: an algorithm comes with it if it is that of one.
    """
    fit = fitting(action_kinds("env", env) if env else None) or [registry.ALGORITHMS[DEFAULT_ALGORITHM]]
    named = registry.POLICIES.get(policy)
    policy = named.policy if named and named.policy else policy
    fit = [entry for entry in fit if entry.policy.lower() == policy.lower()] or fit
    handicap = lambda entry: 1.0 if entry.name == DEFAULT_ALGORITHM else CLEARLY
    seconds = lambda entry: presets[entry.name].get(SECONDS, math.inf) * handicap(entry)
    scored = [entry for entry in fit if "score" in presets.get(entry.name, {})]
    if scored:
        return min(scored, key=seconds)
    return next((entry for entry in fit if entry.name == DEFAULT_ALGORITHM), fit[0])


def check(where: str, algorithm: Entry, env: str, kinds: Kinds) -> None:
    """Refuses one of our algorithms, with its own policy, for an environment that it does not fit.

    Args:
        where: What to call the algorithm's place in an error.
        algorithm: The algorithm.
        env: The environment's name.
        kinds: Of what kind its actions are; None where that is not known.

    Raises:
        BadInput: It does not fit; the message names those that do.
    """
    own = action_kinds("algorithm", algorithm)
    if kinds is None or own is None or {*kinds} <= {*own}:
        return
    others = ", ".join(entry.name for entry in fitting(kinds)) or "none of ours"
    what = f"is for {' or '.join(own)} actions, which {env} does not have (got {', '.join(kinds)})"
    raise BadInput(where, f"{algorithm.name} {what}; fitting: {others}")


def misfit(algorithm: Any, env: Any) -> str:
    """Why an algorithm does not train its own policy in an environment, asked by making both; "" if it does.

    Args:
        algorithm: The algorithm's class, or a function that makes one.
        env: The environment.

    Raises:
        Exception: Whatever others' code raises.
    """
    import equinox as eqx
    import numpy as np
    from jax import random as jr

    from . import naming

    def learner(seed: Any) -> Any:
        made, key = algorithm(), jr.key(seed)
        policy = naming.load("policy", POLICY, naming.default_policy("algorithm", made))(env=env, key=key)
        return made.init_learner(env, policy, key=key)

    try:
        eqx.filter_eval_shape(learner, np.uint32(0))
    except SettingError as error:
        return str(error)
    return ""


def action_kinds_from_classes() -> dict[str, dict[str, list[str]]]:
    """The kinds of actions of our environments, and those that our algorithms train their policies for.

    Kinds that no environment of ours has are tried in one whose actions are said to be of that kind.
    """
    from lerax.space import Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
    from lerax.wrapper import TransformAction

    envs = {name: entry.load()() for name, entry in ENV.entries.items()}
    kinds = {name: type(env.action_space).__name__ for name, env in envs.items()}
    one_of_each = {kind: envs[name] for name, kind in reversed(kinds.items())}
    two = Discrete(2)
    for space in (MultiDiscrete((2, 3)), MultiBinary(2), Dict({"one": two}), Tuple((two, two))):
        any_env = next(iter(envs.values()))
        one_of_each.setdefault(type(space).__name__, TransformAction(any_env, lambda action: action, space))
    classes = {name: entry.load() for name, entry in ALGORITHM.entries.items()}
    return {
        "env": {name: [kind] for name, kind in kinds.items()},
        "algorithm": {
            name: [kind for kind in sorted(one_of_each) if not misfit(cls, one_of_each[kind])]
            for name, cls in classes.items()
        },
    }
