"""`--wrap`: wrappers around the environment of a training, and of all that is done with its run."""

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import in_process
import pytest
import terminal
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_cli_inputs import refuse
from test_conformance import TRANSFORMS, WRAPPERS

from lerax import registry
from lerax.archive import Archive
from lerax.wrapper import ClipReward, FrameStack, TimeLimit
from lerax_cli import continued, options, policies, wrapping
from lerax_cli.values import read_wrap

CHOSEN = ("frame_stack=4", "clip_reward={low = 0, high = 0.5}", "time_limit=20")
TABLES = [
    {"name": "frame_stack", "frames": 4},
    {"name": "clip_reward", "low": 0.0, "high": 0.5},
    {"name": "time_limit", "max_episode_steps": 20},
]
REFUSED = [  # of CartPole, whose actions are discrete and whose observations have no bounds
    (["frame_stak=4"], ["unknown wrapper (got 'frame_stak'); did you mean frame_stack?"]),
    (["frame_stack"], ["frame_stack: has no default for frames", "--wrap frame_stack=1"]),
    (["frame_stack=0"], ["frame_stack.frames: out of range (got 0)", "at least 1"]),
    (["frame_stack=few"], ["frame_stack.frames: not an int (got 'few')"]),
    (["frame_stack=[4, 5]"], ["frame_stack: too many values (got [4, 5]); it has frames"]),
    (["identity=1"], ["identity: too many values (got 1); it has no settings"]),
    (["clip_reward={hihg = 1}"], ["clip_reward.hihg", "no such setting; did you mean high"]),
    (["clip_reward=[1, -1]"], ["clip_reward: low must be below high (got 1.0 and -1.0)"]),
    (["rescale_action"], ["rescale_action: needs actions in a Box (got Discrete(2))"]),
    (["identity", "rescale_observation"], ["rescale_observation: needs bounded observations"]),
    (["transform_reward"], ["takes a Python function", "(got 'transform_reward')", "MODULE:CLASS"]),
    (["own:Wrapper"], ["no name of a wrapper (got 'own:Wrapper')", "MODULE:CLASS"]),
    (["none", "identity"], ["none excludes all others (got none, identity)"]),
    (["=4"], ["not NAME or NAME=VALUE (got '=4')"]),
]
SCORES = [  # with these wrappers, and this in a config
    ([], "", 475.0),
    (["identity", "frame_stack=4", "clip_observation", "flatten_observation"], "", 475.0),
    (["rescale_action", "clip_action", "rescale_observation"], "", 475.0),
    (["clip_reward"], "", None),
    (["scale_reward=2"], "", None),
    (["time_limit=1000"], "", None),
    (["sticky_actions"], "", None),
    (["action_repeat=2"], "", None),
    ([], "[[wrap]]\nname = 'time_limit'\nmax_episode_steps = 9\n", None),
    (["none"], "[[wrap]]\nname = 'time_limit'\nmax_episode_steps = 9\n", 475.0),
    ([], "score = 9\n[[wrap]]\nname = 'time_limit'\nmax_episode_steps = 9\n", 9.0),
    (
        ["time_limit=9", "frame_stack=2"],
        "score = 9\nwrap = [{name = 'time_limit', max_episode_steps = 9}]",
        9.0,
    ),
    (["time_limit=8"], "score = 9\nwrap = [{name = 'time_limit', max_episode_steps = 9}]", None),
]


