"""Videos of the policy while it is trained."""

import io
import itertools
import threading
import time
import warnings
from typing import ClassVar

import av
import equinox as eqx
import jax
import numpy as np
import pytest
from jax import random as jr
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from toys import assert_bitwise_equal

from lerax.callback import (
    AbstractLoggingBackend,
    JSONLBackend,
    LoggingCallback,
    MemoryBackend,
    TensorBoardBackend,
    TensorBoardCallback,
    VideoBackend,
    video_recorder,
)
from lerax.callback.clips import ClipQueue
from lerax.env.classic_control import Acrobot, CartPole
from lerax.evaluate import rollout
from lerax.policy import MLPActorCriticPolicy
from lerax.render import HeadlessPygameRenderer
from lerax.wrapper import TimeLimit

ITERATION = 64  # steps
SMALL = {"video_interval": 2, "video_num_steps": 5, "video_width": 64, "video_height": 48}


@pytest.fixture
def train(env, policy, algorithm):
    def train(callback, iterations=4, env=env):
        return algorithm.learn(env, policy, iterations * ITERATION, key=jr.key(0), callback=callback)

    return train


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
        trained = train(logger)
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
        with_videos = train(logger)
    assert_bitwise_equal(with_videos, train(None))


def test_tensorboard_gets_a_gif_and_the_run_an_mp4(train, tmp_path):
    backends = [TensorBoardBackend(tmp_path), VideoBackend(tmp_path)]
    with LoggingCallback(backends, name="run", video_fps=10.0, **SMALL) as logger:
        train(logger)
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
        train(callback)
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
    with pytest.warns(RuntimeWarning, match=f"no videos:.*{reason}; all else goes on") as caught:
        with LoggingCallback(memory, name="run", **SMALL) as logger:
            trained = train(logger, 8, env=kind())
    assert len(caught) == 1 and memory.videos == [] and len(memory.records) == 8
    assert_bitwise_equal(trained, train(None, 8))


class NoVideos(MemoryBackend):
    def log_video(self, tag, frames, step, fps):
        raise OSError("no encoder")


def test_a_backend_that_cannot_write_one_is_one_warning_and_still_gets_scalars(train):
    other, broken = MemoryBackend(), NoVideos()
    with pytest.warns(RuntimeWarning, match="NoVideos takes no more videos.*no encoder") as caught:
        with LoggingCallback([broken, other], name="run", **SMALL) as logger:
            train(logger, 8)
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


def test_a_backend_that_keeps_its_clip_is_left_behind_and_the_others_get_theirs(train, monkeypatch):
    monkeypatch.setattr(video_recorder, "BACKEND_SECONDS", 0.2)
    backend, other = Holds(), MemoryBackend()
    with pytest.warns(RuntimeWarning, match="Holds is switched off .left behind: a video took") as caught:
        with LoggingCallback([backend, other], name="run", **SMALL) as logger:
            train(logger, 10)
    backend.go_on.set()
    assert len(caught) == 1 and len(backend.videos) == 1
    assert sorted(step for _, _, step, _ in other.videos) == [i * ITERATION for i in (2, 4, 6, 8, 10)]


def test_a_renderer_that_hangs_is_left_behind(train, monkeypatch, tmp_path):
    """And the encoder of the clip is ended: nothing half-written is left."""
    monkeypatch.setattr(video_recorder, "FRAME_SECONDS", 0.3)
    monkeypatch.setattr(video_recorder, "DROP_SECONDS", 0.1)
    go_on, frames = threading.Event(), itertools.count()

    class Hangs(CartPole):
        def render(self, state, renderer):
            if next(frames) == 3:
                go_on.wait(60)
            super().render(state, renderer)

    with pytest.warns(RuntimeWarning, match="no videos: one hangs and is left behind") as caught:
        with LoggingCallback(VideoBackend(tmp_path), name="run", **SMALL) as logger:
            train(logger, 4, env=Hangs())
    assert len(caught) == 1 and list((tmp_path / "run" / "videos").iterdir()) == []
    go_on.set()
    assert logger.finish_videos() == (2, 0, 0, 2, 0)


class Counting(CartPole):
    """Notes how often its step is traced."""

    traced: ClassVar[list[int]] = []

    def transition(self, state, action, *, key):
        self.traced.append(1)
        return super().transition(state, action, key=key)


