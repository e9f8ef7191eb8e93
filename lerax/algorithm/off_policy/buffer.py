"""The replay buffer: a ring of what has happened, and random draws from it."""

import equinox as eqx
import jax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from lerax import tree
from lerax.collect import Steps


class Row(eqx.Module):
    """What is kept of a step; see `Steps`."""

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    reward: Float[Array, "*batch"]
    terminal: Bool[Array, "*batch"]
    truncated: Bool[Array, "*batch"]
    next_observation: PyTree
    next_action_mask: PyTree


class Transitions(eqx.Module):
    """What an update reads, `[sample, ...]`.

    Attributes:
        observation: What the policy saw.
        action: What it did.
        action_mask: Which actions it could choose from; None for all.
        reward: The sum of `n_step` rewards, later ones discounted; of fewer where the episode ended.
        discount: What the value of `next_observation` counts; 0 where the task ended.
        next_observation: What was seen after these steps.
        next_action_mask: Which actions could be chosen from then.
    """

    observation: PyTree
    action: PyTree
    action_mask: PyTree
    reward: Float[Array, " sample"]
    discount: Float[Array, " sample"]
    next_observation: PyTree
    next_action_mask: PyTree


class ReplayBuffer(eqx.Module):
    """A ring that holds the last steps of several environments.

    All that a step has of one dtype lies side by side in one row, so that a draw is one gather for each
    dtype: pictures of bytes stay bytes.

    Attributes:
        rows: The steps by dtype.
        head: Where the next steps go, counted in steps of each environment.
        size: How many steps of each environment there are.
    """

    rows: dict[str, Shaped[Array, "time env width"]]
    head: Int[Array, ""]
    size: Int[Array, ""]
    packing: tree.Packing = eqx.field(static=True)

    @classmethod
    def empty(cls, like: Row, num_steps: int, num_envs: int) -> "ReplayBuffer":
        """A ring for `num_steps` steps of each environment; `like` is one step, or its form."""
        packing = tree.Packing(like)
        rows = {name: jnp.zeros((num_steps, num_envs, width), name) for name, width in packing.widths.items()}
        return cls(rows, jnp.array(0, jnp.int32), jnp.array(0, jnp.int32), packing)

    @property
    def num_envs(self) -> int:
        """How many environments there are."""
        return next(iter(self.rows.values())).shape[1]

    @property
    def capacity(self) -> int:
        """Steps of each environment that it holds."""
        return next(iter(self.rows.values())).shape[0]

    def added(self, steps: Steps | Row) -> "ReplayBuffer":
        """The buffer with more steps `[time, env]` in place of the oldest.

        Their number divides the capacity, so that they never go over the ring's end.
        """
        count = steps.reward.shape[0]
        assert self.capacity % count == 0, "ReplayBuffer: steps must divide the capacity"
        row = Row(**{name: getattr(steps, name) for name in Row.__dataclass_fields__})
        new = tree.Packing(row, batch_axes=2).pack(row)
        rows = {
            name: lax.dynamic_update_slice_in_dim(held, new[name].astype(held.dtype), self.head, 0)
            for name, held in self.rows.items()
        }
        head, size = (self.head + count) % self.capacity, jnp.minimum(self.size + count, self.capacity)
        return ReplayBuffer(rows, head, size, self.packing)

    def sample(
        self, batch_size: int, *, n_step: int, gamma: float | Float[Array, ""], key: Key[Array, ""]
    ) -> Transitions:
        """Draws with replacement, each step that has `n_step - 1` later ones as often as any other.

        Args:
            batch_size: How many.
            n_step: Steps whose rewards are summed (Sutton, 1988, https://doi.org/10.1007/BF00115009).
            gamma: Discount factor.
            key: PRNG key.
        """
        count = (self.size - (n_step - 1)) * self.num_envs
        number = jr.randint(key, (batch_size,), 0, count, jnp.int32)
        first = self.head - self.size + number // self.num_envs
        times = (first[:, None] + jnp.arange(n_step, dtype=jnp.int32)) % self.capacity
        places = times * self.num_envs + (number % self.num_envs)[:, None]
        flat = {name: held.reshape(-1, held.shape[-1]) for name, held in self.rows.items()}
        row: Row = self.packing.unpack({name: held[places] for name, held in flat.items()})
        done = row.terminal | row.truncated
        before = jnp.cumsum(done, axis=1, dtype=jnp.int32) - done  # ends before this step
        weight = jnp.asarray(gamma, jnp.float32) ** jnp.arange(n_step, dtype=jnp.float32)
        last = jnp.minimum(jnp.sum(before == 0, axis=1, dtype=jnp.int32), n_step) - 1
        at_last = lambda x: x[jnp.arange(batch_size), last]
        at_first = lambda x: x[:, 0]
        return Transitions(
            observation=jax.tree.map(at_first, row.observation),
            action=jax.tree.map(at_first, row.action),
            action_mask=jax.tree.map(at_first, row.action_mask),
            reward=jnp.sum(jnp.where(before == 0, weight * row.reward, 0.0), axis=1),
            discount=gamma * weight[last] * ~at_last(row.terminal),
            next_observation=jax.tree.map(at_last, row.next_observation),
            next_action_mask=jax.tree.map(at_last, row.next_action_mask),
        )
