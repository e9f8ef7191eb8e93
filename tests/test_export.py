"""Policies as ONNX files: onnxruntime, which knows no JAX, does what they do."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import terminal
from in_process import run as lerax
from jax import lax
from jax import numpy as jnp
from jax import random as jr
from made_runs import make
from toys import Late, Masked, Remembers

from lerax import __version__, checkpoint
from lerax import export as exporting
from lerax.env.classic_control import Acrobot, CartPole, Pendulum
from lerax.errors import SettingError
from lerax.export import ExportError, export
from lerax.fingerprint import fingerprint
from lerax.policy import (
    MLPActorCriticPolicy,
    MLPCategoricalPolicy,
    MLPDeterministicPolicy,
    MLPQPolicy,
    MLPSquashedGaussianPolicy,
)
from lerax.space import Box, Discrete, MultiBinary, MultiDiscrete

there = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not there, reason="needs the extra `onnx`, which `make test` installs")


class Counts(CartPole):
    """It shows whole numbers."""

    observation_space = Discrete(5, start=-2)

    def observation(self, state, *, key):
        return self.observation_space.sample(key=key)


class Rows(Counts):
    observation_space = MultiDiscrete([2, 3])


class Switches(Counts):
    observation_space = MultiBinary((2, 2))


KINDS = [
    (MLPActorCriticPolicy, CartPole, {}),
    (MLPActorCriticPolicy, Pendulum, {"normalize_observations": True}),
    (MLPActorCriticPolicy, Acrobot, {"layer_norm": True, "activation": "elu", "shared_trunk": True}),
    (MLPQPolicy, CartPole, {"normalize_observations": True, "dueling": True}),
    (MLPCategoricalPolicy, CartPole, {"activation": "gelu"}),
    (MLPDeterministicPolicy, Pendulum, {"activation": "silu"}),
    (MLPSquashedGaussianPolicy, Pendulum, {"layer_norm": True}),
    (MLPQPolicy, Counts, {}),
    (MLPActorCriticPolicy, Rows, {}),
    (MLPActorCriticPolicy, Switches, {"normalize_observations": True}),
]
IDS = [f"{cls.__name__}-{env.__name__}" for cls, env, _ in KINDS]


def session(path):
    from onnxruntime import InferenceSession

    return InferenceSession(str(path), providers=["CPUExecutionProvider"])


def made(cls, env, settings):
    """A policy with weights of a size that training gives, and statistics of what it saw."""
    policy = cls(env, hidden_sizes=(16, 8), **settings, key=jr.key(0))
    seen = observations(space := policy.observation_space, 100, 1)
    return policy.after_rollout(3 + 2 * seen if isinstance(space, Box) else seen)


def observations(space, count, seed):
    """Random ones; of a space of whole numbers some of its own."""
    if isinstance(space, Box):
        return np.random.default_rng(seed).normal(size=(count, *space.shape)).astype(np.float32)
    return np.asarray(jax.vmap(lambda key: space.sample(key=key))(jr.split(jr.key(seed), count)))


@needs_onnx
@pytest.mark.parametrize(("cls", "env", "settings"), KINDS, ids=IDS)
def test_onnxruntime_acts_as_the_policy_does(cls, env, settings, tmp_path):
    policy, path = made(cls, env(), settings), tmp_path / "policy.onnx"
    found = export(path, policy, env(), key=jr.key(2), num_observations=100)
    assert found.observations == 100 and found.difference < 1e-5
    for batch in (1, 7):
        seen = observations(policy.observation_space, batch, batch)
        (action,) = session(path).run(["action"], {"observation": seen})
        wanted = np.asarray(jax.vmap(lambda one: policy(None, one)[1])(seen))
        if isinstance(policy.action_space, Box):
            np.testing.assert_allclose(action, np.clip(wanted, *policy.action_space.bounds), atol=1e-5)
        else:
            np.testing.assert_array_equal(action, wanted)


@needs_onnx
def test_a_perceptron_in_numpy_gives_the_same(tmp_path):
    """Normaliser, layers and bounds written by hand: actions of the box's size, clipped to it."""

    class Narrow(Pendulum):
        action_space = Box(-0.001, 0.002, shape=(1,))

    policy = made(MLPActorCriticPolicy, Narrow(), {"normalize_observations": True})
    export(tmp_path / "policy.onnx", policy, Narrow(), key=jr.key(2), num_observations=20)
    seen = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32) * 5
    action, loc = session(tmp_path / "policy.onnx").run(["action", "loc"], {"observation": seen})
    np.testing.assert_array_equal(action, np.clip(loc, np.float32(-0.001), np.float32(0.002)))
    assert (np.abs(action - loc) > 0).any() and (action == loc).any()


