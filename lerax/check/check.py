"""What is checked of an environment, one after the other."""

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax import random as jr
from jaxtyping import PyTree

from lerax import tree
from lerax.env import AbstractEnvLike, EnvContractError
from lerax.env.hosted import AbstractHostedEnv
from lerax.env.step import begin_episode, check_contract
from lerax.errors import told
from lerax.policy.base_policy import form_of
from lerax.render import AbstractFrameSource, headless_renderer
from lerax.render.base_renderer import check_frame
from lerax.settings import check_count, setting_values
from lerax.space import Box

from .play import First, Played, difference, first_step, play

ATTRIBUTES = {"name": "name", "action_space": "spaces", "observation_space": "spaces"}
LARGE = 1e6  # of a reward, with which a value function learns nothing
NARROW, WIDE = 0.01, 100.0  # half the width of an action, where the first ones have the deviation 1
WIDTH, HEIGHT = 64, 48  # of the picture that is tried


class Finding(NamedTuple):
    """What came of one check.

    Attributes:
        name: What was checked.
        ok: Whether it is all right.
        got: What the environment gave.
        wanted: What it has to give.
        hint: How to mend it; "" where nothing is wrong.
    """

    name: str
    ok: bool
    got: str
    wanted: str
    hint: str = ""


def check_env(env: AbstractEnvLike, *, num_steps: int = 1000, num_envs: int = 8) -> list[Finding]:
    """Holds an environment against its contract, and plays random episodes of it.

    Args:
        env: The environment, wrapped or not.
        num_steps: Steps of each environment: more than an episode has.
        num_envs: Environments side by side.

    Returns:
        What was found, in the order in which it was looked at. Where an attribute or a method breaks the
        contract that is the last one: nothing else can be computed.

    Raises:
        TypeError: It is no environment.
        SettingError: A number is below 1.
    """
    check_count("num_steps", num_steps)
    check_count("num_envs", num_envs)
    found = _contract(env)
    if not found[-1].ok:
        return found
    found += [check(env) for check in (_static, _types, _traces)]
    if not all(one.ok for one in found):
        return found
    played = play(env, jr.key(0), num_envs, num_steps)
    if isinstance(
        env.unwrapped, AbstractHostedEnv
    ):  # no pure function: what repeats a step asks nothing of it
        found.append(_alive(env, played))
        checks = [check for check in PLAYED if check is not _reset] if found[-1].ok else []
    else:
        found += _mapped(env, played)
        checks = PLAYED
    found += [check(env, played) for check in checks]
    return [*found, _picture(env, played)]


def _alive(env: AbstractEnvLike, played: Played) -> Finding:
    """Whether an environment outside of JAX has come through all of its steps."""
    wanted = "steps without an exception, with what the spaces say, within `timeout` seconds"
    fault = env.fault(played.first.state)
    hint = "mend what raised" if fault else ""
    return Finding("steps", fault is None, "all were taken" if fault is None else str(fault), wanted, hint)


def _contract(env: AbstractEnvLike) -> list[Finding]:
    try:
        check_contract(env)
    except EnvContractError as error:
        attribute = error.method.rpartition(".")[2]
        name = ATTRIBUTES.get(attribute, "contract")
        hint = "mend the attribute" if name != "contract" else f"mend `{attribute}`"
        return [Finding(name, False, f"{error.method}: {error.got}", error.wanted, hint)]
    spaces = f"{form_of(env.action_space)} to act in, {form_of(env.observation_space)} to see"
    return [
        Finding("name", True, env.name, "a string"),
        Finding("spaces", True, spaces, "spaces of lerax.space"),
        Finding("contract", True, "every method fits", "structures, shapes and dtypes that stay the same"),
    ]


