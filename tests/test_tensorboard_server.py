"""TensorBoard itself, started on a log folder, serves what was logged: asked over HTTP."""

import io
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from jax import random as jr
from PIL import Image
from terminal import ordinary_signals

from lerax.callback import LoggingCallback, MemoryBackend, TensorBoardBackend

STEPS = 6 * 64


@pytest.fixture(scope="module")
def logged(env, policy, algorithm, tmp_path_factory):
    """A folder with one run, called `run`, and what it logged."""
    folder, memory = tmp_path_factory.mktemp("logs"), MemoryBackend()
    small = {"video_interval": 6, "video_num_steps": 8, "video_width": 64, "video_height": 48}
    with LoggingCallback([TensorBoardBackend(folder), memory], name="run", **small) as logger:
        algorithm.learn(env, policy, STEPS, key=jr.key(0), callback=logger)
    return folder, memory


@pytest.fixture(scope="module")
def get(logged):
    """Asks TensorBoard for a path; gives the body."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logged[0])]
    command += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with ordinary_signals():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise RuntimeError("".join(seen))

        def get(path, data=None, **query):
            url = f"http://127.0.0.1:{found[1]}/data/{path}?{urllib.parse.urlencode(query)}"
            body = None if data is None else json.dumps(data).encode()
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()

        yield get
    finally:
        process.kill()
        process.communicate()


def test_scalars(get, logged):
    tags = json.loads(get("plugin/scalars/tags"))["run"]
    assert {"episode/return", "episode/length", "train/loss", "train/learning_rate"} <= set(tags)
    points = json.loads(get("plugin/scalars/scalars", run="run", tag="train/loss"))
    expected = [(step, scalars["train/loss"]) for step, scalars in logged[1].records]
    assert [(step, value) for _, step, value in points] == [
        (step, pytest.approx(value, rel=1e-5)) for step, value in expected
    ]


def test_the_video_is_a_moving_picture(get, logged):
    (about,) = json.loads(get("plugin/images/images", run="run", tag="eval/video", sample=0))
    assert about["step"] == STEPS
    picture = get(f"plugin/images/individualImage?{about['query']}&unused=")
    gif = Image.open(io.BytesIO(picture))
    assert gif.format == "GIF" and gif.is_animated and gif.size == (64, 48)


def test_hyperparameters_as_text_and_as_a_table(get, logged):
    assert json.loads(get("plugin/text/tags")) == {"run": ["hparams/text_summary"]}
    (text,) = json.loads(get("plugin/text/text", run="run", tag="hparams/text_summary"))
    assert "<table>" in text["text"] and "gae_lambda" in text["text"]
    request = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"],
    }
    request |= {"colParams": [], "startIndex": 0, "sliceSize": 10}
    (group,) = json.loads(get("plugin/hparams/session_groups", data=request))["sessionGroups"]
    assert group["hparams"]["gamma"] == logged[1].hparams["gamma"]
    assert group["hparams"]["algorithm"] == "PPO"
