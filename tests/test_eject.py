"""Programs that train as a run was trained: they make what it was made of, and end with its numbers."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
import terminal
import tomli_w
from in_process import run as lerax
from made_runs import make

from lerax.archive import Archive
from lerax.eject import literal, script
from lerax.env import from_gymnasium
from lerax.env.classic_control import CartPole
from lerax.errors import SettingError
from lerax.names import UnknownName
from lerax.runs import Metrics, load_run
from lerax.settings import plain, setting_values, settings_of
from lerax.wrapper import ClipReward, TimeLimit

OWN = """
from lerax.env.classic_control import CartPole

class Short(CartPole):
    name = "Short"

    class Inner(CartPole):
        name = "Inner"
"""
USUAL = {"seed": 4_000_000_000, "steps": 4096, "preset": "none", "backend": ["none"], "nan": "stop"}
USUAL |= {"video_interval": 0, "save_every": "10m", "keep": 2}
TABLES = {
    "env": {"name": "CartPole-v1", "max_episode_steps": 500},
    "algorithm": {"name": "ppo", "gamma": 0.5, "target_kl": "none"},
    "policy": {"name": "MLPActorCriticPolicy", "hidden_sizes": [8]},
}


def run_of(folder: Path, name: str = "run", *, trust=(), config=None, **facts):
    """A run with a config."""
    path = make(folder, name, **facts)
    (path / "config.toml").write_text(tomli_w.dumps(USUAL | TABLES | (config or {})))
    return load_run(path, trust=trust)


def arrays(path: Path) -> dict[str, bytes]:
    """The arrays in a policy's file, as bytes."""
    with Archive(path) as file:
        size = lambda entry: int(np.prod(entry.shape)) * np.dtype(entry.dtype).itemsize
        found = {entry.name: bytearray(size(entry)) for entry in file.entries}
        file.read({name: memoryview(data) for name, data in found.items()})
    return {name: bytes(data) for name, data in found.items()}


def parts(text: str, file: Path | None = None) -> dict:
    """What a program makes before it trains."""
    before, backends, _ = text.partition("\nbackends = [")
    assert backends
    names = {"__file__": str(file)}
    exec(compile(before, "train.py", "exec"), names)
    return names


def holds(module, table: dict) -> bool:
    """Whether a module has the settings that a table of a config says."""
    declared, values = settings_of(type(module)), setting_values(module)
    found = {name: plain(declared[name], values[name]) for name in table if name != "name"}
    found = {name: [*value] if isinstance(value, tuple) else value for name, value in found.items()}
    return found == {name: value for name, value in table.items() if name != "name"}


TRAINED = {
    "divided": ("CartPole-v1", "--preset", "none", "--steps", "1024", "--seed", "1", "--devices", "2"),
    "ppo": ("CartPole-v1", "--preset", "none", "--steps", "2048", "--seed", "1"),
    "dqn": (
        *("CartPole-v1", "--algo", "dqn", "--preset", "none", "--steps", "1024", "--seed", "4000000000"),
        *("--set", "learning_starts=256", "--set", "policy.hidden_sizes=[16]", "--wrap", "time_limit=30"),
    ),
}


