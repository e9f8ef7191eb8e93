"""Video files, held against an independent decoder (PyAV) and Pillow."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import terminal
from PIL import Image

import lerax.render.gif
import lerax.render.video
from lerax.render import RenderError, VideoWriter, encode_gif, write_video

COLORS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (230, 140, 60), (255, 255, 255), (20, 30, 40)])


def clip(count=20, width=64, height=48):
    """A square of a new colour moves to the right over grey."""
    frames = np.full((count, height, width, 3), 128, np.uint8)
    for i, frame in enumerate(frames):
        frame[16:32, i : i + 16] = COLORS[i % len(COLORS)]
    return frames


def decode(path):
    """Frames, frames per second and duration (s)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return np.stack(frames), float(stream.average_rate), float(stream.duration * stream.time_base)


@pytest.mark.parametrize("fps", [50, 29.97, 7])
def test_an_mp4_holds_every_frame_at_its_rate_and_colour(tmp_path, fps):
    path = tmp_path / "new" / "clip.mp4"
    frames = clip()
    write_video(path, iter(frames), fps)
    decoded, rate, duration = decode(path)
    assert decoded.shape == frames.shape
    assert rate == pytest.approx(fps, rel=1e-4) and duration == pytest.approx(len(frames) / fps, rel=0.01)
    for i, frame in enumerate(decoded.astype(int)):
        assert np.abs(frame[24, i + 8] - COLORS[i % len(COLORS)]).max() < 16, i
        assert np.abs(frame[4, 4] - 128).max() < 4
    assert list(path.parent.iterdir()) == [path]


def test_a_rate_that_is_not_common_is_kept_for_large_frames(tmp_path):
    """Of these ffmpeg takes a few to guess the rate by, and takes 125 for 120."""
    path, frames = tmp_path / "clip.mp4", clip(40, 640, 480)
    write_video(path, frames, 125)
    decoded, rate, duration = decode(path)
    assert (len(decoded), rate) == (40, 125) and duration == pytest.approx(40 / 125, rel=0.01)


def test_an_mp4_is_what_browsers_play(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, clip(), 30)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat"), "it plays before it is loaded"


