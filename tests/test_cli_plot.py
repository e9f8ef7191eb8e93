"""`lerax plot`, on directories made by hand: pictures in files and in terminals."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import terminal
from in_process import run as lerax
from made_studies import group, trained
from PIL import Image
from test_cli_inputs import refuse
from test_study_curves import log

needs_matplotlib = pytest.mark.skipif("not __import__('importlib').util.find_spec('matplotlib')")
needs_plotext = pytest.mark.skipif("not __import__('importlib').util.find_spec('plotext')")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings of four seeds on one environment, and a run on another."""
    folder, random = tmp_path_factory.mktemp("plot"), np.random.default_rng(0)
    for name, gamma, height in (("high", 0.99, 500.0), ("low", 0.9, 100.0)):
        group(folder / "logs", name, [height] * 4, settings={"gamma": gamma})
        for seed in range(4):
            rise = height * (1 - np.exp(-np.arange(40) / 10)) + random.normal(scale=20.0, size=40)
            log(folder / "logs" / name / f"seed_{seed}", rise.tolist(), every=1000)
    log(trained(folder / "logs", "pole", env="Pendulum-v1"), [-1000.0, -900.0, -150.0])
    return folder


@needs_matplotlib
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_is_a_file_and_the_same_each_time(folder: Path, tmp_path: Path, ending: str):
    files = [tmp_path / f"{name}.{ending}" for name in ("one", "two")]
    for file in files:
        done = lerax("plot", "high", "low", "-o", str(file), cwd=folder)
        assert (done.returncode, done.stdout) == (0, f"{file}\n"), done.stderr
    shows, step = done.stderr.splitlines()
    assert shows.startswith("shows       4 seeds; line: interquartile mean; band: 95 %")
    assert step == "next        lerax compare high low"
    assert files[0].read_bytes() == files[1].read_bytes()
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert files[0].read_bytes().startswith(begins[ending])


@needs_matplotlib
def test_the_picture_shows_lines_and_bands(folder: Path, tmp_path: Path):
    """In 1200 x 800: each colour is there, the brighter one of its band too, the higher line above."""
    import matplotlib
    from matplotlib.colors import to_rgb

    lerax("plot", "high", "low", "-o", str(tmp_path / "a.png"), cwd=folder)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert pixels.shape == (800, 1200, 3)
    heights = []
    for name in matplotlib.color_sequences["petroff10"][:2]:
        color = np.array(to_rgb(name)) * 255
        near = lambda wanted: np.abs(pixels - wanted).max(axis=-1) <= 3  # noqa: B023
        line, band = near(color), near(0.2 * color + 0.8 * 255)
        assert line.sum() > 1000 and band.sum() > 1000
        heights.append(np.nonzero(line[:, 900:])[0].mean())
    assert heights[0] < heights[1]


@needs_matplotlib
def test_words_of_the_picture(folder: Path, tmp_path: Path):
    """As an SVG with letters has them."""
    import matplotlib

    from lerax.study import picture

    file = tmp_path / "a.svg"
    kept = dict(picture.SETTINGS)
    picture.SETTINGS["svg.fonttype"] = "none"
    try:
        options = ("--title", "Mine & yours", "--smooth", "10%", "--x", "time", "-o", str(file))
        lerax("plot", "high", "low", "pole", *options, cwd=folder)
    finally:
        picture.SETTINGS.clear()
        picture.SETTINGS.update(kept)
    assert matplotlib.rcParams["svg.fonttype"] != "none"
    words = re.sub(r"\s+", " ", " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", file.read_text())))
    for wanted in (
        "Mine &amp; yours",
        "CartPole-v1",
        "Pendulum-v1",
        "high (4 seeds)",
        "low (4 seeds)",
        "pole (1 seed)",
        "time (s)",
        "return of training episodes",
        "1 to 4 seeds; line: interquartile mean, ended runs keep their last value",
        "mean over 4 s around each point",
    ):
        assert wanted in words


@needs_plotext
@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 43), (40, 24)])
def test_a_terminal_picture_fits(folder: Path, monkeypatch, width: int, height: int):
    """Without colours where nobody sees them: lines differ in what they are made of."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(height))
    done = lerax("plot", "high", "low", cwd=folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert len(lines) + len(done.stderr.splitlines()) < height and max(map(len, lines)) <= width
    drawn = "\n".join(lines[1:])
    assert "high (4 seeds)" in drawn and "low (4 seeds)" in drawn and drawn.count("o") > 20
    assert sum(0x2800 < ord(letter) <= 0x28FF for letter in drawn) > 15
    assert "return of training episodes of" in lines[0]
    marks = [line.partition(" ")[0] for line in lines if re.match(r"\S (high|low): ", line)]
    assert marks == ["\u28ff", "o"] and lines[-1].endswith("the end")
    assert done.stderr == "next        lerax plot high low -o curves.png\n"


@needs_plotext
def test_each_environment_has_a_panel_in_the_terminal(folder: Path):
    done = lerax("plot", "high", "pole", cwd=folder)
    heads = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith("return of")]
    assert heads == [
        "return of training episodes of CartPole-v1",
        "return of training episodes of Pendulum-v1",
    ]
    assert "pole on Pendulum-v1: -150 at the end" in done.stdout


@needs_plotext
def test_no_number_is_cut_in_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "40")
    group(tmp_path / "logs", "a_name_of_some_letters", [1.0] * 4)
    for seed in range(4):
        log(tmp_path / "logs" / "a_name_of_some_letters" / f"seed_{seed}", [-1.234e-5 * (1 + seed / 99)])
    done = lerax("plot", "a_name_of_some_letters", "--title", "Words of a title " * 3, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 40 and done.stdout.startswith("Words of a title Words")
    head = " ".join(lines[2:4]).split()
    assert head == "return of training episodes of CartPole-v1".split()
    ends = " ".join(" ".join(lines[-2:]).split())
    assert re.fullmatch(
        r"\S a_name_of_some_letters: -1\.253e-05, -1\.2\d\de-05 to -1\.2\d\de-05 at the end", ends
    )


@needs_matplotlib
def test_names_that_begin_with_a_line_and_points_alone_are_drawn(tmp_path: Path):
    """matplotlib's legend passes over such names, and a band of one point has no width."""
    from lerax.study import picture
    from lerax.study.curves import Curve, Curves

    one, line = (lambda *values: np.array(values)), "CartPole-v1"
    curve = Curve("_mine", 5, one(1.0), one(2.0), one(1.0), one(3.0), one(5))
    kept = dict(picture.SETTINGS)
    picture.SETTINGS["svg.fonttype"] = "none"
    try:
        text = picture.drawn(Curves("episode/return", "steps", {line: [curve]}, 0.0, []), "svg").decode()
    finally:
        picture.SETTINGS.clear()
        picture.SETTINGS.update(kept)
    assert "_mine (5 seeds)" in text and "LineCollection" in text