@pytest.mark.parametrize("name", TRAINED)
def test_the_program_ends_with_the_parameters_of_the_run(name: str, tmp_path: Path):
    trained = terminal.warm("train", *TRAINED[name], "--backend", "csv", "--name", name, "-q", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    done = lerax("eject", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "train.py\n")
    assert done.stderr.splitlines()[-1].split(maxsplit=1) == ["next", "python train.py"]
    assert len((tmp_path / "train.py").read_text().splitlines()) <= (60 if name == "ppo" else 70)
    ran = terminal.script(tmp_path / "train.py", tmp_path)
    assert ran.returncode == 0, ran.stderr
    again = tmp_path / ran.stdout.splitlines()[-1]
    assert again == tmp_path / f"logs/{name}-ejected/policy.eqx"
    saved = tmp_path / f"logs/{name}/policy.eqx"
    first, second = arrays(saved), arrays(again)
    assert first == second and any(np.frombuffer(data, np.float32).any() for data in first.values())
    before, after = (Metrics(path.with_name("metrics.jsonl")) for path in (saved, again))
    np.testing.assert_array_equal(before["episode/return"], after["episode/return"])
    assert (again.parent / "metrics.csv").is_file()
    mean = load_run(saved.parent).facts["evaluation"]["mean_return"]
    assert f"mean_return={mean}" in ran.stdout  # the same evaluation, too
    played = lerax("eval", str(again), "--episodes", "2", "--json", cwd=tmp_path)
    assert played.returncode == 0, played.stderr


CASES = {
    "wraps": {
        "wrap": [
            {"name": "time_limit", "max_episode_steps": 7},
            {"name": "clip_reward", "low": 0.0, "high": 0.5},
        ]
    },
    "mujoco": {
        "env": {"name": "Hopper-v5", "healthy_z_range": [0.7, float("inf")], "healthy_reward": 2.0},
        "algorithm": {"name": "sac", "num_envs": 2},
        "policy": {"name": "MLPSquashedGaussianPolicy", "hidden_sizes": [8, 8], "activation": "relu"},
    },
    "gymnasium": {"env": {"name": "gymnasium:CartPole-v1", "max_episode_steps": "none", "workers": 0}},
    "memory": {"policy": {"name": "GRUActorCriticPolicy", "hidden_sizes": [8]}},
}


@pytest.mark.parametrize("case", CASES)
def test_the_program_makes_what_the_config_says(case: str, tmp_path: Path):
    config = CASES[case]
    if case == "gymnasium":
        known = settings_of(type(from_gymnasium("CartPole-v1")))
        assert {*config["env"]} - {"name"} <= {*known}
    run = run_of(tmp_path, config=config)
    made = parts(script(run))
    wanted = run.config
    assert holds(made["env"].unwrapped, wanted["env"]) and holds(made["policy"], wanted["policy"])
    assert holds(made["algorithm"], wanted["algorithm"])
    assert repr(made["env"]) == repr(run.env) and (made["SEED"], made["STEPS"]) == (4_000_000_000, 4096)
    if case == "wraps":
        assert isinstance(made["env"], ClipReward) and isinstance(made["env"].env, TimeLimit)


def test_a_setting_that_was_none_is_left_out_of_an_older_run(tmp_path: Path):
    """Which `resume` leaves out, too: CrossQ had a `tau` that did nothing."""
    config = {
        "env": {"name": "Pendulum-v1"},
        "algorithm": {"name": "crossq", "tau": 0.005},
        "policy": {"name": "MLPCrossQPolicy"},
    }
    run = run_of(tmp_path, config=config)
    assert "tau" not in script(run)


def test_ones_own_classes_are_imported_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_pole.py").write_text(OWN)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    in_file, in_module = f"{tmp_path}/own_pole.py:Short", "own_pole:Short.Inner"
    cases = (
        (in_file, tmp_path, 'Short = imported(Path(__file__).absolute().with_name("own_pole.py")).Short'),
        (in_file, tmp_path / "sub", f'Short = imported(Path("{tmp_path}/own_pole.py")).Short'),
        (in_module, tmp_path / "sub", f'sys.path.insert(0, "{tmp_path}")'),
    )
    for name, beside, line in cases:
        run = run_of(tmp_path / "logs", f"{len([*tmp_path.glob('logs/*')])}", config={"env": {"name": name}})
        with pytest.raises(SettingError, match="only if it is trusted"):
            script(run)
        path = [*sys.path]
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(tmp_path))  # as the command does
            text = script(load_run(run.path, trust=[name]), beside=beside)
            assert f'"env": "{name}"' in text and line in text.splitlines()
        try:
            sys.modules.pop("own_pole", None)
            made = parts(text, beside / "train.py")
            assert made["env"].name == name.rpartition(":")[2].rpartition(".")[2]
            assert isinstance(made["env"], CartPole)
        finally:
            sys.path[:] = path
            sys.modules.pop("own_pole", None)