def wraps(*texts: str) -> list[str]:
    """The options that name wrappers."""
    return [word for text in texts for word in ("--wrap", text)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose environment has wrappers."""
    folder = tmp_path_factory.mktemp("wrapped")
    words = (*terminal.BRIEF, "--backend", "tensorboard", *wraps(*CHOSEN))
    done = terminal.warm("train", *words, "-q", "--name", "first", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_all_wrappers_have_a_name_but_those_that_take_a_function():
    snake = lambda cls: re.sub(r"(?<=.)([A-Z])", r"_\1", cls.__name__).lower()
    named = {snake(cls): cls for cls in WRAPPERS if cls not in TRANSFORMS}
    assert {name: entry.load() for name, entry in registry.WRAPPERS.items()} == named
    assert {*wrapping.OF_FUNCTIONS} == {*map(snake, TRANSFORMS)}


def test_the_policy_sees_what_the_wrappers_show(folder: Path):
    """CartPole has four numbers, of four frames sixteen; half a reward for each of 20 steps at most."""
    run = folder / "logs" / "first"
    with Archive(run / "policy.eqx") as file:
        assert {entry.shape for entry in file.entries if entry.name.endswith("weights[0]")} == {(16, 64)}
        assert file.metadata["wrap"] == TABLES
    assert tomllib.loads((run / "config.toml").read_text())["wrap"] == TABLES
    evaluation = terminal.facts(run)["evaluation"]
    assert 8 < evaluation["mean_length"] <= 20
    assert evaluation["mean_return"] == pytest.approx(evaluation["mean_length"] / 2)
    events = EventAccumulator(str(run)).Reload()
    table = events.Tensors("hparams/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "frame_stack(frames=4), clip_reward(low=0.0, high=0.5), time_limit(max_episode_steps=20)" in table


def test_a_config_repeats_it_bitwise(folder: Path):
    done = terminal.warm("train", "--config", "logs/first/config.toml", "-q", "--name", "again", cwd=folder)
    assert done.returncode == 0, done.stderr
    runs = [folder / "logs" / name for name in ("first", "again")]
    assert len({(run / "config.toml").read_bytes() for run in runs}) == 1
    assert len({(run / "policy.eqx").read_bytes().split(b"\n", 2)[2] for run in runs}) == 1


@pytest.mark.parametrize("subject", ["first", "logs/first/policy.eqx"])
def test_what_is_made_of_a_run_has_its_wrappers(folder: Path, monkeypatch, subject: str):
    """Evaluation, videos and exports take the same way."""
    monkeypatch.chdir(folder)
    found = policies.find_subject(subject, [], "logs")
    env: Any = policies.make_env("RUN", found.env, found.settings, found.wraps)
    assert env.observation_space.shape == (4, 4)
    assert [type(env), type(env.env), type(env.env.env)] == [TimeLimit, ClipReward, FrameStack]
    done = in_process.run("eval", subject, "--episodes", "2", "--json", "-q", cwd=folder)
    told = json.loads(done.stdout)
    assert told["max_length"] <= 20 and told["mean_return"] == told["mean_length"] / 2


def test_a_policy_of_other_observations_is_shown_with_its_file(folder: Path):
    done = in_process.run("record-video", "CartPole-v1", "--policy", "logs/first/policy.eqx", cwd=folder)
    refuse(done, 1, ["does not fit", "give logs/first/policy.eqx in place of CartPole-v1"])


def test_a_run_goes_on_with_its_wrappers_alone(folder: Path):
    run = continued.read("first", str(folder / "logs"))
    kept = continued.plan_of(run, [], pytest.fail)
    assert [wrap.entry.name for wrap in kept.wraps] == [table["name"] for table in TABLES]
    said = ["--resume: first has wrap = ", "(got 'none')", "a run goes on with its own settings"]
    for words in (("none",), CHOSEN[:2]):
        done = in_process.run("train", "--resume", "first", *wraps(*words), cwd=folder)
        refuse(done, 2, said if words == ("none",) else said[::2])


def test_a_config_with_other_wrappers_is_noticed(folder: Path, tmp_path: Path):
    run = shutil.copytree(folder / "logs" / "first", tmp_path / "logs" / "first")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("high = 0.5", "high = 0.6"))
    done = in_process.run("verify", "first", cwd=tmp_path)
    assert done.returncode == 1
    assert all(word in done.stdout for word in ("is of wrap = ", "'high': 0.5", "'high': 0.6"))


@pytest.mark.parametrize(("texts", "words"), REFUSED, ids=[" ".join(texts) for texts, _ in REFUSED])
def test_a_wrapper_is_refused(tmp_path: Path, texts: list[str], words: list[str]):
    refuse(in_process.run("train", "CartPole-v1", *wraps(*texts), cwd=tmp_path), 2, ["--wrap: ", *words])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("wrap = 'frame_stack'\n", ["not tables with a name (got 'frame_stack')", "below [[wrap]]"]),
        ("[[wrap]]\nframes = 4\n", ["not tables with a name", "below [[wrap]]"]),
        ("[[wrap]]\nname = 'frame_stack'\nframe = 4\n", ["frame_stack.frame", "did you mean frames?"]),
        ("[[wraps]]\nname = 'frame_stack'\n", ["unknown key (got 'wraps'); did you mean wrap?"]),
    ],
)
def test_a_config_is_refused(tmp_path: Path, content: str, words: list[str]):
    (tmp_path / "own.toml").write_text("env = 'CartPole-v1'\n" + content)
    refuse(in_process.run("train", "--config", "own.toml", cwd=tmp_path), 2, ["--config", *words])


@pytest.mark.parametrize(("texts", "config", "score"), SCORES)
def test_the_score_counts_where_the_task_is_the_same(tmp_path: Path, texts, config: str, score):
    (tmp_path / "own.toml").write_text(config)
    given: dict[str, Any] = dict.fromkeys(("algo", "steps", "seed", "backends", "preset", "num_envs", "nan"))
    given |= {"config": str(tmp_path / "own.toml"), "settings": [], "warn": pytest.fail}
    chosen = options.plan("CartPole-v1", **given, wrap=[*map(read_wrap, texts)])
    assert chosen.score == score


def test_wrappers_and_their_settings_are_listed(tmp_path: Path):
    rows = json.loads(in_process.run("list-wrappers", "--json", cwd=tmp_path).stdout)
    assert [row["name"] for row in rows] == [*registry.WRAPPERS]
    told = json.loads(in_process.run("list-wrappers", "frame_stack", "--json", cwd=tmp_path).stdout)
    assert told == {
        "frames": {
            "type": "int",
            "default": "",
            "allowed": told["frames"]["allowed"],
            "help": "Observations in one.",
        }
    }
