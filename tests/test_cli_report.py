"""`lerax report`, on directories made by hand: pages as a parser and a browser read them, and Markdown."""

import base64
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
import terminal
from in_process import run as lerax
from made_runs import make
from made_studies import group, trained
from PIL import Image
from test_cli_inputs import refuse
from test_study_curves import log

from lerax.render import VideoWriter
from lerax.report import markdown, page, write
from lerax.report.screen import as_svg

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<script>alert('x')</script> \" & | ` _a_ $x$ [y](javascript:z) \x1b[31m"
GIT = {"commit": "c0ffee" * 6, "dirty": True, "diff": "--- a/task.py\n+++ b/task.py\n-<b>old</b>\n+new\n"}
MACHINE = {"system": "Linux 6", "processor": "A & B", "cores": 8}
VOID = ("meta", "img", "source", "br", "link", "input")

needs_matplotlib = pytest.mark.skipif("not __import__('importlib').util.find_spec('matplotlib')")


class Page(HTMLParser):
    """Reads a page, whose tags must be balanced.

    Attributes:
        tags: Each tag with its attributes.
        rows: The cells of each row of its tables.
        text: All of it that is shown.
    """

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.rows: list[list[str]] = []
        self.text, self._open = "", list[str]()
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "title"):
            self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict]:
        """The attributes of each tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


def read(path: Path) -> Page:
    """A page that is found to load nothing from elsewhere."""
    text = path.read_text("utf-8")
    found = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in found.tags
    }
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "srcset", "href", "poster", "action", "data"):
            assert attributes.get(name, "data:").startswith("data:")
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert path.stat().st_size < 10_000_000
    return found


def film(path: Path, *, frames: int = 8, name: str = "step-0000001024.mp4") -> Path:
    """A video of a run."""
    (path / "videos").mkdir(exist_ok=True)
    file = path / "videos" / name
    with VideoWriter(file, fps=10) as writer:
        for number in range(frames):
            writer.add(np.full((32, 48, 3), number * 20, np.uint8))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings of three seeds, the first with a video and the state of git."""
    folder = tmp_path_factory.mktemp("report")
    for name, gamma, height in (("high", 0.99, 500.0), ("low", 0.9, 100.0)):
        facts = {"git": GIT, "machine": MACHINE, "argv": ["train", "CartPole-v1", "--name", "it's"]}
        facts = facts if name == "high" else {}
        scores = [height, height + 10, height + 20]
        group(folder / "logs", name, scores, settings={"gamma": gamma}, seconds_training=50.0, **facts)
        for seed in range(3):
            log(folder / "logs" / name / f"seed_{seed}", (height * np.arange(10) / 10).tolist())
    film(folder / "logs/high/seed_0", name="step-0000000512.mp4")
    newest = film(folder / "logs/high/seed_0", frames=9)
    os.utime(folder / "logs/high/seed_0/videos/step-0000000512.mp4", (1, 1))
    os.utime(newest, (2, 2))
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> Path:
    """Their report."""
    done = lerax("report", "high", "low", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "report.html\n"), done.stderr
    size, step = done.stderr.splitlines()
    assert size.startswith("size        ")
    assert step == f"next        open {(folder / 'report.html').as_uri()} in a browser"
    return folder / "report.html"


def test_the_page_says_what_was_trained_and_how_well(html: Path):
    found = read(html)
    assert found.rows[:3] == [
        ["NAME", "ALGORITHM", "ENVIRONMENT", "POLICY", "SEEDS", "STEPS"],
        ["high", "ppo", "CartPole-v1", "MLPActorCriticPolicy", "0 to 2", "10,000"],
        ["low", "ppo", "CartPole-v1", "MLPActorCriticPolicy", "0 to 2", "10,000"],
    ]
    assert "ppo on CartPole-v1" in found.text and "6 runs of 2 trainings, written 2" in found.text
    assert ["gamma", "0.99", "0.9"] in found.rows and ["gamma", "0.99"] in found.rows
    assert [
        "high/seed_1",
        "1",
        "finished",
        "10,000",
        "510",
        "61",
        "50",
        "",
        "2026-01-01T12:00:00+00:00",
    ] in found.rows


def test_scores_are_those_of_compare(folder: Path, html: Path):
    rows = read(html).rows
    printed = lerax("compare", "high", "low", cwd=folder).stdout
    tables = [re.split(r" {2,}", line) for line in printed.splitlines()]
    wanted = [row for row in tables if len(row) > 4]
    assert len(wanted) > 4 and all(
        [cell for cell in row if cell] in [[c for c in r if c] for r in rows] for row in wanted
    )


