"""Policies as ONNX files, which act without JAX; each is tried against its policy before it is written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from jaxtyping import Array, Key, PyTree

from lerax import __version__, tree
from lerax.collect import Steps, begin_all, collect
from lerax.env import AbstractEnvLike
from lerax.errors import SettingError
from lerax.files import write_atomically
from lerax.fingerprint import fingerprint
from lerax.policy import AbstractPolicy
from lerax.policy.base_policy import check_policy
from lerax.space import AbstractComposite, AbstractSpace, Box, Discrete, MultiBinary, MultiDiscrete

if TYPE_CHECKING:
    from onnx import ModelProto

NUM_ENVS = 10
TOLERANCE = 1e-4
"""How far a number may be off, by the number's own size where that exceeds 1."""
OBSERVATION, MASK, ACTION = "observation", "action_mask", "action"
SCORES = "q_values", "log_probs", "logits"
"""Outputs that choices are made by."""


class ExportError(ValueError):
    """What was exported acts otherwise than its policy."""


class Exported(NamedTuple):
    """What was exported.

    Attributes:
        inputs: What the file takes, by name, with dtype and shape.
        outputs: What it gives, likewise; the first is the greedy action.
        observations: For how many it was tried.
        difference: The largest difference of any output from the policy's, by the number's size.
        ties: Observations for which it took another action that is worth as much.
        bytes: The file's size.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]
    observations: int
    difference: float
    ties: int
    bytes: int


def export(
    path: str | Path,
    policy: AbstractPolicy,
    env: AbstractEnvLike,
    *,
    key: Key[Array, ""],
    metadata: dict[str, Any] | None = None,
    num_observations: int = 1000,
) -> Exported:
    """Writes a policy as an ONNX file for a batch of any size.

    The file takes `observation [batch, ...]`, and where the environment has one the `action_mask`, and gives
    the greedy `action` in the environment's units: what normalises observations is in it, and actions are
    clipped to their box. It also gives `q_values` or the parameters of the policy's distribution.

    Args:
        path: The file.
        policy: The policy.
        env: Where it is tried: what it sees there is what both are compared on.
        key: PRNG key of the trial.
        metadata: What else the file is to say.
        num_observations: How many observations it is tried on.

    Raises:
        SettingError: The policy has a memory, it sees or does what is made of several parts, or an operation
            in it has no place in such a file.
        ExportError: The file acts otherwise than the policy; nothing is written.
        ImportError: The packages of the extra `onnx` are missing.
        OSError: The file cannot be written.
    """
    from lerax import onnx_graph  # an extra

    check_policy(policy, env)
    _check_form(policy)
    given = _seen(policy, env, key, num_observations)
    forms = {name: jax.ShapeDtypeStruct(values.shape[1:], values.dtype) for name, values in given.items()}
    act = lambda *inputs: _outputs(policy, *inputs)
    facts = {"lerax": __version__, "env": env.name, "fingerprint": fingerprint(policy), **(metadata or {})}
    model = onnx_graph.to_onnx(
        act, forms, {name: str(value) for name, value in facts.items()}, name=policy.name
    )
    data = model.SerializeToString()
    wanted = jax.tree.map(np.asarray, tree.compiled(jax.vmap(act))(*given.values()))
    difference, ties = _compare(_run(data, given), wanted, policy.action_space)
    write_atomically(Path(path), data)
    return Exported(_said(given), _said(wanted), num_observations, difference, ties, len(data))


def to_onnx(policy: AbstractPolicy, output_path: str | Path | None = None) -> "ModelProto":
    """A policy as a graph for one observation, without a batch; it is not tried, as `export` does.

    Args:
        policy: The policy.
        output_path: Where to write it, too; None for nowhere.

    Returns:
        The graph, which gives what `export` writes.

    Raises:
        SettingError: See `export`.
        ImportError: The packages of the extra `onnx` are missing.
        OSError: The file cannot be written.
    """
    from lerax import onnx_graph

    _check_form(policy)
    form = jax.eval_shape(lambda: policy.observation_space.sample(key=jr.key(0)))
    facts = {"lerax": __version__, "fingerprint": fingerprint(policy)}
    act = lambda observation: _outputs(policy, observation)
    model = onnx_graph.to_onnx(act, {OBSERVATION: form}, facts, name=policy.name, batched=False)
    if output_path is not None:
        write_atomically(Path(output_path), model.SerializeToString())
    return model


def _check_form(policy: AbstractPolicy) -> None:
    """Refuses a policy that such a file has no place for."""
    if policy.reset(key=jr.key(0)) is not None:
        wrong, hint = "has a memory, which such a file does not keep", "export one without"
        raise SettingError("policy", policy, wrong=wrong, hint=hint, said=policy.name)
    for what, space in (("observations", policy.observation_space), ("actions", policy.action_space)):
        if isinstance(space, AbstractComposite):
            wrong = f"its {what} are made of several parts, which such a file does not take"
            hint = "train one in FlattenObservation(env)" if what == "observations" else "export another one"
            raise SettingError("policy", policy, wrong=wrong, hint=hint, said=policy.name)


def _outputs(policy: Any, observation: PyTree, mask: Array | None = None) -> dict[str, Array]:
    """What the file gives for one observation."""
    action = policy(None, observation, action_mask=mask)[1]
    space = policy.action_space
    found = {ACTION: space.clip(action) if isinstance(space, Box) else action}
    if hasattr(policy, "q_values"):
        found["q_values"] = policy.q_values(observation)
    elif hasattr(policy, "distribution"):
        one = policy.distribution(observation) if mask is None else policy.distribution(observation, mask)
        leaves = jax.tree_util.tree_flatten_with_path(one)[0]
        found |= {jax.tree_util.keystr(path[-1:]).lstrip("."): leaf for path, leaf in leaves}
    return found


def _seen(policy: AbstractPolicy, env: AbstractEnvLike, key: Array, count: int) -> dict[str, np.ndarray]:
    """What a policy sees that samples its actions, and the masks there."""

    def act(state: PyTree, observation: PyTree, mask: PyTree, key: Array) -> tuple[PyTree, PyTree, None]:
        return *policy(state, observation, key=key, action_mask=mask), None

    def play(key: Array) -> Steps:
        begin_key, key = jr.split(key)
        standing = begin_all(env, policy, jr.split(begin_key, (NUM_ENVS, 3)))
        steps = -(-count // NUM_ENVS)
        return collect(env, policy, act, standing, noise=lambda key: key, key=key, num_steps=steps)[1]

    steps = tree.compiled(play)(key)
    named = {OBSERVATION: steps.observation, MASK: steps.action_mask}
    flat = lambda values: np.asarray(values).reshape(-1, *values.shape[2:])[:count]
    return {name: flat(values) for name, values in named.items() if eqx.is_array(values)}


def _run(data: bytes, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What onnxruntime makes of a file."""
    import onnxruntime

    library: Any = onnxruntime  # whose types leave some of its names out
    options = library.SessionOptions()
    options.log_severity_level = 3  # it warns of constants that it folds away
    session = library.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(names, given)), strict=True))