def _static(env: AbstractEnvLike) -> Finding:
    """Compiled programs are found again by what is no array."""
    wanted = "arrays as data, and static fields that can be hashed and compared"
    leaves, structure = jax.tree.flatten(eqx.filter(env, eqx.is_array, inverse=True))
    try:
        hash((structure, tuple(leaves)))
        _ = structure == jax.tree.structure(copy.deepcopy(env))
    except (TypeError, ValueError) as error:
        hint = "a tuple for an array or a list, pairs for a dict; arrays in fields that are not static"
        return Finding("static", False, str(error).splitlines()[0], wanted, hint)
    declared = ", ".join(f"{name}={value!r}" for name, value in setting_values(env).items())
    return Finding("static", True, f"settings: {declared or 'none'}", wanted)


def _types(env: AbstractEnvLike) -> Finding:
    wanted = "the dtypes of a state's first and later numbers said alike"

    def weak(state: PyTree) -> dict[str, bool]:
        leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(state, _has_type))[0]
        return {jax.tree_util.keystr(path): bool(leaf.weak_type) for path, leaf in leaves}

    def states(key: Any) -> tuple[PyTree, PyTree]:
        state, _ = begin_episode(env, key=key, show_key=key)
        return state, env.transition(state, env.action_space.sample(key=key), key=key)

    first, second = map(weak, eqx.filter_eval_shape(states, jr.key(0)))
    changed = [name for name in first if first[name] != second.get(name, first[name])]
    if changed:
        said = {True: "a number without a dtype (a weak type)", False: "an array of a dtype"}
        got = f"{changed[0]} is {said[first[changed[0]]]} in `initial`, not so after `transition`"
        return Finding("types", False, got, wanted, "jnp.array(0.0, jnp.float32) in place of 0.0")
    return Finding("types", True, "stay as they are", wanted)


def _has_type(leaf: Any) -> bool:
    return hasattr(leaf, "weak_type")


def _traces(env: AbstractEnvLike) -> Finding:
    """Python that remembers makes another program the second time."""
    wanted = "the same program each time that it is traced"

    def trace() -> tuple[str, list[Any]]:
        program = eqx.filter_make_jaxpr(lambda key: first_step(env, key))(jr.key(0))[0]
        return re.sub(r"0x[0-9a-f]+", "", str(program.jaxpr)), tree.without_keys(program.consts)

    (one, consts), (other, other_consts) = trace(), trace()
    if one != other or difference(consts, other_consts) is not None:
        pairs = zip(one.splitlines(), other.splitlines(), strict=False)
        line = next((f"{a.strip()}, then {b.strip()}" for a, b in pairs if a != b), "another constant")
        hint = "keep what changes in the state, draw with jax.random and `key`: no NumPy, no globals"
        return Finding("traces", False, f"two programs: {line[:120]}", wanted, hint)
    return Finding("traces", True, "the same program twice", wanted)


def _mapped(env: AbstractEnvLike, played: Played) -> Iterator[Finding]:
    """A step that is computed at once, compiled, and mapped over environments; the same twice."""
    mapped, plain = _of_one(played.first), tree.on_host(first_step(env, played.key))
    jitted, apart = mapped, difference(_seen(plain), _seen(mapped))
    if apart is not None:  # whose fault it is takes a program more
        jitted = tree.on_host(tree.compiled(first_step)(env, played.key))
    hint = "no Python `if` on what is an array or traced; callbacks with the right vmap_method"
    for name, one, other, words in (
        ("jit", plain, jitted, ("as it is", "under jax.jit")),
        ("vmap", jitted, mapped, ("alone", "under jax.vmap")),
    ):
        apart, wanted = difference(_seen(one), _seen(other)), f"the same step {words[0]} and {words[1]}"
        got = f"{apart[0]} {words[0]}, {apart[1]} {words[1]}" if apart else "the same"
        yield Finding(name, apart is None, got, wanted, hint if apart else "")
    apart = difference((played.first, played.steps), played.again)
    got = f"{apart[0]}, then {apart[1]}" if apart else "the same"
    hint = "draw with jax.random and `key`, not in a callback" if apart else ""
    yield Finding("determinism", apart is None, got, "the same episodes with the same key", hint)