@needs_onnx
def test_the_mask_of_an_environment_is_an_input(tmp_path):
    env = Masked()
    policy = MLPQPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    found = export(tmp_path / "policy.onnx", policy, env, key=jr.key(1), num_observations=50)
    assert [*found.inputs] == ["observation", "action_mask"]
    count = env.action_space.n
    seen = np.zeros((count, *env.observation_space.shape), np.float32)
    given = {"observation": seen, "action_mask": np.eye(count, dtype=bool)}
    assert session(tmp_path / "policy.onnx").run(["action"], given)[0].tolist() == [*range(count)]


PROGRAMS = {
    "products": lambda x: jnp.einsum("ij,kj->ik", x, x) @ jnp.arange(4.0),
    "slices": lambda x: jnp.concatenate([x[1:3, ::2].ravel(), x[0]]),
    "where": lambda x: jnp.where((x > 0) & (x != 1), x, -x) ** 2,
    "roots": lambda x: jax.nn.softplus(x) + jnp.expm1(jnp.clip(x, -1, 1)) + lax.rsqrt(1 + x**2),
    "axes": lambda x: x.T.reshape(2, -1).sum(0, keepdims=True) * jnp.ones((3, 1)),
    "least": lambda x: x.min(axis=1) - x.mean() + jnp.sign(x).max(),
    "all and any": lambda x: jnp.where((x > -1).all(1), x[:, 0], -1.0) + (x > 1).any(0),
    "picture": lambda x: lax.conv_general_dilated(
        x[None, :, :, None],
        jnp.arange(12.0).reshape(2, 2, 1, 3),
        (2, 1),
        ((1, 0), (0, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ),
}


@needs_onnx
@pytest.mark.parametrize("name", PROGRAMS)
def test_each_operation_is_what_it_is_in_jax(name):
    from onnxruntime import InferenceSession

    from lerax.onnx_graph import to_onnx

    program = PROGRAMS[name]
    form = jax.ShapeDtypeStruct((4, 4), jnp.float32)
    model = to_onnx(lambda x: {"y": program(x)}, {"x": form}, {}, name="program")
    values = np.random.default_rng(0).normal(size=(5, 4, 4)).astype(np.float32)
    (found,) = InferenceSession(model.SerializeToString()).run(["y"], {"x": values})
    np.testing.assert_allclose(found, jax.vmap(program)(values), rtol=2e-5, atol=2e-5)


@needs_onnx
def test_what_acts_otherwise_is_not_written(tmp_path, monkeypatch):
    run = exporting._run
    off = {"action": lambda a: a + 1, "q_values": lambda q: q + 0.01}
    for name, change in off.items():
        wrong = lambda data, given, name=name, change=change: (
            (found := run(data, given)) | {name: change(found[name])}
        )
        monkeypatch.setattr(exporting, "_run", wrong)
        with pytest.raises(ExportError, match="another action|q_values differs by 0.01"):
            export(tmp_path / "policy.onnx", made(MLPQPolicy, CartPole(), {}), CartPole(), key=jr.key(0))
    assert not [*tmp_path.iterdir()]


def test_another_action_that_is_worth_as_much_is_a_tie():
    wanted = {"action": np.array([0, 1], np.int32), "q_values": np.array([[1, 1], [0, 1]], np.float32)}
    other = wanted | {"action": np.array([1, 1], np.int32)}
    assert exporting._compare(other, wanted, Discrete(2)) == (0.0, 1)
    with pytest.raises(ExportError, match="another action for observation 1"):
        exporting._compare(wanted | {"action": np.array([0, 0], np.int32)}, wanted, Discrete(2))


@needs_onnx
def test_what_cannot_be_exported_is_refused_by_its_name(tmp_path):
    with pytest.raises(SettingError, match="has a memory"):
        export(tmp_path / "policy.onnx", Remembers(Late(), key=jr.key(0)), Late(), key=jr.key(0))

    class Looping(MLPQPolicy):
        def q_values(self, observation):
            return lax.fori_loop(0, 2, lambda i, q: q + i, super().q_values(observation))

    with pytest.raises(SettingError, match="not known in ONNX here .*(scan|while)"):
        export(tmp_path / "policy.onnx", Looping(CartPole(), key=jr.key(0)), CartPole(), key=jr.key(0))
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a policy, and one without."""
    run = make(tmp_path / "logs", "cart", env="CartPole-v1")
    policy = MLPActorCriticPolicy(CartPole(), hidden_sizes=(8,), key=jr.key(1))
    metadata = {"policy": "MLPActorCriticPolicy", "settings": {"hidden_sizes": [8]}, "env": "CartPole-v1"}
    checkpoint.save(run / "policy.eqx", policy, metadata | {"steps": 512})
    make(tmp_path / "logs", "bare")
    return tmp_path


@needs_onnx
def test_the_command_exports_a_run(folder: Path):
    done = terminal.warm("export", "cart", cwd=folder)
    assert done.returncode == 0, done.stderr
    path = folder / done.stdout.strip()
    assert path == folder / "logs/cart/policy.onnx"
    assert "checked     against the policy on 1,000 observations" in done.stderr
    policy = MLPActorCriticPolicy.deserialize(folder / "logs/cart/policy.eqx", CartPole())
    facts = session(path).get_modelmeta().custom_metadata_map
    wanted = {"lerax": __version__, "env": "CartPole-v1", "fingerprint": fingerprint(policy), "steps": "512"}
    assert facts.items() >= wanted.items() and facts["algorithm"] == "ppo"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("next ")
    import onnxruntime

    line = last.removeprefix("next").partition("#")[0].strip().replace("logs/", f"{folder}/logs/")
    names = {"onnxruntime": onnxruntime, "observation": np.zeros((3, 4), np.float32)}
    assert eval(line, names).shape == (3,)
    again = lerax("export", "cart", cwd=folder)
    assert again.returncode == 2 and "--overwrite" in again.stderr


@needs_onnx
def test_a_file_is_exported_beside_itself(folder: Path):
    (folder / "own.eqx").write_bytes((folder / "logs/cart/policy.eqx").read_bytes())
    done = lerax("export", "own.eqx", "--json", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["path"], facts["observations"]) == ("own.onnx", 1000)
    assert facts["inputs"] == {"observation": "float32[batch, 4]"}
    assert (folder / "own.onnx").stat().st_size == facts["bytes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "neither a run nor a policy's file"),
        (["bare"], "saved no policy"),
        (["cart", "--format", "torch"], "--format"),
        (["cart", "--policy", "random"], "nothing that could be exported"),
        (["cart", "-o", "policy.pt"], "ends in .onnx"),
        (["logs/cart/policy.eqx", "--policy", "best"], "of a run"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, list) else "",
)
def test_bad_input_is_refused(arguments, said, folder: Path):
    done = lerax("export", *arguments, cwd=folder)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_without_the_extra_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch):
    from lerax_cli import export as command

    monkeypatch.setattr(command, "find_spec", lambda name: None)
    done = lerax("export", "cart", cwd=folder)
    assert done.returncode == 1
    assert done.stderr == (
        "lerax: error: lerax export: onnx and onnxruntime missing; pip install 'lerax[onnx]'\n"
    )
