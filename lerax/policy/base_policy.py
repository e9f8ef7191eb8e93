"""What every policy offers."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Key, PyTree

from lerax import checkpoint, tree
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.settings import check_instance
from lerax.space import AbstractIntegers, AbstractSpace, Box, Dict, Tuple

from . import saving

P = TypeVar("P", bound="AbstractPolicy")


class AbstractPolicyState(eqx.Module):
    """What a policy's memory may derive from; any tree of arrays will do."""


class AbstractPolicy(eqx.Module):
    """Chooses actions from observations.

    All methods are for one observation; use `jax.vmap` for batches.

    Attributes:
        name: Name of the policy.
        action_space: Space of the actions.
        observation_space: Space of the observations.
        through_time: Whether gradients of actor-critics go through the memory, back to the beginning of the
            rollout or the episode; else they go through one step.
    """

    through_time: ClassVar[bool] = False

    name: eqx.AbstractVar[str]
    action_space: eqx.AbstractVar[AbstractSpace]
    observation_space: eqx.AbstractVar[AbstractSpace]

    @abstractmethod
    def __call__(
        self,
        state: PyTree,
        observation: PyTree,
        *,
        key: Key[Array, ""] | None = None,
        action_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[PyTree, PyTree]:
        """Acts.

        Args:
            state: The policy's memory, None where it has none.
            observation: What the environment shows.
            key: PRNG key to sample the action with; None for the most probable action.
            action_mask: Which actions are allowed.

        Returns:
            The next memory and the action.
        """

    def trainable(self) -> PyTree:
        """Which leaves gradients change: a tree of this policy's structure with a boolean for each.

        By default all floating arrays, but those of a `lerax.tree.Untrained` part.
        """
        return tree.trainable(self)

    def reset(self, *, key: Key[Array, ""]) -> PyTree:
        """The memory at the beginning of an episode; None, the default, for none."""
        return None

    def after_rollout(self, observation: PyTree) -> "AbstractPolicy":
        """The policy after new observations: what it learns from them other than by gradients.

        Args:
            observation: Those that training has seen since the last call, `[sample, ...]`.

        Returns:
            By default the policy as it is.
        """
        return self

    def serialize(self, path: str | Path, metadata: dict[str, Any] | None = None) -> None:
        """Saves the policy, with its settings and a fingerprint of its structure, sizes and spaces.

        Args:
            path: The file; its folder is made.
            metadata: What else the file is to say, as JSON has it. With `{"env": "CartPole-v1"}`
                `lerax eval FILE` knows where it plays.

        Raises:
            OSError: The file cannot be written; what was there before is still there.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(path, self, saving.facts_of(self) | (metadata or {}))

    @classmethod
    def deserialize(
        cls: type[P],
        path: str | Path,
        env: AbstractEnvLike,
        *,
        key: Key[Array, ""] | None = None,
        **settings: Any,
    ) -> P:
        """A policy of this class from a file of `serialize`, or one of a run.

        Args:
            path: The file.
            env: The environment to act in, whose spaces are those of the file.
            key: Is taken and not needed: nothing is random here.
            settings: What the file's settings have to be; those that are left out are the file's.

        Raises:
            MisfitError: The file is of a policy of another structure, size, setting or space.
            CheckpointError: The file is damaged.
            OSError: The file cannot be read.
        """
        return saving.deserialize(cls, path, env, settings)


def check_policy(policy: object, env: AbstractEnvLike) -> None:
    """Refuses what is no policy, or one that another environment's spaces were made for.

    Raises:
        SettingTypeError: It is no instance of a policy's class.
        SettingError: It was made for another environment.
    """
    form = "MLPActorCriticPolicy(env, key=jax.random.key(0))"
    check_instance("policy", policy, AbstractPolicy, form)
    for name in ("observation_space", "action_space"):
        own, wanted = (form_of(getattr(one, name)) for one in (policy, env))
        if own != wanted:
            said = f"its {name} is {own}, that of {env.name} is {wanted}"
            hint = f"make one for it, such as {form}"
            raise SettingError("policy", policy, wrong="made for another environment", hint=hint, said=said)


def form_of(space: AbstractSpace) -> str:
    """What a policy depends on; the bounds of a box may change."""
    kind = type(space).__name__
    match space:
        case AbstractIntegers():
            return repr(space)
        case Dict():
            return f"{kind}({', '.join(f'{name}: {form_of(part)}' for name, part in space.items())})"
        case Tuple():
            return f"{kind}({', '.join(map(form_of, space.parts))})"
    bytes_ = " of bytes" if isinstance(space, Box) and space.dtype == np.uint8 else ""
    return f"{kind} of shape {space.shape}{bytes_}"