def _seen(first: First) -> dict[str, PyTree]:
    """What a step shows; a state may be the bits of other numbers, in which rounding is no small thing."""
    taken = first.taken
    shown = {"first observation": first.observation, "observation": taken.next_observation}
    return shown | {"reward": taken.reward, "terminal": taken.terminal, "truncate": taken.truncated}


def _of_one(found: PyTree) -> PyTree:
    """What was found of the first environment."""
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]) if isinstance(leaf, np.ndarray) else leaf, found)


def _start(env: AbstractEnvLike, played: Played) -> Finding:
    over = int(np.sum(played.first.over))
    got = f"{over} of {played.first.over.size} initial states are over" if over else "none is over"
    hint = "`terminal` and `truncate` are False in what `initial` gives" if over else ""
    return Finding("start", not over, got, "initial states in which the episode goes on", hint)


def _reset(env: AbstractEnvLike, played: Played) -> Finding:
    first, wanted = played.first, "a state of `initial` where an episode ended, any other as it is"
    for one, other, said, hint in (
        (first.state, first.drawn, "`begin` of `draw`", "`initial(key=key)` is `begin(draw(key=key))`"),
        (first.taken.next_state, first.kept, "`begin`", "`begin` changes only what `draw` has left open"),
    ):
        if apart := difference(one, other):
            return Finding("reset", False, f"{apart[1]} by {said} (not {apart[0]})", wanted, hint)
    return Finding("reset", True, "as in `initial`", wanted)


def _finite(env: AbstractEnvLike, played: Played) -> Finding:
    steps = played.steps
    bad = [
        f"{np.sum(~good):,} of {good.size:,} {what}"
        for what, good in (("observations", steps.finite), ("rewards", np.isfinite(steps.reward)))
        if not good.all()
    ]
    hint = "guard divisions, roots and logarithms, on both sides of jnp.where" if bad else ""
    got = f"NaN or infinite: {', '.join(bad)}" if bad else "all are"
    return Finding("finite", not bad, got, "numbers in observations and rewards", hint)


def _bounds(env: AbstractEnvLike, played: Played) -> Finding:
    steps, space = played.steps, form_of(env.observation_space)
    outside = np.sum(~steps.inside)
    extent = f"from {np.nanmin(steps.low):.6g} to {np.nanmax(steps.high):.6g}"
    got = f"{extent}, {outside:,} of {steps.inside.size:,} outside" if outside else extent
    hint = "wider bounds, or jnp.clip in `observation`" if outside else ""
    return Finding(
        "bounds", not outside, got, f"observations within the {space} that observation_space is", hint
    )


def _rewards(env: AbstractEnvLike, played: Played) -> Finding:
    rewards = played.steps.reward[np.isfinite(played.steps.reward)]
    if not rewards.size:
        return Finding("rewards", True, "none is finite", f"less than {LARGE:g} each way")
    ok = bool(np.max(np.abs(rewards)) < LARGE)
    got = f"from {np.min(rewards):.6g} to {np.max(rewards):.6g}, {np.mean(rewards):.6g} on average"
    hint = "" if ok else "another unit, or lerax.wrapper.ScaleReward"
    return Finding("rewards", ok, got, f"less than {LARGE:g} each way", hint)


def _mask(env: AbstractEnvLike, played: Played) -> Finding:
    none = np.sum(~played.steps.allowed)
    got = f"none in {none:,} of {played.steps.allowed.size:,} states" if none else "at least one"
    hint = "allow one, or end the episode there: `terminal`" if none else ""
    return Finding("mask", not none, got, "an action that `action_mask` allows", hint)


