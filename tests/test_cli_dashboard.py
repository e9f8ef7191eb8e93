"""The dashboard, read from the screen of a terminal."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import terminal
from terminal import Terminal

from lerax import registry
from lerax.algorithm import PPO
from lerax_cli.train import SURE_STEPS

FULL = [(80, 24), (100, 30), (200, 60)]
COMPACT = [(60, 15), (20, 5)]
SIZES = FULL + COMPACT
COLOR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
NUMBER = re.compile(r"(loss|return) +-?\d")
NO_JAX = """
import sys, time
from lerax_cli import app, runtime
runtime.prepare = lambda *_, **__: {}
app.run(sys.argv[1:])
"""
CHART = re.compile("[\u2801-\u28ff]")  # braille with at least one dot


@dataclass
class Seen:
    """What a run that was watched and then interrupted has shown.

    Attributes:
        run: The run's name.
        frames: The screen at several moments of the training.
        scrolled: What had been scrolled away by then.
        code: The exit code.
        end: The screen at the end, behind what was scrolled away.
        hidden: Whether the cursor is hidden at the end.
        raw: All that was written.
    """

    run: str
    frames: list[str]
    scrolled: str
    code: int
    end: str
    hidden: bool
    raw: bytes


@cache
def watch(columns: int, lines: int) -> Seen:
    """Trains in a terminal of that size, whose cursor stands in the last line as in most of them."""
    with TemporaryDirectory() as folder:
        cwd = Path(folder)
        with Terminal("train", *terminal.ENDLESS, cwd=cwd, size=(columns, lines)) as t:
            t.write_before("\r\n" * lines)
            t.wait_for(lambda: terminal.trains(cwd))
            frames: list[str] = []
            while len(frames) < 4:
                t.wait_for(lambda: NUMBER.search(t.text()) and t.text() not in frames)
                frames.append(t.text())
            scrolled = t.scrolled()
            code = t.interrupt()
            end = f"{t.scrolled()}\n{t.text()}"
            name = terminal.only_run(cwd / "logs").name
            return Seen(name, frames, scrolled, code, end, t.screen.cursor.hidden, t.raw)


def rows(text: str) -> list[str]:
    """The lines of a screen that are not empty."""
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("size", FULL)
def test_full_form_shows_the_run(size: tuple[int, int]):
    """Name, device and phase in the title; percent, time, steps and steps per second below."""
    seen = watch(*size)
    title, _, bar, *_ = rows(seen.frames[-1])
    assert seen.run in title and "cpu" in title and title.endswith("training")
    assert re.search(r"\d+%", bar) and len(re.findall(r"\d:\d\d:\d\d", bar)) == 2  # gone and left
    assert re.search(r"[\d,]+ of 500,000,256 steps", bar) and re.search(r"[\d,]+/s$", bar)


@pytest.mark.parametrize("size", FULL)
def test_full_form_shows_metrics_and_a_chart(size: tuple[int, int]):
    """A number for each tag, and the curve of the return."""
    frame = watch(*size).frames[-1]
    for tag in ("episode/return", "train/loss", "train/value_loss", "train/learning_rate"):
        assert re.search(rf"{tag} +-?\d", frame), tag
    assert len([line for line in rows(frame) if CHART.search(line)]) >= 2


def test_compact_form_uses_the_screen():
    """Phase and percent, a small chart, and as many numbers as there are lines left."""
    title, bar, *others = rows(watch(60, 15).frames[-1])
    assert title.strip().startswith("PPO_…_CartPole-v1_") and title.endswith("training")
    assert re.search(r"\d+%", bar)
    assert len(others) == 12 and len([line for line in others if "┤" in line]) == 4
    for tag in ("episode/return", "time/steps_per_second", "train/loss"):
        assert any(re.search(rf" {tag} +-?\d", line) for line in others), tag


def test_smallest_form_shows_phase_and_percent():
    """Where there is room for little, what changes is shown first; what is cut off leaves a sign."""
    title, bar, *numbers = rows(watch(20, 5).frames[-1])
    assert "…" in title and title.endswith("training") and re.search(r"\d+%", bar)
    assert [line.split()[0] for line in numbers] == ["return", "steps/s"]


@pytest.mark.parametrize("size", SIZES)
def test_frame_fits_the_screen(size: tuple[int, int]):
    """While it lives nothing of it is scrolled away, and no line is wrapped."""
    seen = watch(*size)
    assert not rows(seen.scrolled)
    for frame in seen.frames:
        assert len(rows(frame)) < size[1]
        assert [sum(word in line for line in rows(frame)) for word in ("training", "%")] == [1, 1], frame


@pytest.mark.parametrize("size", SIZES)
def test_frame_is_redrawn_in_place(size: tuple[int, int]):
    """The numbers change, the place does not."""
    frames = watch(*size).frames
    assert len(set(frames)) == len(frames)
    assert len({frame.splitlines().index(rows(frame)[0]) for frame in frames}) == 1


@pytest.mark.parametrize("size", SIZES)
def test_cursor_is_back_after_an_interrupt(size: tuple[int, int]):
    """Ctrl-C leaves the last frame, the summary, and a terminal that can be used."""
    seen = watch(*size)
    assert (seen.code, seen.hidden) == (130, False)
    text = "".join(seen.end.split())  # words may be wrapped
    assert "interruptedafter" in text and "policy.eqx" in text


@pytest.mark.parametrize("size", FULL)
def test_last_frame_stays_once(size: tuple[int, int]):
    """What is left in the scrollback is one frame, which says how the run ended, and no clock runs."""
    seen = watch(*size)
    assert len(re.findall(r"\d+%", seen.end)) == 1
    (title,) = [line for line in rows(seen.end) if line.startswith(f" {seen.run}")]
    assert title.endswith("  interrupted")


def test_cursor_is_back_after_the_end(tmp_path: Path):
    """Nothing is done any more: the frame says 100 % and finished, and standard output has the path alone."""
    with Terminal("train", *terminal.BRIEF, cwd=tmp_path, size=(100, 30)) as t:
        t.wait_for(lambda: t.screen.cursor.hidden)
        assert t.finish() == 0
        assert not t.screen.cursor.hidden
        title, _, bar, *_ = rows(f"{t.scrolled()}\n{t.text()}")
        assert title.endswith("  finished") and "100%" in bar and "eval/return" in t.text()
        assert "evaluating" not in t.text() and "saving" not in t.text()
        assert t.output.decode() == f"logs/{terminal.only_run(tmp_path / 'logs').name}\n"


def test_dashboard_is_there_before_jax(tmp_path: Path):
    """A command that imports for seconds says so before, with a clock that runs, and answers Ctrl-C."""
    command = ("-c", NO_JAX.format("time.sleep(1000)"), "train", *terminal.ENDLESS)
    heard = "lerax: stopping once all is imported; again to end at once"
    with Terminal(*command, cwd=tmp_path, size=(80, 24), program=terminal.sys.executable) as t:
        t.write_before("$ what stood above\r\n")
        t.wait_for(lambda: "importing 0:00:01" in t.text())
        assert rows(t.text())[0].startswith(" PPO on CartPole-v1 ")
        t.process.send_signal(terminal.signal.SIGTERM)
        t.wait_for(lambda: heard in t.text())
        assert t.interrupt() == 130
        assert rows(t.text()) == ["$ what stood above", heard]
        assert not t.screen.second and not t.screen.cursor.hidden


@pytest.mark.parametrize("arguments", [("--set", "gamma=2"), ("--device", "gpu")])
def test_refusal_takes_the_dashboard_away(tmp_path: Path, arguments: tuple[str, ...]):
    """What only the classes know, or JAX, and both are imported by then: one line, also in a pipe."""
    with Terminal("train", "CartPole-v1", *arguments, cwd=tmp_path, size=(200, 24)) as t:
        assert t.finish() in (1, 2)
        (line,) = rows(f"{t.scrolled()}\n{t.text()}")
        assert not t.screen.second and not t.screen.cursor.hidden
    assert line.startswith(f"lerax: error: {arguments[0]}")
    assert terminal.run("train", "CartPole-v1", *arguments, cwd=tmp_path).stderr == f"{line}\n"


def test_line_is_there_before_jax(tmp_path: Path):
    """Without a terminal it is a plain one; `-q` and `--progress off` have none."""
    code = NO_JAX.format("sys.exit(0)")
    said = {}
    for arguments in ((), ("-q",), ("--progress", "off")):
        command = [terminal.sys.executable, "-c", code, "train", *terminal.ENDLESS, *arguments]
        said[arguments] = terminal.finish(command, tmp_path, {}).stderr
    assert said == {
        (): "phase=importing algo=ppo env=CartPole-v1 seed=1\n",
        ("-q",): "",
        ("--progress", "off"): "",
    }


def test_steps_that_cannot_be_too_few_or_too_many_are_known():
    """With as many as these no refusal can come after the line, whatever the preset."""
    defaults = PPO()
    for env in registry.ENVS:
        for table in registry.presets(env).values():
            own = table.get("algorithm", {})
            num_envs, num_steps = (own.get(k, getattr(defaults, k)) for k in ("num_envs", "num_steps"))
            algorithm = PPO(num_envs=num_envs, num_steps=num_steps, num_batches=1)
            for steps in (SURE_STEPS[0], SURE_STEPS[-1]):
                assert algorithm.num_iterations(steps), env


def test_cursor_is_back_after_a_signal_before_training(tmp_path: Path):
    """P4: the one line stands below the frame."""
    cold = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "XLA_FLAGS": None}
    with Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(80, 24), **cold) as t:
        t.wait_for(lambda: "compiling" in t.text())
        assert t.interrupt() == 130 and not t.screen.cursor.hidden and not t.screen.second
        assert rows(t.text())[-1].startswith("lerax: stopped by a signal")
        assert not list((tmp_path / "logs").iterdir())


def test_cursor_is_back_after_the_second_signal(tmp_path: Path):
    """P4: it ends at once, but not without that, and what stood above is there again."""
    with Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(80, 24)) as t:
        t.write_before("$ what stood above\r\n")
        t.wait_for(lambda: terminal.trains(tmp_path) and t.screen.cursor.hidden)
        t.process.send_signal(terminal.signal.SIGTERM)
        assert t.interrupt() in (130, 143)
        assert not t.screen.cursor.hidden and not t.screen.second
        assert rows(t.text()) == ["$ what stood above"]


def test_terminal_is_given_back_while_the_command_rests(tmp_path: Path):
    """A relative: Ctrl-Z gives what stood above, and the cursor; `fg` the dashboard again."""
    with Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(80, 24)) as t:
        t.write_before("$ what stood above\r\n")
        t.wait_for(lambda: NUMBER.search(t.text()))
        for _ in range(2):
            t.process.send_signal(terminal.signal.SIGTSTP)
            t.wait_for(lambda: not t.screen.second)
            terminal.wait_for(lambda: terminal.state_of(t.process.pid) == "T", t.process)
            assert rows(t.text()) == ["$ what stood above"] and not t.screen.cursor.hidden
            t.process.send_signal(terminal.signal.SIGCONT)
            t.wait_for(lambda: NUMBER.search(t.text()) and t.screen.cursor.hidden)
        assert t.interrupt() == 130


def test_resized_terminal_gets_a_clean_frame(tmp_path: Path):
    """Smaller, tiny and larger again: nothing of an older frame is left, and what stood above stays."""
    above = [f"$ what stood above, line {i}" for i in range(5)]
    with Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(100, 30)) as t:
        t.write_before("\r\n".join([*above, ""]))
        t.wait_for(lambda: CHART.search(t.text()))
        for columns, lines in [(80, 24), (60, 15), (20, 5), (120, 40)]:
            t.resize(columns, lines)
            before = len(t.raw)
            t.wait_for(lambda: t.raw[before:].count(b"training") > 3)  # noqa: B023
            frame = t.text()
            assert len(rows(frame)) < lines
            assert sum("training" in line for line in rows(frame)) == 1, frame
            assert sum("%" in line for line in rows(frame)) == 1, frame
        assert t.interrupt() == 130
        everything = rows(f"{t.scrolled()}\n{t.text()}")
        assert everything[:5] == above
        assert any(line.endswith("interrupted") for line in everything[5:7])  # perhaps after an answer
        assert sum("%" in line for line in everything) == 1, everything


def test_terminal_without_a_second_screen_keeps_what_stood_above(tmp_path: Path):
    """A relative of the resized one: all is drawn on the only screen, below what was there."""
    above = [f"$ what stood above, line {i}" for i in range(5)]
    with Terminal("train", *terminal.BRIEF, cwd=tmp_path, size=(100, 30), has_second=False) as t:
        t.write_before("\r\n".join([*above, ""]))
        assert t.finish() == 0
        everything = rows(f"{t.scrolled()}\n{t.text()}")
    assert everything[:5] == above and everything[5].endswith("finished")
    assert sum("%" in line for line in everything) == 1, everything


def test_terminal_that_loses_its_size_for_a_while_is_no_obstacle(tmp_path: Path):
    """Zero columns in the middle of a run, as some window managers do it."""
    with Terminal("train", *terminal.ENDLESS, cwd=tmp_path, size=(80, 24)) as t:
        t.wait_for(lambda: NUMBER.search(t.text()))
        (metrics,) = tmp_path.glob("logs/*/metrics.jsonl")
        t.set_size(0, 0)
        enough = metrics.stat().st_size + 10**5  # hundreds of iterations
        t.wait_for(lambda: metrics.stat().st_size > enough)
        t.resize(80, 24)
        before = len(t.raw)
        t.wait_for(lambda: len(t.raw) > before + 4000)
        assert sum("training" in line for line in rows(t.text())) == 1
        assert NUMBER.search(t.text())
        assert t.interrupt() == 130
        assert b"Traceback" not in t.raw and b"switched off" not in t.raw


def test_no_color_has_no_color(tmp_path: Path):
    """NO_COLOR takes the colours, which are there without it, and leaves the dashboard."""
    assert COLOR.search(watch(80, 24).raw)
    with Terminal("train", *terminal.BRIEF, cwd=tmp_path, size=(80, 24), NO_COLOR="1") as t:
        assert t.finish() == 0
        assert not COLOR.search(t.raw)
        assert b"\x1b[" in t.raw and "eval/return" in t.text()


@pytest.mark.parametrize(
    ("arguments", "size", "changes"),
    [
        (["--progress", "plain"], (100, 30), {}),
        ([], (100, 30), {"TERM": "dumb"}),
        ([], (100, 30), {"TERM": None}),
        ([], (0, 0), {}),
        ([], (9, 30), {}),
        ([], (100, 2), {}),
    ],
)
def test_lines_where_a_dashboard_cannot_be(
    tmp_path: Path, arguments: list[str], size: tuple[int, int], changes: dict[str, str | None]
):
    """`key=value`, no escape codes, no box of signs."""
    with Terminal("train", *terminal.BRIEF, *arguments, cwd=tmp_path, size=size, **changes) as t:
        assert t.finish() == 0
        text = t.raw.decode()
    assert "\x1b" not in text and "━" not in text
    line = next(line for line in text.splitlines() if line.startswith("step="))
    pairs = dict(pair.split("=") for pair in line.split())
    assert pairs["total"] == "2048" and "train/loss" in pairs


@pytest.mark.parametrize(("arguments", "lines"), [(["--progress", "off"], 5), (["-q"], 0)])
def test_nothing_is_shown_when_nothing_is_asked_for(tmp_path: Path, arguments: list[str], lines: int):
    """`--progress off` leaves the summary, `-q` not even that."""
    with Terminal("train", *terminal.BRIEF, *arguments, cwd=tmp_path, size=(200, 30)) as t:
        assert t.finish() == 0
        assert b"\x1b" not in t.raw
        assert len(rows(t.text())) == lines


def test_warning_in_the_middle_of_a_run_stands_above_the_frame(tmp_path: Path):
    """It does not tear the frame, and the frame does not wipe it out."""
    diverging = ("--set", "learning_rate=1e30", "--set", "max_grad_norm=1e30", "--nan", "warn")
    with Terminal("train", *terminal.BRIEF, *diverging, cwd=tmp_path, size=(100, 50)) as t:
        assert t.finish() == 0
        shown = rows(t.text())
    warnings = [i for i, line in enumerate(shown) if line.startswith("lerax: warning: ")]
    title = next(i for i, line in enumerate(shown) if "cpu" in line)
    assert warnings and "train/loss" in "".join(shown[:title]) and max(warnings) < title
    assert sum("cpu" in line for line in shown) == 1
