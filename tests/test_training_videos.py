"""Videos of the policy while it is trained."""

import io
import threading
import time
import warnings

import av
import jax
import numpy as np
import pytest
from jax import random as jr
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import assert_bitwise_equal

from lerax.callback import (
    AbstractLoggingBackend,
    LoggingCallback,
    MemoryBackend,
    TensorBoardBackend,
    TensorBoardCallback,
    VideoBackend,
)
from lerax.env.classic_control import CartPole
from lerax.evaluate import rollout
from lerax.render import HeadlessPygameRenderer

ITERATION = 64  # steps
SMALL = {"video_interval": 2, "video_num_steps": 5, "video_width": 64, "video_height": 48}


@pytest.fixture
def train(env, policy, algorithm):
    def train(callback, iterations=4, env=env):
        return algorithm.learn(env, policy, iterations * ITERATION, key=jr.key(0), callback=callback)

    return train


def patiently(callback):
    """The same callback, that waits for its clip before training goes on."""
    from lerax.callback import AbstractCallback

    class Waits(AbstractCallback):
        def next_due(self, iteration):
            return iteration + 1

        def on_host(self, state, iteration):
            end = time.monotonic() + 60
            recorder = callback._log.video if hasattr(callback, "_log") else callback.tb_writer.run_log.video
            while not recorder.is_idle and time.monotonic() < end:
                time.sleep(0.002)

    return [callback, Waits()]


def drawn(env, policy, num_steps=5, deterministic=True):
    """The frames that a clip of a policy has, drawn one by one."""
    played = jax.device_get(
        rollout(env, policy, key=jr.key(0), num_steps=num_steps, deterministic=deterministic).states
    )
    frames = []
    with HeadlessPygameRenderer(64, 48, transform=env.default_renderer().transform.fit(64, 48)) as renderer:
        for i in range(num_steps + 1):
            env.render(jax.tree.map(lambda leaf, i=i: leaf[i], played), renderer)
            frames.append(renderer.as_array())
    return np.stack(frames)


@pytest.mark.parametrize("deterministic", [True, False])
def test_clips_show_the_current_policy_and_the_initial_frame(train, env, policy, deterministic):
    memory = MemoryBackend()
    settings = SMALL | {"video_fps": 25.0, "video_deterministic": deterministic}
    with LoggingCallback(memory, name="run", **settings) as logger:
        trained = train(patiently(logger))
    assert [(tag, step, fps) for tag, _, step, fps in memory.videos] == [
        ("eval/video", 2 * ITERATION, 25.0),
        ("eval/video", 4 * ITERATION, 25.0),
    ]
    clip = memory.videos[1][1]
    assert clip.shape == (6, 48, 64, 3) and clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, drawn(env, trained, deterministic=deterministic))
    assert (clip[0] != clip[5]).any()


def test_training_with_videos_ends_with_the_same_numbers(train):
    with LoggingCallback(MemoryBackend(), name="run", **SMALL) as logger:
        with_videos = train(patiently(logger))
    assert_bitwise_equal(with_videos, train(None))


def test_tensorboard_gets_a_gif_and_the_run_an_mp4(train, tmp_path):
    backends = [TensorBoardBackend(tmp_path), VideoBackend(tmp_path)]
    with LoggingCallback(backends, name="run", video_fps=10.0, **SMALL) as logger:
        train(patiently(logger))
    events = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload()
    images = events.Images("eval/video")
    assert [image.step for image in images] == [2 * ITERATION, 4 * ITERATION]
    gif = Image.open(io.BytesIO(images[0].encoded_image_string))
    assert (gif.format, gif.n_frames, gif.size, gif.info["duration"]) == ("GIF", 6, (64, 48), 100)
    files = sorted((tmp_path / "run" / "videos").iterdir())
    assert [file.name for file in files] == ["step-0000000128.mp4", "step-0000000256.mp4"]
    for file in files:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (64, 48, 10)
            assert len(list(container.decode(stream))) == 6


@pytest.mark.parametrize("kind", ["LoggingCallback", "TensorBoardCallback"])
def test_inside_jit_too(train, env, tmp_path, kind):
    """The rollout is a part of the caller's program; only its states leave."""
    if kind == "LoggingCallback":
        callback = LoggingCallback(TensorBoardBackend(tmp_path), name="run", **SMALL)
    else:
        callback = TensorBoardCallback("run", log_dir=tmp_path, **SMALL)
    with callback:
        jax.block_until_ready(jax.jit(lambda: train(callback, 2))())
    (image,) = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload().Images("eval/video")
    assert image.step == 2 * ITERATION
    assert Image.open(io.BytesIO(image.encoded_image_string)).n_frames == 6