def test_machine_versions_and_code(html: Path):
    found = read(html)
    for row in (["processor", "A & B"], ["cores", "8"], ["jax", "0.10.2"], ["device", "cpu"]):
        assert row in found.rows
    assert f"Commit {GIT['commit']}, with changes: high/seed_0, high/seed_1, high/seed_2." in found.text
    assert "Of 3 more runs the commit is not known." in found.text
    assert "What was changed, 4 lines" in found.text and GIT["diff"] in found.text


def test_commands_that_repeat_it(html: Path):
    text = read(html).text
    assert "lerax train CartPole-v1 --name 'it'\"'\"'s'\n" in f"{text}\n"
    assert "lerax train --config logs/low/seed_2/config.toml" in text
    assert (html.parent / "logs/high/seed_0/config.toml").read_text() in text


@needs_matplotlib
def test_curves_are_pictures_for_light_and_dark_pages(html: Path):
    found = read(html)
    (dark,), (light,) = found.all("source"), found.all("img")
    assert dark["media"] == "(prefers-color-scheme: dark)" and "3 seeds; line: mean" in light["alt"]
    colours = []
    for source in (light["src"], dark["srcset"]):
        kind, _, data = source.partition(";base64,")
        svg = base64.b64decode(data).decode()
        assert kind == "data:image/svg+xml" and ElementTree.fromstring(svg).tag.endswith("svg")
        colours.append({*re.findall(r"#[0-9a-f]{6}", svg)})
    assert "#ffffff" in colours[0] and "#ffffff" not in colours[1]  # the page shows through


def test_the_newest_video_is_in_it_and_plays(folder: Path, html: Path, tmp_path: Path):
    (video,) = read(html).all("video")
    kind, _, data = video["src"].partition(";base64,")
    (tmp_path / "a.mp4").write_bytes(base64.b64decode(data))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 9
    assert kind == "data:video/mp4" and "high/seed_0, step-0000001024.mp4" in read(html).text


def test_the_dashboard_is_what_watch_shows(folder: Path, html: Path):
    """Its words, in a terminal of the same size."""
    found = read(html)
    assert [one["aria-label"] for one in found.all("svg")] == [
        f"The dashboard of {name}/seed_0" for name in ("high", "low")
    ]
    with terminal.Terminal("watch", "high/seed_0", "--once", cwd=folder, size=(100, 30)) as shown:
        assert shown.finish() == 0  # it may end without a pause to look in
        lines = shown.text().partition(" files ")[0]
    assert "finished" in lines
    words = re.findall(r"[\w/.,:%]{3,}", lines)
    assert len(words) > 10 and "episode/return" in words
    assert [word for word in words if word not in found.text] == []


def test_a_screen_is_as_wide_as_a_terminal():
    """Where a piece begins and ends does not depend on the reader's letters; what is too long is cut."""
    line = [(" ab ", "bold cyan"), ("日本", ""), ("   ", "dim"), ("x" * 20, "red")]
    svg = ElementTree.fromstring(as_svg([line], 12, about="<it>").replace("<svg", "<svg", 1))
    places = [(one.text, one.get("x"), one.get("textLength"), one.get("class")) for one in svg.iter("text")]
    assert places == [(" ab ", "0", "32", "bold cyan"), ("日本", "32", "32", None), ("x", "88", "8", "red")]
    assert svg.get("viewBox", "").startswith("0 0 96 ") and svg.get("aria-label") == "<it>"


