"""Notebooks: what a cell shows, by a stand-in for IPython's shell, and by the example in a kernel."""

import base64
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import av
import notebooks
import numpy as np
import pytest
from jax import random as jr
from PIL import Image

from lerax.backend import ConsoleBackend, notebook
from lerax.callback import ProgressBarCallback
from lerax.policy import RandomPolicy
from lerax.record import record, take_picture
from lerax.render import headless_renderer, inline
from lerax.study.curves import Curve, Curves

EXAMPLE = Path(__file__).parents[1] / "examples" / "notebook.ipynb"
SCALARS = {"episode/return": 12.5, "train/loss": 0.25, "time/steps_per_second": 1000.0}
# The button that stops a cell sends SIGINT to the kernel.
STOPPED = """
import os, signal

class Stops(MemoryBackend):
    def log_scalars(self, scalars, step):
        if not self.records:
            os.kill(os.getpid(), signal.SIGINT)
        super().log_scalars(scalars, step)

with LoggingCallback([ConsoleBackend(), Stops()], env=env, policy=untrained) as logger:
    algorithm.learn(env, untrained, total_timesteps=2**30, key=learn_key, callback=logger)
"""


class Page(HTMLParser):
    """The rows of a page's tables, its progress bars, its videos and pictures, and all its text."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.bars, self.sources, self.text, self.tags = [], [], [], "", set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        found = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "progress":
            self.bars.append(float(found["value"]) / float(found["max"]))
        elif tag in ("video", "img"):
            self.sources.append(found["src"])

    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    @property
    def values(self):
        return {row[0]: row[1] for row in self.rows}


@pytest.fixture
def sent(monkeypatch):
    """What is published to a shell that is taken for a kernel's: `(data, display_id, update)` each."""
    sent = []
    publish = lambda data, metadata, *, transient, update: sent.append(
        (data, transient["display_id"], update)
    )
    shell = SimpleNamespace(kernel=object(), display_pub=SimpleNamespace(publish=publish))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return sent


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it, and timers that a test lets go off."""
    clock = SimpleNamespace(now=1000.0, timers=[])

    class Timer:
        def __init__(self, seconds, function):
            self.seconds, self.function, self.cancelled = seconds, function, False

        def start(self):
            clock.timers.append(self)

        def cancel(self):
            self.cancelled = True

    monkeypatch.setattr(notebook, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(notebook, "threading", SimpleNamespace(Lock=notebook.threading.Lock, Timer=Timer))
    return clock


def trained(backend, step=5000):
    backend.log_phase("compiling")
    backend.on_training_start(10_000, 10)
    backend.log_phase("training")
    backend.log_scalars(SCALARS, step)
    backend.flush()


def test_a_training_is_one_output_that_is_replaced(sent):
    backend = ConsoleBackend(device="cpu")
    backend.open("my-run")
    assert sent == []  # the cell that trains shows it, not the one that makes the logger
    trained(backend)
    backend.close()
    (first, *_, last), ids = sent, {name for _, name, _ in sent}
    assert len(ids) == 1 and [update for *_, update in sent] == [False] + [True] * (len(sent) - 1)
    assert "compiling" in first[0]["text/html"]
    page = Page(last[0]["text/html"])
    assert page.values == {"episode/return": "12.5", "train/loss": "0.25"} and page.bars == [0.5]
    assert all(words in page.text for words in ("my-run", "ended", "cpu", "50%", "5,000 of 10,000 steps"))
    assert last[0]["text/plain"].startswith("phase=ended step=5000 total=10000 episode/return=12.5")


def test_a_second_training_has_an_output_of_its_own(sent):
    backend = ConsoleBackend()
    backend.open("my-run")
    trained(backend)
    trained(backend, step=10_000)
    backend.close()
    names = [name for _, name, _ in sent]
    assert len(set(names)) == 2 and names == sorted(names, key=names.index)
    left = [data["text/html"] for data, name, _ in sent if name == names[0]][-1]
    assert "5,000 of 10,000 steps" in left and "compiling" not in left
    assert [update for *_, update in sent].count(False) == 2
    assert "finished" in sent[-1][0]["text/html"]  # all of its steps are done


def test_it_is_sent_at_a_bounded_rate_and_the_last_state_always(sent, clock):
    """At most once in a quarter of a second; what comes sooner is sent when that is over, not dropped."""
    state = SimpleNamespace(value=0)
    display = notebook.Display(lambda: {"text/plain": str(state.value)})
    for value in range(101):  # a second in all
        state.value = value
        display.update()
        clock.now += 0.01
        for timer in [one for one in clock.timers if not one.cancelled]:
            timer.seconds -= 0.01
            if timer.seconds < 1e-9:
                clock.timers.remove(timer)
                timer.function()
    assert len(sent) in (4, 5) and sent[0][0] == {"text/plain": "0"}
    (timer,) = (one for one in clock.timers if not one.cancelled)
    timer.function()
    assert sent[-1][0] == {"text/plain": "100"}
    before = len(sent)
    display.finish()
    assert len(sent) == before + 1


def test_a_curve_that_rises_is_drawn_rising(sent):
    backend = ConsoleBackend()
    backend.open("my-run")
    backend.on_training_start(100, 10)
    for step in range(1, 101):
        backend.log_scalars({"episode/return": 2.0 * step}, step)
    backend.close()
    html = sent[-1][0]["text/html"]
    points = [tuple(map(float, one.split(","))) for one in re.findall(r'points="(.*?)"', html)[0].split()]
    (left, bottom), (right, top) = points[0], points[-1]
    assert (left, right) == (0, notebook.CURVE_SIZE[0]) and 0 < top < bottom < notebook.CURVE_SIZE[1]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(points, points[1:], strict=False)]
    assert all(slope < 0 for slope in slopes) and "from 2 to 200" in html


def test_what_others_say_is_text(sent):
    backend = ConsoleBackend(device="<b>cpu")
    backend.open("run")
    backend.log_scalars({"<script>alert(1)</script>": 1.0, "a&amp;b": 2.0}, 1)
    backend.log_phase("<i>phase")
    backend.close()
    page = Page(sent[-1][0]["text/html"])
    assert page.values == {"<script>alert(1)</script>": "1", "a&amp;b": "2"}
    assert "<b>cpu" in page.text and not {"script", "i"} & page.tags


def test_many_values_are_cut_to_those_that_matter(sent):
    many = {f"seed_{seed}/train/loss_of_{seed}": 1.0 for seed in range(100)}
    backend = ConsoleBackend()
    backend.open("run")
    trained(backend)
    backend.log_scalars(many, 6000)
    backend.close()
    page = Page(sent[-1][0]["text/html"])
    assert len(page.rows) == notebook.ROWS and page.values["episode/return"] == "12.5"
    assert f"and {102 - notebook.ROWS} more" in page.text


@pytest.mark.parametrize("options", [{"progress": "plain"}, {"stream": io.StringIO()}, {"progress": "off"}])
def test_a_notebook_shows_lines_or_nothing_where_that_is_asked_for(sent, options, capsys):
    backend = ConsoleBackend(**options)
    backend.open("my-run")
    trained(backend)
    backend.close()
    written = options["stream"].getvalue() if "stream" in options else capsys.readouterr().err
    assert sent == [] and ("step=5000" in written) == (options.get("progress") != "off")


def test_a_shell_without_a_kernel_is_a_terminal(sent, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    backend = ConsoleBackend()
    backend.open("my-run")
    trained(backend)
    backend.close()
    assert sent == [] and "step=5000" in capsys.readouterr().err


def test_the_progress_bar_is_one_output(sent, env, policy, algorithm):
    bar = ProgressBarCallback(name="<mine>")
    algorithm.learn(env, policy, 64 * 5, key=jr.key(0), callback=bar)
    assert [update for *_, update in sent].count(False) == 1
    page = Page(sent[-1][0]["text/html"])
    assert page.bars == [1.0] and "<mine>" in page.text and "320 of 320 steps" in page.text


def decoded(source):
    """The frames of a video in a data address, by an independent decoder."""
    data = base64.b64decode(source.removeprefix("data:video/mp4;base64,"), validate=True)
    with av.open(io.BytesIO(data)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def made(env, tmp_path_factory):
    """A video, a GIF and a picture, by the endings of their names."""
    folder = tmp_path_factory.mktemp("made")
    given = env, [("<random>", RandomPolicy(env))]
    with headless_renderer(env, 160, 120) as renderer:
        made = {
            kind: record(folder / f"a.{kind}", *given, renderer, key=jr.key(0)) for kind in ("mp4", "gif")
        }
        return made | {"png": take_picture(folder / "a.png", *given, renderer, key=jr.key(0), steps=3)}


def test_a_video_shows_itself(made):
    page = Page(made["mp4"]._repr_html_())
    assert decoded(page.sources[0]) == [(160, 120)] * made["mp4"].video.frames
    assert f"return <random> {made['mp4'].episodes[0].total:g}" in page.text


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_a_picture_shows_itself(made, kind):
    (source,) = Page(made[kind]._repr_html_()).sources
    start, _, data = source.partition(";base64,")
    assert start == f"data:image/{kind}"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (160, 120)


def test_a_large_video_stays_outside_and_one_that_is_gone_is_words(made, monkeypatch):
    recording = made["mp4"]
    monkeypatch.chdir(recording.path.parent)
    monkeypatch.setattr(inline, "LARGEST", recording.path.stat().st_size - 1)
    page = Page(recording._repr_html_())
    assert page.sources == ["a.mp4"] and "stays outside: a.mp4" in page.text
    gone = recording._replace(path=Path("gone.mp4"))
    assert gone._repr_html_() is None


def test_curves_show_themselves_where_they_can_be_drawn(monkeypatch):
    x, none = np.array([0.0, 1.0, 2.0]), np.full(3, np.nan)
    line = Curve("mine", 1, x, 2 * x, none, none, np.ones(3, int))
    found = Curves("episode/return", "steps", {"CartPole-v1": [line]}, 0.0, [])
    assert ElementTree.fromstring(found._repr_svg_()).tag.endswith("svg")
    monkeypatch.setattr("lerax.study.picture.NEEDED", "not_installed_anywhere")
    assert found._repr_svg_() is None


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The example's cells that hold code, and one that is stopped, after they were run."""
    every = notebooks.executed(EXAMPLE, tmp_path_factory.mktemp("notebook"), STOPPED)
    return [cell for cell in every if cell["cell_type"] == "code"]