def _actions(env: AbstractEnvLike, played: Played) -> Finding:
    """Whether Gaussian actions, at first about 0 with the deviation 1, are many within their bounds."""
    wanted = f"bounds about 0, from {NARROW} to {WIDE:.0f} apart from their middle"
    space = env.action_space
    if not isinstance(space, Box):
        return Finding("actions", True, "choices", wanted)
    low, high = (np.asarray(bound, np.float64) for bound in space.bounds)
    with np.errstate(invalid="ignore"):
        half = (high - low) / 2  # infinite where there is a bound on one side alone
    far = (low > 1) | (high < -1) | (half < NARROW) | (np.isfinite(half) & (half > WIDE))
    far &= half != 0  # which is no choice
    got = f"from {low.min(initial=0):.6g} to {high.max(initial=0):.6g}"
    if far.any():
        first = tuple(np.argwhere(far)[0])
        got = f"from {low[first]:.6g} to {high[first]:.6g} in {int(far.sum())} of {far.size} numbers"
    hint = "--wrap rescale_action, or lerax.wrapper.RescaleAction; SAC and its like need none"
    return Finding("actions", not far.any(), got, wanted, hint if far.any() else "")


def _ends(env: AbstractEnvLike, played: Played) -> Finding:
    steps = played.steps
    done = steps.terminal | steps.truncated
    count, (length, envs) = int(done.sum()), done.shape
    wanted = "episodes that end, by `terminal` or `truncate`"
    if not count:
        hint = "a limit in `truncate`, or lerax.wrapper.TimeLimit; if there is a later one, take more steps"
        return Finding("ends", False, f"no end in {envs} x {length:,} random steps", wanted, hint)
    if done.all() and length > 1:
        hint = (
            "`terminal` or `truncate` is True in every state: compare with the place or the time of the end"
        )
        return Finding("ends", False, "every episode has ended with its first step", wanted, hint)
    taken = sum(int(np.flatnonzero(row)[-1]) + 1 for row in done.T if row.any())  # by episodes with an end
    got = f"{count:,} episodes, of {taken / count:,.3g} steps on average"
    return Finding("ends", True, got, wanted)


def _apart(env: AbstractEnvLike, played: Played) -> Finding:
    terminal, truncated = played.steps.terminal, played.steps.truncated
    wanted = "`terminal` for the task that is over, `truncate` for the time that is up"
    if truncated.any() and (terminal == truncated).all():
        hint = (
            "leave the time out of `terminal`: after a truncation the last value counts, then nothing would"
        )
        return Finding("truncation", False, "both, whenever an episode ends", wanted, hint)
    got = f"{int(terminal.sum()):,} terminations, {int(truncated.sum()):,} truncations"
    return Finding("truncation", True, got, wanted)


def _speed(env: AbstractEnvLike, played: Played) -> Finding:
    per_second = played.steps.reward.size / max(played.seconds, 1e-9)
    got = f"{per_second:,.0f} steps per second in {played.steps.reward.shape[1]} environments"
    return Finding("speed", True, got, "a figure to compare with")


def _picture(env: AbstractEnvLike, played: Played) -> Finding:
    inner, wanted = type(env.unwrapped), f"a frame, uint8 [{HEIGHT}, {WIDTH}, 3], that shows something"
    if inner.render is AbstractEnvLike.render:
        return Finding("picture", True, "not drawn: its class has no `render`", wanted)
    try:
        state, drawn = _of_one(played.first.state), env.to_be_drawn()
        if drawn is not env:  # it draws while it is played
            state = tree.on_host(eqx.filter_jit(lambda: drawn.initial(key=jr.key(0)))())
        renderer: AbstractFrameSource = headless_renderer(env, WIDTH, HEIGHT)
        with renderer:
            env.render(state, renderer)
            frame = renderer.as_array()
        check_frame(frame, (HEIGHT, WIDTH, 3))
    except Exception as error:  # others' code may raise what it likes
        hint = "`render` takes a state of NumPy arrays; `default_renderer` gives a renderer"
        return Finding("picture", False, told(error).splitlines()[0], wanted, hint)
    if (frame == frame[0, 0]).all():
        hint = "draw between `renderer.clear()` and `renderer.draw()`, in what the transform shows"
        return Finding("picture", False, "a frame of one colour", wanted, hint)
    return Finding("picture", True, "drawn", wanted)


PLAYED: tuple[Callable[[AbstractEnvLike, Played], Finding], ...] = (
    _start,
    _reset,
    _finite,
    _bounds,
    _rewards,
    _mask,
    _actions,
    _ends,
    _apart,
    _speed,
)