def test_in_tensorboards_file_no_step_goes_back(train, tmp_path):
    """To its server that is a new beginning: it forgets what came later. Files of videos need no order."""
    backends = [TensorBoardBackend(tmp_path), VideoBackend(tmp_path)]
    with LoggingCallback(backends, name="run", **SMALL | {"video_interval": 1}) as logger:
        train(logger, 6)
    (path,) = (tmp_path / "run").glob("events*")
    values = [
        (event.step, value) for event in EventFileLoader(str(path)).Load() for value in event.summary.value
    ]
    steps = [step for step, value in values if value.tag == "eval/video"]
    assert steps == [i * ITERATION for i in range(1, 7)] and len(list(tmp_path.glob("run/videos/*"))) == 6


def test_in_little_time_the_first_and_the_newest_are_made(train, tmp_path, monkeypatch):
    """As the command does after a signal; what was given up is counted."""
    monkeypatch.setattr(video_recorder, "FIRST_SECONDS", 1e6)
    backend = VideoBackend(tmp_path)
    with LoggingCallback(backend, name="run", **SMALL | {"video_interval": 1}) as logger:
        train(logger, 6)
        counts = logger.finish_videos(seconds=600.0)
    assert counts == (6, 2, 0, 0, 4) and counts.text() == "2 of 6, the others were given up"
    found = sorted(path.stem for path in (tmp_path / "run" / "videos").iterdir())
    assert found == [f"step-{step:010d}" for step in (ITERATION, 6 * ITERATION)]


def test_all_that_are_due_come_and_one_program_plays_them(train, monkeypatch):
    """While training goes on nothing is drawn within the first seconds: what waits is made at the end."""
    monkeypatch.setattr(video_recorder, "FIRST_SECONDS", 1e6)
    memory = MemoryBackend()
    with LoggingCallback(memory, name="run", **SMALL | {"video_interval": 1}) as logger:
        train(logger, 6, env=Counting())
        assert memory.videos == []
        traced = len(Counting.traced)
        assert logger.finish_videos() == (6, 6, 0, 0, 0)
        once = len(Counting.traced) - traced
        trained = train(logger, 3, env=Counting())
        traced = len(Counting.traced)
    assert len(Counting.traced) == traced and 0 < once <= 2
    steps = [step for _, _, step, _ in memory.videos]
    assert steps == [
        i * ITERATION for i in range(1, 10)
    ]  # TensorBoard drops what goes back to an earlier step
    np.testing.assert_array_equal(memory.videos[steps.index(9 * ITERATION)][1], drawn(Counting(), trained))
    assert [phase for phase in memory.phases if phase.startswith("encoding")][0] == "encoding 0/6"


