"""Words on frames, and several frames as one."""

import sys

import numpy as np
import PIL.ImageDraw
import pytest

from lerax.render import RenderError, grid_shape, side_by_side, write_caption
from lerax.render.grid import KEPT, Spread

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "ground",
    [np.full((480, 640, 3), level, np.uint8) for level in (0, 128, 255)]
    + [RNG.integers(0, 256, (480, 640, 3), dtype=np.uint8)],
    ids=["black", "grey", "white", "noise"],
)
@pytest.mark.parametrize("at_bottom", [False, True])
def test_words_can_be_read_on_any_ground(ground, at_bottom):
    """White on what is nowhere brighter than a quarter, in one corner; the rest is as it was."""
    frame = ground.copy()
    write_caption(frame, ["step 12", "return 3.4"], at_bottom=at_bottom)
    rows, columns = np.nonzero((frame != ground).any(axis=2))
    corner = frame[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
    assert (rows.min() >= 440) if at_bottom else (rows.max() < 40)
    assert columns.max() < 400
    bright = (corner > 200).all(axis=2)
    assert 0.02 < bright.mean() < 0.4
    assert np.median(corner[~bright]) < 70


def test_other_words_look_different_and_what_follows_does_not_move():
    def written(texts):
        frame = np.zeros((480, 640, 3), np.uint8)
        write_caption(frame, texts)
        return frame

    one, other = written(["step 1", "reward"]), written(["step 4", "reward"])
    columns = np.nonzero((one != other).any(axis=(0, 2)))[0]
    assert 0 < columns.size and columns.max() - columns.min() < 20


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (30, 40)])
def test_small_frames_hold_what_fits(size):
    frame = np.zeros((*size, 3), np.uint8)
    write_caption(frame, ["a long text", "and another"])
    write_caption(frame, ["a long text", "and another"], at_bottom=True)
    assert frame.shape == (*size, 3)


def test_without_pillow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(RenderError, match="pip install pillow"):
        write_caption(np.zeros((10, 10, 3), np.uint8), ["x"])


def plain(count, level):
    """Frames of one grey, each one brighter."""
    return (np.full((2, 3, 3), level + i, np.uint8) for i in range(count))


def test_one_stream_stays_as_it_is():
    frames = list(side_by_side([plain(3, 10)]))
    assert [frame.shape for frame in frames] == [(2, 3, 3)] * 3
    assert [frame[0, 0, 0] for frame in frames] == [10, 11, 12]


def test_streams_stand_side_by_side_and_the_last_frame_of_a_short_one_stays():
    frames = np.stack(list(side_by_side([plain(1, 10), plain(3, 100)])))
    assert frames.shape == (3, 2, 6, 3)
    assert (frames[:, :, :3] == 10).all()
    moving = frames[:, :, 3:]
    assert moving[:, 0, 0, 0].tolist() == [100, 101, 102] and (moving == moving[:, :1, :1]).all()


def test_many_streams_stand_in_rows():
    frames = list(side_by_side([plain(1, 10 * i) for i in range(1, 6)]))
    grid = frames[0][::2, ::3, 0]
    assert grid.tolist() == [[10, 20, 30], [40, 50, 0]]


@pytest.mark.parametrize("count, shape", [(1, (1, 1)), (3, (3, 1)), (4, (2, 2)), (5, (3, 2)), (10, (4, 3))])
def test_a_grid_has_room_for_all(count, shape):
    assert grid_shape(count) == shape


def test_of_a_long_stream_evenly_spread_items_are_kept():
    """Every eighth of five times as many as are kept: what is asked for is there, or lies not far before."""
    spread = Spread[int]()
    for number in range(5 * KEPT):
        spread.add(number)
    assert (spread[0], spread[5 * KEPT - 1]) == (0, 5 * KEPT - 1)
    assert [spread[number] for number in range(100)] == [number // 8 * 8 for number in range(100)]


WORDS = ("step 4", "reward 0.95", "return 123.4")


def told(monkeypatch, size, words=WORDS, importance=(2, 0, 1)):
    """The texts that are drawn on a frame, with the right edge of each."""
    drawn = []
    draw = PIL.ImageDraw.ImageDraw.text

    def text(self, at, text, **options):
        drawn.append((text, at[0] + options["font"].getlength(text), at[1]))
        draw(self, at, text, **options)

    monkeypatch.setattr(PIL.ImageDraw.ImageDraw, "text", text)
    write_caption(np.zeros((*size, 3), np.uint8), words, importance=importance)
    return drawn


@pytest.mark.parametrize(
    ("size", "kept", "lines"),
    [
        ((480, 640), WORDS, 1),
        ((120, 160), WORDS, 2),
        ((60, 112), WORDS, 2),
        ((40, 112), ("step 4", "return 123.4"), 1),
        ((40, 64), ("return 123.4",), 1),
        ((40, 50), ("return 123.4",), 1),
        ((10, 10), (), 0),
    ],
)
def test_what_has_no_room_is_left_out_whole(monkeypatch, size, kept, lines):
    """Lines are broken first; the return stays longest, then the step: no number is cut off at the edge."""
    drawn = told(monkeypatch, size)
    assert tuple(text for text, _, _ in drawn) == kept
    assert all(right <= size[1] for _, right, _ in drawn)
    assert len({top for *_, top in drawn}) == lines


def test_number_that_has_room_is_in_smaller_letters_before_it_goes(monkeypatch):
    """The relative: a number that grows, as in a long episode."""
    drawn = told(monkeypatch, (40, 50), ("step 9999", "reward -1.00", "return -9999.0"))
    assert [(text, right <= 50) for text, right, _ in drawn] == [("return -9999.0", True)]
    assert told(monkeypatch, (40, 40), ("step 9999", "reward -1.00", "return -9999.0")) == []