def test_tensorboard_callback_records_from_the_host(train, tmp_path):
    with TensorBoardCallback("run", log_dir=tmp_path, **SMALL) as callback:
        train(patiently(callback))
    images = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload().Images("eval/video")
    assert [image.step for image in images] == [2 * ITERATION, 4 * ITERATION]


def test_under_vmap_there_are_none_and_one_warning(env, policy, algorithm):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run", **SMALL) as logger:
        learn = lambda key: algorithm.learn(env, policy, 4 * ITERATION, key=key, callback=logger)
        with pytest.warns(RuntimeWarning, match="no videos:.*vmap") as caught:
            jax.block_until_ready(jax.jit(jax.vmap(learn))(jr.split(jr.key(0), 2)))
            jax.effects_barrier()
    assert len(caught) == 1 and memory.videos == [] and len(memory.records) == 4


class Undrawable(CartPole):
    def render(self, state, renderer):
        raise ZeroDivisionError("no such thing")


class NoRenderer(CartPole):
    def default_renderer(self):
        raise OSError("no GL library")


@pytest.mark.parametrize("kind, reason", [(Undrawable, "no such thing"), (NoRenderer, "no GL library")])
def test_a_failure_is_one_warning_with_its_reason_and_changes_no_number(train, kind, reason):
    memory = MemoryBackend()
    with pytest.warns(RuntimeWarning, match=f"no videos:.*{reason}; training goes on") as caught:
        with LoggingCallback(memory, name="run", **SMALL) as logger:
            trained = train(patiently(logger), 8, env=kind())
    assert len(caught) == 1 and memory.videos == [] and len(memory.records) == 8
    assert_bitwise_equal(trained, train(None, 8))


class NoVideos(MemoryBackend):
    def log_video(self, tag, frames, step, fps):
        raise OSError("no encoder")


def test_a_backend_that_cannot_write_one_is_one_warning_and_still_gets_scalars(train):
    other, broken = MemoryBackend(), NoVideos()
    with pytest.warns(RuntimeWarning, match="NoVideos takes no more videos.*no encoder") as caught:
        with LoggingCallback([broken, other], name="run", **SMALL) as logger:
            train(patiently(logger), 8)
    assert len(caught) == 1
    assert len(broken.records) == 8 and len(other.videos) == 4


class Holds(AbstractLoggingBackend):
    """Takes the first clip and does not give it back before it is told to."""

    def __init__(self):
        self.videos, self.go_on = [], threading.Event()

    def open(self, name):
        pass

    def log_scalars(self, scalars, step):
        pass

    def close(self):
        pass

    def log_video(self, tag, frames, step, fps):
        self.videos.append(step)
        self.go_on.wait(60)


def test_a_clip_that_would_pile_up_is_left_out_and_said(train):
    backend = Holds()
    with pytest.warns(RuntimeWarning, match="4 videos were left out: the one before was still being made"):
        with LoggingCallback(backend, name="run", **SMALL) as logger:
            train(logger, 10)
            backend.go_on.set()
    assert backend.videos == [2 * ITERATION]


def test_a_clip_that_never_ends_is_left_behind(train, env, monkeypatch):
    from lerax.callback import run_log

    monkeypatch.setattr(run_log, "CLOSE_SECONDS", 0.2)
    go_on = threading.Event()

    class Hangs(CartPole):
        def render(self, state, renderer):
            go_on.wait(60)

    with pytest.warns(RuntimeWarning, match="left behind"):
        with LoggingCallback(MemoryBackend(), name="run", **SMALL) as logger:
            train(logger, 2, env=Hangs())
    go_on.set()


@pytest.mark.parametrize(
    "wrong", [{"interval": -1}, {"num_steps": 0}, {"width": 0}, {"height": -3}, {"fps": 0.0}, {"fps": np.inf}]
)
def test_settings_are_checked(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"video_{name}: out of range"):
        LoggingCallback(MemoryBackend(), **{f"video_{name}": value})


def test_without_videos_nothing_is_due_and_no_thread_is_started(train):
    with warnings.catch_warnings(), LoggingCallback(MemoryBackend(), name="run") as logger:
        warnings.simplefilter("error")
        assert logger.next_due(0) is None
        train(logger)
        assert not [thread for thread in threading.enumerate() if thread.name == "lerax video"]