def test_without_room_for_all_an_evenly_spread_part_is_made_and_said(train, monkeypatch):
    """A relative: states that a program of the caller's own has sent."""
    monkeypatch.setattr(video_recorder, "FIRST_SECONDS", 1e6)
    monkeypatch.setattr(video_recorder, "ClipQueue", lambda: ClipQueue(max_clips=4))
    often = SMALL | {"video_interval": 1}
    for run in (lambda logger: train(logger, 7), jax.jit(lambda logger: train(logger, 7))):
        memory = MemoryBackend()
        with pytest.warns(RuntimeWarning, match="videos: 4 of 7, evenly spread, since more were due"):
            with LoggingCallback(memory, name="run", **often) as logger:
                jax.block_until_ready(eqx.filter(run(logger), eqx.is_array))
        assert sorted(step // ITERATION for _, _, step, _ in memory.videos) == [1, 3, 5, 7]


@pytest.mark.parametrize("due", [1, 2, 5, 40, 117, 1000])
@pytest.mark.parametrize("limits", [{"max_clips": 16}, {"max_bytes": 160}])
def test_what_waits_and_what_is_taken_first_is_evenly_spread(due, limits):
    clips = ClipQueue(**limits)
    for i in range(due):
        clips.put(i, lambda: (None, None), 10)
    assert (clips.due, clips.thinned, len(clips)) == (due, max(due - 16, 0), min(due, 16))
    order = [clip.number for clip in iter(clips.take, None)]
    assert order[:2] == [0, due - 1][:due]
    for count in range(3, len(order) + 1):
        gaps = np.diff(sorted(order[:count]))
        assert gaps.max() <= 4 * max(gaps.min(), due / 32)
    gaps = np.diff(sorted(order))
    assert due < 2 or gaps.max() <= 2 * max(due / 16, 1)


def test_clips_larger_than_the_room_leave_the_first_and_the_newest():
    clips = ClipQueue(max_bytes=10)
    for i in range(9):
        clips.put(i, lambda: (None, None), 100)
    assert [clip.number for clip in iter(clips.take, None)] == [0, 8]


def test_an_interrupt_ends_it_at_once_and_leaves_nothing_half_written(train, monkeypatch, tmp_path):
    monkeypatch.setattr(video_recorder, "FIRST_SECONDS", 1e6)
    drawing = threading.Event()

    class Slow(CartPole):
        def render(self, state, renderer):
            super().render(state, renderer)
            if folder.exists() and any(folder.iterdir()):
                drawing.set()
                time.sleep(0.001)

    folder = tmp_path / "run" / "videos"
    often = SMALL | {"video_interval": 1, "video_num_steps": 2000}
    with LoggingCallback(VideoBackend(tmp_path), name="run", **often) as logger:
        train(logger, 5, env=Slow())
        recorder = logger._log.video

        def interrupt():
            if drawing.is_set():
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            recorder.finish(interrupt)
        counts = logger.finish_videos()
    assert (
        counts.due == 5
        and counts.made < 5
        and counts.text(" here") == f"{counts.made} of 5 here, the others were given up"
    )
    files = sorted(file.name for file in folder.iterdir())
    assert len(files) == counts.made and all(name.startswith("step-") for name in files)


def test_after_an_exception_nobody_waits_for_videos(train, monkeypatch):
    monkeypatch.setattr(video_recorder, "FIRST_SECONDS", 1e6)
    memory = MemoryBackend()
    with pytest.raises(ZeroDivisionError), LoggingCallback(memory, name="run", **SMALL) as logger:
        train(logger)
        raise ZeroDivisionError
    assert memory.videos == [] and memory.closed


@pytest.mark.parametrize("kind", ["LoggingCallback", "TensorBoardCallback"])
def test_the_speed_is_that_of_the_environment(algorithm, tmp_path, kind):
    """A relative: `TensorBoardCallback`, and an environment that is wrapped."""
    env = TimeLimit(Acrobot(), 100)
    policy = MLPActorCriticPolicy(env=env, hidden_sizes=(4,), key=jr.key(0))
    settings: dict = SMALL | {"video_num_steps": 30}
    if kind == "LoggingCallback":
        callback = LoggingCallback(TensorBoardBackend(tmp_path), name="run", **settings)
    else:
        callback = TensorBoardCallback("run", log_dir=tmp_path, **settings)
    with callback:
        algorithm.learn(env, policy, 2 * ITERATION, key=jr.key(0), callback=callback)
    (image,) = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload().Images("eval/video")
    gif = Image.open(io.BytesIO(image.encoded_image_string))
    shown = sum(gif.info["duration"] for i in range(gif.n_frames) if gif.seek(i) is None)
    assert shown == pytest.approx(31 * 1000 / 15, abs=10)


def test_a_gif_that_would_be_too_large_is_smaller(train, tmp_path, monkeypatch):
    """A relative: the frames that somebody gives to `add_video`."""
    monkeypatch.setattr("lerax.backend.base.FRAMES_BYTES", 10_000)  # a fifth of the six frames
    with TensorBoardCallback("run", log_dir=tmp_path, **SMALL) as callback:
        train(callback, 2)
        callback.tb_writer.add_video("mine", np.zeros((6, 48, 64, 3), np.uint8), 0)
    events = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload()
    for tag in ("eval/video", "mine"):
        (image,) = events.Images(tag)
        gif = Image.open(io.BytesIO(image.encoded_image_string))
        assert (image.width, image.height) == gif.size == (22, 16)


def test_where_no_backend_takes_videos_none_is_drawn(train, tmp_path):
    with pytest.warns(RuntimeWarning, match="no videos: no backend takes them") as caught:
        with LoggingCallback(JSONLBackend(tmp_path), name="run", **SMALL) as logger:
            train(logger)
    assert len(caught) == 1 and logger.finish_videos() == (2, 0, 0, 2, 0)


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
