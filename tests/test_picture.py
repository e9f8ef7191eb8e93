"""Still pictures, sheets of them, and videos read back; held against Pillow and PyAV."""

import sys

import av
import numpy as np
import pytest
from jax import numpy as jnp
from PIL import Image
from test_video import clip

from lerax.render import RenderError, Spread, grid, read_video, tiled, write_picture, write_video

# imageio's reader of mp4 files leaves its pipes to the garbage collector.
leaves_pipes = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.mark.parametrize("size", [(640, 480), (63, 47), (1, 1)])
def test_a_picture_is_what_was_drawn(tmp_path, size):
    """Nothing is lost, at any size."""
    frame = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    write_picture(tmp_path / "new" / "a.png", frame)
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), frame)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("name", "frame", "said"),
    [("a.jpg", clip(1)[0], r"\.png"), ("a.png", clip(1), "frame: "), ("a.png", clip(1)[0] / 255, "float64")],
)
def test_other_names_and_frames_are_refused(tmp_path, name, frame, said):
    with pytest.raises(ValueError, match=said):
        write_picture(tmp_path / name, frame)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_without_imageio_it_says_what_to_install(tmp_path, monkeypatch, name):
    """A relative of the missing encoder of mp4 files."""
    monkeypatch.setitem(sys.modules, "imageio.v3", None)
    with pytest.raises(RenderError, match="pip install imageio"):
        write_picture(tmp_path / name, clip(1)[0]) if name == "a.png" else write_video(
            tmp_path / name, clip(2), 30
        )
    assert list(tmp_path.iterdir()) == []


@leaves_pipes
@pytest.mark.parametrize("fps", [50, 29.97, 125])
def test_an_mp4_is_read_as_another_decoder_reads_it(tmp_path, fps):
    """Beside JAX, too, which warns of forks once it has computed something."""
    jnp.zeros(())
    write_video(tmp_path / "a.mp4", clip(), fps)
    frames, rate = read_video(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.dtype == np.uint8 and frames.shape == expected.shape == clip().shape
    assert np.abs(frames.astype(int) - expected).max() < 12
    assert rate == pytest.approx(fps, rel=1e-3)


@pytest.mark.parametrize("count", [1, 20])
def test_a_gif_is_read_back(tmp_path, count):
    """A relative: a GIF of one frame."""
    write_video(tmp_path / "a.gif", clip(count), 25)
    frames, rate = read_video(tmp_path / "a.gif")
    assert rate == pytest.approx(25) and frames.shape == clip(count).shape
    assert np.abs(frames.astype(int) - clip(count)).max() < 12


@leaves_pipes
@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.txt"])
def test_what_is_no_video_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        read_video(tmp_path / name)
    (tmp_path / name).write_bytes(b"GIF89a and so on" * 10)
    with pytest.raises(ValueError, match=f"{name}: not a video"):
        read_video(tmp_path / name)


def test_tiles_follow_each_other_line_by_line():
    pictures = [np.full((2, 3, 3), level, np.uint8) for level in (10, 20, 30, 40, 50)]
    assert tiled(pictures, 2)[::2, ::3, 0].tolist() == [[10, 20], [30, 40], [50, 0]]
    assert tiled(pictures, 5).shape == (2, 15, 3) and tiled(pictures).shape == (4, 9, 3)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 100, 1023])
def test_of_a_long_stream_evenly_spread_items_are_kept(monkeypatch, count):
    """Memory does not grow, the first and the last are there, and none is far from what is asked for."""
    monkeypatch.setattr(grid, "KEPT", 8)
    spread = Spread[int]()
    for item in range(count):
        spread.add(item)
    got = [spread[number] for number in range(count)]
    assert (got[0], got[-1], spread.count) == (0, count - 1, count)
    assert len(spread._items) <= 8
    assert max(number - item for number, item in enumerate(got)) <= max(count // 4, count > 8)