def shown(cell, kind="display_data"):
    (output,) = (one for one in cell["outputs"] if one["output_type"] == kind)
    return output


def test_the_example_trains_in_one_output_that_holds_the_last_step(cells):
    _, training, *_ = cells
    page = Page("".join(shown(training)["data"]["text/html"]))
    assert page.bars == [1.0] and "32,768 of 32,768 steps" in page.text and "finished" in page.text
    assert float(page.values["episode/return"]) > 50
    assert [one["output_type"] for one in training["outputs"]] == ["display_data"]  # no warning either
    kinds = [(kind, name) for kind, name in training["messages"] if "display" in kind]
    assert kinds[0][0] == "display_data" and {kind for kind, _ in kinds[1:]} == {"update_display_data"}
    assert len({name for _, name in kinds}) == 1


def test_the_example_shows_a_curve_a_score_and_a_video(cells):
    _, _, curve, score, video, _ = cells
    with Image.open(io.BytesIO(base64.b64decode(shown(curve)["data"]["image/png"]))) as picture:
        assert picture.width > 300
    assert float(re.findall(r"mean return (\d+)", "".join(score["outputs"][0]["text"]))[0]) > 50
    (source,) = Page("".join(shown(video, "execute_result")["data"]["text/html"])).sources
    frames = decoded(source)
    assert len(frames) > 50 and set(frames) == {(640, 240)}


def test_a_cell_that_is_stopped_ends_and_keeps_how_far_it_was(cells):
    stopped = cells[-1]
    assert shown(stopped, "error")["ename"] == "KeyboardInterrupt"
    page = Page("".join(shown(stopped)["data"]["text/html"]))
    assert "ended" in page.text and 0 <= page.bars[0] < 1


def test_the_example_is_kept_without_outputs():
    """They would be another picture at each change, and are a click away."""
    assert '"outputs": []' in EXAMPLE.read_text("utf-8") and "base64" not in EXAMPLE.read_text("utf-8")