@pytest.mark.parametrize("size", [(639, 481), (65, 48), (64, 49), (1, 1)])
def test_odd_sizes_grow_by_their_edge(tmp_path, size):
    frames = np.full((3, size[1], size[0], 3), 40, np.uint8)
    frames[:, -1], frames[:, :, -1] = 220, 220
    write_video(tmp_path / "clip.mp4", frames, 10)
    decoded, _, _ = decode(tmp_path / "clip.mp4")
    assert decoded.shape == (3, size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert (decoded[:, -1] > 200).all() and (decoded[:, :, -1] > 200).all()


@pytest.mark.parametrize(
    "bad",
    [np.zeros(shape, np.uint8) for shape in ((48, 66, 3), (48, 64, 4), (48, 64))] + [np.zeros((48, 64, 3))],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_other_frames_are_refused_and_nothing_is_left(tmp_path, bad, name):
    with pytest.raises(ValueError, match="frame: .*got"):
        write_video(tmp_path / name, [*clip(3), bad], 30)
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_what_was_there_before_and_nothing_else(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")
    with pytest.raises(KeyError):
        with VideoWriter(path, fps=30) as video:
            video.add(clip(1)[0])
            raise KeyError
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_no_frame_is_an_error(tmp_path, name):
    with pytest.raises((RenderError, ValueError), match="at least one frame"):
        write_video(tmp_path / name, [], 30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": np.nan}, {"crf": 99}])
def test_options_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="got"):
        VideoWriter(tmp_path / "clip.mp4", **{"fps": 30, **options})


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4 or \.gif"):
        write_video(tmp_path / "clip.avi", clip(2), 30)


@pytest.mark.parametrize("last", [False, True])
def test_an_encoder_that_dies_is_an_error_and_leaves_nothing(tmp_path, last):
    video = VideoWriter(tmp_path / "clip.mp4", fps=30)
    frame = np.zeros((480, 640, 3), np.uint8)
    with pytest.raises(RenderError, match="encoder failed"):
        with video:
            video.add(frame)
            video._encoder.kill()
            video._encoder.wait()
            if not last:
                video.add(frame)
    assert list(tmp_path.iterdir()) == []


def test_reason_of_the_encoder_names_no_places_in_its_memory(tmp_path):
    """Nor does (the relative) a line with two of them."""
    video = VideoWriter(tmp_path / "clip.mp4", fps=30)
    with pytest.raises(RenderError) as error, video:
        video.add(np.zeros((16, 16, 3), np.uint8))
        video._encoder.kill()
        video._encoder.wait()
        video._log.seek(0, 2)
        video._log.write(b"[out#0/mp4 @ 0x56282e1b7c40] [mov @ 0xab12] No space left\n")
        video._log.flush()
    assert "([out#0/mp4] [mov] No space left)" in str(error.value)


def test_an_encoder_that_writes_too_few_frames_is_noticed(tmp_path):
    video = VideoWriter(tmp_path / "clip.mp4", fps=30)
    with pytest.raises(RenderError, match="encoder failed"), video:
        video.add(clip(1)[0])
        video.frames += 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_encoder_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RenderError, match="pip install .*imageio-ffmpeg"):
        write_video(tmp_path / "clip.mp4", clip(2), 30)


def test_an_encoder_that_cannot_run_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(lerax.render.video, "_ffmpeg", lambda: str(tmp_path / "nothing"))
    with pytest.raises(RenderError, match="does not start.*imageio-ffmpeg"):
        write_video(tmp_path / "clip.mp4", clip(2), 30)


ENDLESS = """
import sys
import numpy as np
from lerax.render import VideoWriter
with VideoWriter(sys.argv[1], fps=30) as video:
    while True:
        video.add(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
        print(flush=True)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_no_video_under_the_final_name(tmp_path, sign):
    environment = os.environ | {"PYTHONPATH": str(Path(lerax.render.__file__).parents[2])}
    path = tmp_path / "clip.mp4"
    command = [sys.executable, "-c", ENDLESS, str(path)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with terminal.ordinary_signals():
        process = subprocess.Popen(command, env=environment, **streams)
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(sign)
    process.communicate(timeout=terminal.SECONDS)
    time.sleep(0.5)  # an encoder that outlived it would be done by now
    assert not path.exists()
    if sign == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps, kept", [(50, 20), (30, 20), (12.5, 20), (100, 10)])
def test_a_gif_holds_its_frames_and_their_time(fps, kept):
    frames = clip()
    with Image.open(io.BytesIO(encode_gif(frames, fps))) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (kept, (64, 48), 0)
        duration = 0
        for i in range(kept):
            image.seek(i)
            duration += image.info["duration"]
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - frames[i * 20 // kept]).max() < 12, i
    assert duration / 1000 == pytest.approx(20 / fps, abs=0.006)


def test_a_gif_has_one_palette_that_serves_its_last_frames_too():
    frames = np.random.default_rng(0).integers(0, 90, (30, 8, 8, 3), np.uint8)
    frames[20:] = 255 - frames[20:]
    data = encode_gif(frames, 25)
    with Image.open(io.BytesIO(data)) as image:
        image.seek(25)
        error = np.asarray(image.convert("RGB")).astype(int) - frames[25]
    assert np.abs(error).mean() < 20
    assert data[10] & 0x80, "a palette for all"
    assert len(data) < 768 + 30 * (2 * 8 * 8 + 100), "and none beside it"


def test_a_gif_on_disk_is_whole(tmp_path):
    write_video(tmp_path / "new" / "clip.gif", clip(5), 10)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.gif"]
    with Image.open(tmp_path / "new" / "clip.gif") as image:
        assert image.n_frames == 5


def test_a_gif_that_memory_would_not_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lerax.render.gif, "GIF_BYTES", 10 * 64 * 48 * 3)
    write_video(tmp_path / "fits.gif", clip(10), 25)
    with pytest.raises(RenderError, match="11 frames of 64 x 48.*mp4"):
        write_video(tmp_path / "clip.gif", clip(11), 25)
    assert [path.name for path in tmp_path.iterdir()] == ["fits.gif"]


@pytest.mark.parametrize("name, facts", [("a.mp4", (20, 100, 66, 48)), ("a.gif", (10, 50, 65, 47))])
def test_writing_tells_what_the_file_holds(tmp_path, name, facts):
    assert write_video(tmp_path / name, clip(20, 65, 47), 100) == facts
    if name == "a.mp4":
        frames, rate, _ = decode(tmp_path / name)
        assert (len(frames), rate, frames.shape[2], frames.shape[1]) == facts


def test_an_exception_while_the_file_is_completed_leaves_nothing(tmp_path, monkeypatch):
    """A signal may raise at any moment."""
    video = VideoWriter(tmp_path / "clip.mp4", fps=30)
    video.add(clip(1)[0])

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "_said", interrupted)
    with pytest.raises(KeyboardInterrupt):
        video.close()
    assert list(tmp_path.iterdir()) == []
    video.abandon()