@needs_matplotlib
def test_markdown_is_tables_and_a_picture(folder: Path, tmp_path: Path):
    done = lerax("report", "high", "low", "-o", str(tmp_path / "a.md"), "--title", "Mine", cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'a.md'}\n"), done.stderr
    assert f"beside      {tmp_path / 'a-curves.png'}" in done.stderr
    text = (tmp_path / "a.md").read_text()
    assert text.startswith("# Mine\n\n6 runs of 2 trainings.\n")
    assert "| gamma | 0.99 | 0.9 |\n" in text and "| processor | A \\& B |\n" in text
    assert "| high | CartPole-v1 | 3 | 510 | 500 to 520 | 510 | 510 |\n" in text
    with Image.open(tmp_path / "a-curves.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1200, 800))
    assert "![episode/return](<a-curves.png>)" in text
    assert "<" not in text.replace("(<a-curves.png>)", "") and "Dashboard" not in text and "old" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1 and re.fullmatch(r"\|(---\|)+", table.splitlines()[1])


@needs_matplotlib
@pytest.mark.parametrize("name", ["paper-curves.png", "paper-curves-2.png"])
def test_pictures_that_are_there_stay(folder: Path, tmp_path: Path, name: str):
    there = tmp_path / name
    there.write_text("mine")
    options = ("report", "high", "-o", str(tmp_path / "paper.md"))
    refuse(lerax(*options, cwd=folder), 2, ["-o", name, "--overwrite"])
    assert [path.name for path in tmp_path.iterdir()] == [name] and there.read_text() == "mine"
    assert lerax(*options, "--overwrite", cwd=folder).returncode == 0


def test_without_matplotlib_curves_are_letters(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lerax.study.picture.find_spec", lambda name: None)
    for name in ("a.html", "a.md"):
        assert lerax("report", "high", "-o", str(tmp_path / name), cwd=folder).returncode == 0
    found = read(tmp_path / "a.html")
    assert (
        not found.all("img") and "high (3 seeds)" in found.text and "pip install 'lerax[plot]'" in found.text
    )
    assert "high (3 seeds)" in (tmp_path / "a.md").read_text() and len([*tmp_path.iterdir()]) == 2


def test_what_files_say_is_text(tmp_path: Path):
    """Settings, names, arguments and diffs are shown as they are, and are nothing else."""
    path = trained(tmp_path / "logs", "<i>run", settings={"gamma": "<u>&", "layers": [EVIL]})
    facts = json.loads((path / "run.json").read_text())
    facts |= {"argv": ["train", EVIL], "env": EVIL, "algo": EVIL, "device": EVIL, "versions": {EVIL: EVIL}}
    facts |= {"git": GIT | {"diff": EVIL, "commit": EVIL}, "machine": {"processor": EVIL}, "status": EVIL}
    facts |= {"branched_from": {"path": EVIL, "step": EVIL}, "seed": EVIL, "started": EVIL, "reason": EVIL}
    (path / "run.json").write_text(json.dumps(facts))
    log(path, [1.0, 2.0])
    film(path, name="<b>.mp4")
    done = lerax("report", "<i>run", "--title", EVIL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = read(tmp_path / "report.html")
    assert not {"i", "b", "u"} & {tag for tag, _ in found.tags}
    shown = EVIL.replace("\x1b", "\\x1b")
    assert found.text.count(shown) > 8 and "\x1b" not in (tmp_path / "report.html").read_text()
    assert ["gamma", "<u>&"] in found.rows and "<i>run, <b>.mp4" in found.text
    assert lerax("report", "<i>run", "-o", "a.md", cwd=tmp_path).returncode == 0
    text = re.sub(r"^```.*?^```$", "", (tmp_path / "a.md").read_text(), flags=re.M | re.S)
    assert "\\<script\\>" in text and not re.search(r"(?<!\\)(<(?!a-curves)|`|\$)", text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("learning_rate", "learning_rate"),
        ("_a_ *b* `c` a|b", r"\_a\_ \*b\* \`c\` a\|b"),
        ("- a\n# b", r"\- a \# b"),
        ("12. a", r"12\. a"),
        ("-1778", "-1778"),
        ("<br>\\", r"\<br\>" + "\\\\"),
    ],
)
def test_texts_in_markdown(text: str, wanted: str):
    assert markdown.escape(text) == wanted


def test_a_fence_is_longer_than_those_inside():
    text, _ = markdown.as_markdown(
        write.Report("t", "s", [write.Section("h", [markdown.Code("````\nx", "sh")])], []), "a"
    )
    assert "`````sh\n````\nx\n`````\n" in text


def test_damaged_runs_are_said_in_a_line(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "logs", tmp_path / "logs")
    (tmp_path / "logs/low/seed_1/run.json").write_text("{")
    (tmp_path / "logs/low/seed_2/config.toml").write_text("= <")
    (tmp_path / "logs/high/seed_1/metrics.jsonl").write_bytes(
        b'\xff<\n{"step": 100, "episode/return": 3.0}\n'
    )
    (tmp_path / "logs/high/seed_1/videos").mkdir()
    (tmp_path / "logs/high/seed_1/videos/a.mp4").write_text("no video")
    done = lerax("report", "high", "low", cwd=tmp_path)
    found = read(tmp_path / "report.html")
    for line in (
        "low/seed_1 is left out: run.json is damaged",
        "low/seed_2 is left out: config.toml is damaged",
        "high/seed_1: a damaged line of metrics.jsonl left out",
    ):
        assert f"lerax: warning: {line}\n" in done.stderr and line in found.text
    assert done.returncode == 0 and "Left out: high/seed_1, a.mp4 (not an mp4 file)." in found.text


def test_runs_that_have_nothing_yet(tmp_path: Path):
    """One that has just begun is a report of what there is."""
    make(tmp_path / "logs", "fresh", status="running", seed=None)
    (tmp_path / "logs/fresh/metrics.jsonl").unlink()
    done = lerax("report", "fresh", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = read(tmp_path / "report.html").text
    assert "There are none: none has a score." in text and "There are none: no run has logged it" in text


def test_videos_stay_under_the_limit_and_those_left_out_are_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(folder / "logs", tmp_path / "logs")
    for place in ("high/seed_1", "low/seed_0", "low/seed_2"):
        film(tmp_path / "logs" / place)
    lerax("report", "high", "low", cwd=tmp_path)
    found = read(tmp_path / "report.html")
    order = re.findall(r"((?:high|low)/seed_\d), step-\d+\.mp4", found.text)
    assert (
        order == ["high/seed_0", "low/seed_0", "high/seed_1", "low/seed_2"] and "Left out" not in found.text
    )
    bare = (tmp_path / "report.html").stat().st_size - sum(len(one["src"]) for one in found.all("video"))
    size = len(found.all("video")[0]["src"])
    monkeypatch.setattr(write, "LARGEST", bare + write.BESIDE + 2 * size + 200)
    assert lerax("report", "high", "low", "--overwrite", cwd=tmp_path).returncode == 0
    found = read(tmp_path / "report.html")
    assert len(found.all("video")) == 2 and (tmp_path / "report.html").stat().st_size < write.LARGEST
    assert (
        "Left out: high/seed_1, step-0000001024.mp4 (0.0 MB, for which there is no room); low/" in found.text
    )


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["high", "-o", "a.txt"], "-o: not the name of a file that ends in .html or .md (got 'a.txt')"),
        (["high", "-o", "logs/.html"], "-o: not the name of a file that ends in .html or .md"),
        (["high", "-o", "nowhere/a.html"], "-o: in no folder that there is (got 'nowhere/a.html')"),
        (["high", "-o", "there.html"], "it exists already (got 'there.html'); replace it with --overwrite"),
        (
            ["high", "-o", "b.html", "--y", "episode/retrun"],
            "--y: no run has logged it (got 'episode/retrun'); did you mean",
        ),
        (
            ["high", "-o", "b.html", "--by", "gama"],
            "--by: no setting of these runs (got 'gama'); did you mean gamma",
        ),
        (["nothing", "-o", "b.html"], "RUN: no such run (got 'nothing')"),
    ],
)
def test_what_is_refused(folder: Path, words: list[str], wanted: str):
    (folder / "there.html").touch()
    done = lerax("report", *words, cwd=folder)
    assert done.returncode == 2 and wanted in done.stderr and len(done.stderr.splitlines()) == 1


