"""The examples run as they are, without a warning, and leave what they say."""

import re
import sys
from pathlib import Path

import av
import pytest
import terminal
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(tmp_path: Path):
    """Runs an example in an empty folder, and gives the numbers in the first line that it printed."""

    def run(name: str, as_users: bool = False) -> list[float]:
        command = [sys.executable, "-W", "error", EXAMPLES / name]
        new: dict[str, str | None] = {"JAX_COMPILATION_CACHE_DIR": None, "XLA_FLAGS": None}
        if as_users:
            done = terminal.finish(command, tmp_path, new)
        else:
            done = terminal.script(EXAMPLES / name, tmp_path)
        assert done.returncode == 0, done.stderr
        numbers = re.findall(r"-?\d[\d,]*\.?\d*", done.stdout.partition("\n")[0])
        return [float(number.replace(",", "")) for number in numbers]

    return run


def events(run: Path) -> EventAccumulator:
    """What TensorBoard reads of a run."""
    return EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()


def decoded(path: Path) -> tuple[int, int, int]:
    """Frames, width and height of a video."""
    with av.open(str(path)) as video:
        shapes = [(frame.width, frame.height) for frame in video.decode(video=0)]
    assert len(set(shapes)) == 1
    return len(shapes), *shapes[0]


def test_train_and_log(run, tmp_path: Path):
    """It solves the task and leaves its curve; in a new Python, compiled as for users."""
    (mean_return,) = run("train_and_log.py", as_users=True)
    assert mean_return >= 475
    curve = events(terminal.only_run(tmp_path / "logs")).Scalars("episode/return")
    assert [event.step for event in curve][-1] == 100_096


def test_own_callback(run):
    """It stops in time, and not before."""
    steps, calm = run("own_callback.py")
    assert steps < 2**17 and 200 <= calm < 200 + 128


def test_own_environment(run, tmp_path: Path):
    """It learns, where an untrained policy costs about 50, and films a whole number of frames."""
    mean_return, *_ = run("own_environment.py")
    assert mean_return > -15
    (video,) = (terminal.only_run(tmp_path / "logs") / "videos").iterdir()
    assert decoded(video) == (257, 640, 480)


def test_own_mujoco_task(run):
    """It learns on a model of its own; a load that is brought to the goal at once gets about 140."""
    before, after, most = run("own_mujoco_task.py")
    assert before < 70 and 115 < after < most == 150


def test_several_seeds(run, tmp_path: Path):
    """Every seed has its curve, and what is printed is their mean."""
    mean_return, _, *returns = run("several_seeds.py")
    assert mean_return > 100
    found = events(terminal.only_run(tmp_path / "logs"))
    curves = [found.Scalars(f"seed_{seed}/episode/return") for seed in range(4)]
    last = [curve[-1].value for curve in curves]
    assert [round(value) for value in last] == returns and len(set(last)) == 4
    assert mean_return == round(sum(last) / 4) == round(found.Scalars("episode/return")[-1].value)


def test_render_policy(run, tmp_path: Path):
    """The video holds the initial state and one for each step of the longer episode, each worth 1."""
    (length,) = run("render_policy.py")
    assert decoded(tmp_path / "cartpole.mp4") == (length + 1, 640, 240)


def test_jit_logging(run, tmp_path: Path):
    """Every step of the loop is there, in order, and the curve goes down to where the minimum is printed."""
    x, y = run("jit_logging.py")
    assert abs(x - 1) < 0.1 and abs(y - 1) < 0.1
    curve = events(tmp_path / "logs" / "rosenbrock").Scalars("descent/value")
    assert [event.step for event in curve] == list(range(500))
    assert curve[0].value == pytest.approx(4.0) and curve[-1].value < 1e-3