def test_backends_videos_and_what_is_done_about_nan(tmp_path: Path):
    config = {"backend": ["csv", "tensorboard"], "video_interval": 5, "nan": "warn"}
    text = script(run_of(tmp_path, config=config), folder="some where")
    for wanted in (
        'CSVBackend(log_dir="some where")',
        "TensorBoardBackend(",
        "VideoBackend(",
        "video_interval=5",
        'name="run-ejected"',
    ):
        assert wanted in text
    assert "StopOnNonFinite" not in text and "callback=[logger]" in text
    text = script(run_of(tmp_path, "lost", status="diverged"))
    assert "ravel(state.policy)[1](state.callback_state[1].parameters)" in text
    ast.parse(text)


def test_a_text_from_a_file_stays_a_text(tmp_path: Path):
    """Names and values go into the program as they are, whatever is in them."""
    strange = 'a"\\\n\'""" {x}\x1b\udcff é'
    for value in (strange, [strange], {strange: [1, float("inf"), float("-inf"), True]}, (1,), -0.0, None):
        found = eval(literal(value), {})
        assert isinstance(value, dict) or found == (tuple(value) if isinstance(value, list) else value)
    assert np.isnan(eval(literal(float("nan"))))
    run = run_of(tmp_path, "x'\"\n#\nimport nothing", device="cpu\nimport nothing", versions={"jax": "\n1"})
    ast.parse(text := script(run))
    assert all(line.startswith("# ") for line in text.splitlines()[:3])
    assert "\nimport nothing" not in text


def test_what_cannot_be_ejected_is_refused(tmp_path: Path):
    cases = (
        ({"env": {"name": "CartPole-v2"}}, UnknownName, "CartPole-v1"),
        ({"algorithm": {"name": "ppo", "gama": 1.0}}, SettingError, "no such setting"),
        ({"policy": {"name": "MLPActorCriticPolicy", "hidden_sizes": [0]}}, SettingError, "hidden_sizes"),
        ({"seed": "x"}, SettingError, "no whole number"),
    )
    for number, (config, error, said) in enumerate(cases):
        with pytest.raises(error, match=said):
            script(run_of(tmp_path, f"{number}", config=config))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run_of(tmp_path / "logs", "cart")
    (tmp_path / "there.py").write_text("mine = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 2, "no such run"),
        (["cart", "-o", "train.txt"], 2, "ends in .py"),
        (["cart", "-o", "there.py"], 2, "--overwrite"),
        (["cart", "-o", "no/such/train.py"], 1, "cannot be written"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, list) else "",
)
def test_bad_input_is_refused(arguments, code, said, folder: Path):
    done = lerax("eject", *arguments, cwd=folder)
    assert done.returncode == code and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert (folder / "there.py").read_text() == "mine = 1\n" and not [*folder.rglob("train.*")]


def test_a_run_names_no_class_of_ones_own_that_the_line_does_not_name(folder: Path):
    (folder / "own_pole.py").write_text(OWN)
    run_of(folder / "logs", "own", config={"env": {"name": f"{folder}/own_pole.py:Short"}})
    done = lerax("eject", "own", cwd=folder)
    assert done.returncode == 2 and "add --trust ./own_pole.py:Short" in done.stderr
    try:
        done = lerax("eject", "own", "--trust", "./own_pole.py:Short", "-o", "train.py", cwd=folder)
    finally:
        sys.modules.pop("own_pole", None)
    assert done.returncode == 0, done.stderr
    assert '.with_name("own_pole.py")).Short' in (folder / "train.py").read_text()


def test_a_branch_is_said_to_begin_at_the_beginning(folder: Path):
    run_of(folder / "logs", "grown", branched_from={"run": "cart", "step": 512})
    done = lerax("eject", "grown", cwd=folder)
    assert done.returncode == 0 and "warning: logs/grown branched off from another run" in done.stderr
    assert "# That run branched off" in (folder / "train.py").read_text()
