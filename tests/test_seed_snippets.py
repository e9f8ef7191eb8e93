"""The documentation's snippets run word for word; `seeds/` holds their text."""

import io
import re
from pathlib import Path

import pytest
from jax import random as jr
from PIL import Image, ImageSequence
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIME = r"\d{8}_\d{6}"
TRAINING = "algo.learn(env, policy, total_timesteps=2**10, key=key, callback={})"
WITH_ALGORITHM = f"PPO_MLPActorCriticPolicy_CartPole-v1_{TIME}"
WITHOUT = f"MLPActorCriticPolicy_CartPole-v1_{TIME}"


def snippet(name):
    return (Path(__file__).parent / "seeds" / f"{name}.txt").read_text()


@pytest.fixture
def run(env, policy, algorithm, tmp_path, monkeypatch):
    """Runs a snippet in an empty directory; gives the runs in its `logs`, by name."""
    monkeypatch.chdir(tmp_path)

    def run(code):
        names = {"env": env, "policy": policy, "algo": algorithm, "key": jr.key(0)}
        exec("from lerax.callback import *\n" + code, names)
        return {path.name: EventAccumulator(str(path)).Reload() for path in Path("logs").iterdir()}

    return run


def assert_one_run(runs, name, steps):
    ((found, events),) = runs.items()
    assert re.fullmatch(name, found)
    assert events.Scalars("train/learning_rate")[-1].step == steps
    assert {"episode/return", "episode/length"} <= set(events.Tags()["scalars"])


def test_logging_with_env_and_policy(run):
    code = snippet("logging_with_env_and_policy")
    assert "# ... training ..." in code
    runs = run(code.replace("# ... training ...", TRAINING.format("logger")))
    assert_one_run(runs, WITHOUT, 1024)


def test_logging_by_default(run):
    code = snippet("logging_by_default")
    runs = run(code + TRAINING.format("callback") + "\ncallback.close()")
    assert_one_run(runs, WITH_ALGORITHM, 1024)


def test_callbacks_with_algorithms(run, capsys):
    runs = run(snippet("callbacks_with_algorithms"))
    assert_one_run(runs, WITHOUT, 2**16)
    (events,) = runs.values()
    returns = [event.value for event in events.Scalars("episode/return")]
    assert returns[-1] > 2 * returns[0], "nothing was learned"
    shown = capsys.readouterr()
    assert shown.out == "" and re.search(r"step=65536 .*episode/return=", shown.err)


def test_a_name_of_ones_own(run):
    (name,) = run("backend = TensorBoardBackend()\n" + snippet("a_name_of_ones_own"))
    assert name == "my-experiment"


BACKENDS = {
    "tensorboard_backend": "TensorBoardBackend",
    "console_backend": "ConsoleBackend",
    "wandb_backend": "WandbBackend",
}


@pytest.mark.parametrize("name", BACKENDS)
def test_backends(name, tmp_path, monkeypatch):
    """Nothing is opened, made or imported before a run begins."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet(name), names)
    assert type(names["backend"]).__name__ == BACKENDS[name]
    assert list(tmp_path.iterdir()) == []


VIDEOS = {
    "videos": ("logger", WITHOUT),
    "videos_by_default_name": ("callback", WITH_ALGORITHM),
    "tensorboard_callback_videos": ("callback", WITHOUT),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(run, name):
    """Twelve iterations: one video of 257 frames; frames that are alike are one of the GIF's."""
    callback, run_name = VIDEOS[name]
    code, training = snippet(name), TRAINING.replace("2**10", "12 * 64").format(callback)
    code = code.replace("# ... training ...", training) if "# ..." in code else f"{code}\n{training}"
    runs = run(f"{code}\n{callback}.close()")
    assert_one_run(runs, run_name, 12 * 64)
    (events,) = runs.values()
    (video,) = events.Images("eval/video")
    gif = Image.open(io.BytesIO(video.encoded_image_string))
    assert (video.step, video.width, video.height) == (10 * 64, 640, 480)
    assert gif.size == (640, 480)
    assert sum(frame.info["duration"] for frame in ImageSequence.Iterator(gif)) == 257 * 20  # ms


def test_tensorboard_callback(run):
    code = snippet("tensorboard_callback")
    runs = run(f"{code}\n{TRAINING.format('callback')}\ncallback.close()")
    assert_one_run(runs, WITHOUT, 1024)