def test_only_damaged_runs_are_refused(tmp_path: Path):
    (make(tmp_path / "logs", "torn") / "run.json").write_text("{")
    done = lerax("report", "torn", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "lerax: error: RUN: none of them can be read (got 1); torn is left out: run.json is damaged\n"
    )


def test_numbers_stand_at_the_right():
    for text in ("1", "-1.5", "1,000", "390.1 to 500", "1e-05", "nan", "80%", ""):
        assert page.NUMBER.fullmatch(text), text
    for text in ("a", "1 to", "0.10.2 ", "1 of 2"):
        assert not page.NUMBER.fullmatch(text), text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
def test_a_browser_shows_it_in_light_and_dark(html: Path, tmp_path: Path):
    """The page's colour and the curves' are those of the scheme, and nothing is refused by its own policy."""
    corners = []
    for scheme in (1, 0):
        flags = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
        shot = tmp_path / f"{scheme}.png"
        command = [CHROMIUM, *flags.split(), f"--blink-settings=preferredColorScheme={scheme}"]
        command += [
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=900,1600",
            f"--screenshot={shot}",
        ]
        done = subprocess.run(
            [*command, "--enable-logging=stderr", html.as_uri()], capture_output=True, text=True, timeout=120
        )
        assert "Content Security Policy" not in done.stderr and "CONSOLE" not in done.stderr
        with Image.open(shot) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        corners.append(pixels[0, 0].tolist())
        saturated = pixels.max(axis=-1) - pixels.min(axis=-1) > 60  # lines of curves, of which there are two
        assert saturated.sum() > 500
    assert corners == [[255, 255, 255], [22, 24, 27]]