def _compare(
    found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], space: AbstractSpace
) -> tuple[float, int]:
    """The largest difference, and how many choices are others that are worth as much.

    Raises:
        ExportError: They are not the same.
    """
    largest, ties = 0.0, 0
    for name, values in wanted.items():
        if (found[name].dtype, found[name].shape) != (values.dtype, values.shape):
            said = f"{found[name].dtype}{list(found[name].shape)}"
            raise ExportError(f"{name} is {said} (expected {values.dtype}{list(values.shape)})")
        if name == ACTION and values.dtype.kind == "i":
            others = np.flatnonzero((found[name] != values).reshape(len(values), -1).any(axis=1))
            ties = len(others)
            scores = next((wanted[key] for key in SCORES if key in wanted), None)
            for i in others:
                one, other = np.asarray(found[name][i]), np.asarray(values[i])
                if scores is None or not _worth_as_much(space, scores[i], one, other):
                    raise ExportError(f"another action for observation {i} ({one}, not {other})")
            continue
        one, other = np.float64(found[name]), np.float64(values)
        with np.errstate(invalid="ignore"):
            off = np.where(one == other, 0, np.abs(one - other) / np.maximum(1, np.abs(other)))
        largest = max(largest, float(off.max()))
        if not off.max() <= TOLERANCE:
            raise ExportError(f"{name} differs by {off.max():.3g} (allowed: {TOLERANCE:g})")
    return largest, ties


def _worth_as_much(space: AbstractSpace, scores: np.ndarray, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two actions, number by number, have the same scores, but for rounding."""

    def worth(action: np.ndarray) -> np.ndarray:
        if isinstance(space, MultiBinary):
            return np.where(action == 1, scores, 0)
        if isinstance(space, MultiDiscrete):
            return np.array([scores[part][i] for part, i in zip(space.parts, action, strict=True)])
        return scores[[int(action) - space.start]] if isinstance(space, Discrete) else np.full(1, np.nan)

    inside = bool(space.contains(jnp.asarray(one)))
    return inside and np.allclose(worth(one), worth(other), rtol=TOLERANCE, atol=TOLERANCE)


def _said(values: dict[str, np.ndarray]) -> dict[str, str]:
    return {name: f"{a.dtype}[{', '.join(('batch', *map(str, a.shape[1:])))}]" for name, a in values.items()}