@needs_matplotlib
def test_what_python_warns_of_is_a_line(tmp_path: Path):
    log(trained(tmp_path / "logs", "run"), [1.0, 2.0])
    done = lerax("plot", "run", "--title", "\U0001f680", "-o", "a.png", cwd=tmp_path)
    (line,) = [line for line in done.stderr.splitlines() if "lyph" in line]
    assert line.startswith("lerax: warning: Glyph 128640 ") and done.returncode == 0


@needs_plotext
@pytest.mark.parametrize("colored", [True, False])
def test_a_terminal_has_colours_unless_it_should_not(folder: Path, colored: bool):
    """On a screen of 80 x 24 the picture stands as it is, its first line is not lost."""
    variables = {} if colored else {"NO_COLOR": "1"}
    command = f"exec {terminal.LERAX} plot high low >&2"  # the one stream that is the terminal there
    arguments = {"program": "sh", "cwd": folder, "size": (80, 24)} | variables
    with terminal.Terminal("-c", command, **arguments) as shown:
        assert shown.finish() == 0
        screen = shown.text().splitlines()
        assert screen[0].strip() == "return of training episodes of CartPole-v1" and not shown.scrolled()
        assert [line for line in screen if line][-1].startswith("next        lerax plot high low")
        assert ("ooo" in shown.text()) != colored and (b"\x1b[38;5;" in shown.raw) == colored


@needs_plotext
@pytest.mark.parametrize(
    "values", [[1.0], [2.0, 2.0], [1e300, -1e300], [1.7e308, -1.7e308, 1.0], [0.0, 1e-300]]
)
def test_strange_values_are_drawn(tmp_path: Path, values: list[float]):
    log(trained(tmp_path / "logs", "run\x1b[31m" if len(values) == 1 else "run"), values)
    (name,) = (path.name for path in (tmp_path / "logs").iterdir())
    done = lerax("plot", name, cwd=tmp_path)
    assert done.returncode == 0 and "\x1b" not in done.stdout and "at the end" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["RUN"]),
        (["hgih"], ["RUN", "no such run"]),
        (["high", "--y", "episode/retrun"], ["--y", "did you mean episode/return"]),
        (["high", "--x", "steps/s"], ["--x", "steps, time"]),
        (["high", "--by", "gama"], ["--by", "did you mean gamma"]),
        (["high", "--smooth", "much"], ["--smooth", "'much'", "such as 2000"]),
        (["high", "-o", "a.gif"], ["-o", ".svg, .png, .pdf"]),
        (["high", "-o", "logs"], ["-o", ".svg"]),
        (["high", "-o", "there.png"], ["-o", "--overwrite"]),
        (["high", "-o", "none/there.png"], ["-o", "in no folder"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_cannot_be_is_refused(folder: Path, arguments: list[str], words: list[str]):
    (folder / "there.png").touch()
    refuse(lerax("plot", *arguments, cwd=folder), 2, words)
    assert (folder / "there.png").read_bytes() == b""


def test_what_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Before anything is read."""
    from lerax_cli import plot

    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    done = lerax("plot", "high", "-o", "a.png", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lerax: error: lerax plot: matplotlib missing; pip install 'lerax[plot]'\n"


@needs_plotext
def test_damaged_runs_are_left_out_with_a_line(folder: Path, tmp_path: Path):
    group(tmp_path / "logs", "two", [1.0, 2.0])
    log(tmp_path / "logs" / "two" / "seed_0", [1.0, 2.0, 3.0])
    done = lerax("plot", "two", cwd=tmp_path)
    assert done.returncode == 0
    warned = "lerax: warning: two/seed_1 is left out: it has no episode/return"
    assert done.stderr.splitlines()[0] == warned
    (tmp_path / "logs" / "two" / "seed_0" / "metrics.jsonl").unlink()
    refuse(lerax("plot", "two", cwd=tmp_path), 2, ["--y", "there is nothing in their metrics.jsonl"])


@needs_plotext
def test_nothing_slow_is_imported(folder: Path):
    program = """
import sys
from lerax_cli.app import run
code = run(["plot", "high"])
slow = {"jax", "equinox", "matplotlib", "pandas", "scipy.stats"} & {*sys.modules}
sys.exit(code or ", ".join(slow) or 0)
"""
    done = terminal.finish([sys.executable, "-c", program], folder, {})
    assert done.returncode == 0, done.stderr
