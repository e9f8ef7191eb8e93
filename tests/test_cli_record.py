"""`lerax record-video` as users run it; its videos are read by an independent decoder."""

import fcntl
import json
import os
import shutil
import signal
from pathlib import Path

import av
import numpy as np
import pytest
import terminal
from jax import random as jr
from PIL import Image

from lerax import checkpoint, registry
from lerax.env.classic_control import CartPole
from lerax.evaluate import episode
from lerax.policy import MLPActorCriticPolicy, RandomPolicy
from lerax.render import headless_renderer
from lerax_cli import progress, recording

SMALL = ("--width", "160")
ENDLESS = (terminal.LERAX, "record-video", "CartPole-v1", "--steps", "500_000_000", *SMALL, "-o", "new/a.mp4")
ENV = CartPole()
MUJOCO = [name for name, entry in registry.ENVS.items() if ".mujoco:" in entry.target]
# Of MuJoCo's tasks, which share a renderer, one whose model has a camera and one without; small, since
# pictures of theirs may be drawn in NumPy.
DRAWN = {name: (639, 481) for name in registry.ENVS if name not in MUJOCO}
DRAWN |= dict.fromkeys(["Hopper-v5", "Reacher-v5"], (239, 179))
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, which tests copy before they change it."""
    folder = tmp_path_factory.mktemp("runs")
    done = terminal.warm("train", *terminal.BRIEF, "-q", "--name", "mine", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "logs" / "mine"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A run in the test's own folder."""
    return Path(shutil.copytree(trained, tmp_path / "logs" / "mine"))


def video(path: Path) -> tuple[np.ndarray, float, float]:
    """Frames, frames per second and duration (s)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.time_base and stream.duration and stream.average_rate
        return np.stack(frames), float(stream.average_rate), float(stream.duration * stream.time_base)


def record(*arguments: str, cwd: Path, **changes: str | None) -> terminal.Finished:
    """Records without an error."""
    start = terminal.run if changes else terminal.warm
    done = start("record-video", *arguments, cwd=cwd, **changes)
    assert done.returncode == 0, done.stderr
    return done


def files(folder: Path) -> list[str]:
    """All files in a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def states(policy, seed: int = 0, deterministic: bool = True, env=ENV) -> list:
    """The states of the first episode that is recorded from a seed."""
    key = jr.fold_in(jr.key(seed), 0)
    return [step.state for step in episode(env, policy, key=key, deterministic=deterministic)]


def picture(state, *size: int, env=ENV) -> np.ndarray:
    """What an environment draws of a state."""
    with headless_renderer(env, *size) as renderer:
        env.render(state, renderer)
        return renderer.as_array()


def off(frame: np.ndarray, expected: np.ndarray) -> float:
    """How far a decoded frame is from a picture, on average."""
    return float(np.abs(frame.astype(int) - expected).mean())


def moved(frame: np.ndarray, other: np.ndarray) -> bool:
    """Whether a part of the picture looks quite different."""
    return bool((np.abs(frame.astype(int) - other).max(axis=2) > 80).mean() > 0.002)


def test_random_policy_by_default(tmp_path: Path):
    """One whole episode at the environment's size and rate; the path alone on standard output."""
    done = record("CartPole-v1", cwd=tmp_path)
    assert done.stdout == "CartPole-v1.mp4\n"
    assert "random" in done.stderr and "HeadlessPygameRenderer" in done.stderr
    assert files(tmp_path) == ["CartPole-v1.mp4"]
    frames, fps, duration = video(tmp_path / "CartPole-v1.mp4")
    played = states(RandomPolicy(ENV), deterministic=False)
    assert frames.shape == (len(played), 480, 640, 3)
    assert fps == 50 and duration == pytest.approx(len(played) / 50, rel=0.01)
    assert off(frames[0], picture(played[0], 640, 480)) < 3
    assert off(frames[-1], picture(played[-1], 640, 480)) < 3
    assert moved(frames[0], frames[-1])


@pytest.mark.parametrize("name", DRAWN)
def test_every_environment_is_recorded(tmp_path: Path, name: str):
    """At its own rate, in an odd size, from its own first state on; something moves."""
    width, height = DRAWN[name]
    arguments = (name, "--steps", "30", "--width", str(width), "--height", str(height), "--json")
    outcome = json.loads(record(*arguments, cwd=tmp_path).stdout)
    env = registry.ENVS[name].load()()
    frames, fps, duration = video(tmp_path / f"{name}.mp4")
    assert frames.shape == (outcome["frames"], height + 1, width + 1, 3) and len(frames) > 30
    assert fps == pytest.approx(env.render_fps, rel=1e-3)
    assert duration == pytest.approx(len(frames) / env.render_fps, rel=0.01)
    played = states(RandomPolicy(env), deterministic=False, env=env)
    assert off(frames[0][:height, :width], picture(played[0], width, height, env=env)) < 4
    assert max(np.abs(frame.astype(int) - frames[0]).max() for frame in frames) > 60


def test_run_shows_its_own_policy(run: Path, tmp_path: Path):
    """Environment, class and settings come from the run's files."""
    done = record("logs/mine", *SMALL, "--json", cwd=tmp_path)
    outcome = json.loads(done.stdout)
    like = MLPActorCriticPolicy(env=ENV, key=jr.key(0))
    played = states(checkpoint.load(run / "policy.eqx", like))
    frames, _, _ = video(run / "videos" / "last.mp4")
    assert len(frames) == len(played)
    for i in (0, len(played) // 2, -1):
        assert off(frames[i], picture(played[i], 160, 120)) < 4
    length = len(played) - 1
    assert outcome == {
        "path": "logs/mine/videos/last.mp4",
        "frames": len(played),
        "fps": 50,
        "seconds": len(played) / 50,
        "width": 160,
        "height": 120,
        "renderer": "HeadlessPygameRenderer",
        "seed": 0,
        "episodes": [{"policy": "last", "return": length, "length": length, "finished": True}],
    }


def test_policy_of_other_settings_is_built_as_its_file_says(tmp_path: Path):
    """Nothing but the file is needed; its class is found by name."""
    policy = MLPActorCriticPolicy(env=ENV, hidden_sizes=(5, 4, 3), activation="relu", key=jr.key(8))
    settings = {"hidden_sizes": [5, 4, 3], "activation": "relu"}
    metadata = {"policy": policy.name, "settings": settings, "env": "CartPole-v1"}
    checkpoint.save(tmp_path / "small.eqx", policy, metadata)
    record("CartPole-v1", "--policy", "small.eqx", *SMALL, "-o", "a.mp4", cwd=tmp_path)
    frames, _, _ = video(tmp_path / "a.mp4")
    played = states(policy)
    assert len(frames) == len(played) and off(frames[-1], picture(played[-1], 160, 120)) < 4


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (("--width", "639", "--height", "481"), (640, 482)),
        (("--width", "200"), (200, 150)),
        (("--height", "99"), (132, 100)),
        (("--width", "1", "--height", "1"), (2, 2)),
    ],
)
def test_size(tmp_path: Path, arguments: tuple[str, ...], size: tuple[int, int]):
    """Odd sizes are padded; one of the two gives the other."""
    done = record("CartPole-v1", *arguments, "--steps", "3", "--json", cwd=tmp_path)
    outcome = json.loads(done.stdout)
    frames, _, _ = video(tmp_path / "CartPole-v1.mp4")
    assert (outcome["width"], outcome["height"]) == size == frames.shape[2:0:-1]


def test_steps_rate_and_seed(tmp_path: Path):
    """`--steps` counts steps, and each episode has one frame more; the same seed is the same video."""
    arguments = ("CartPole-v1", "--steps", "60", "--fps", "29.97", *SMALL, "--json")
    outcome = json.loads(record(*arguments, "--seed", "3", cwd=tmp_path).stdout)
    frames, fps, duration = video(tmp_path / "CartPole-v1.mp4")
    lengths = [played["length"] for played in outcome["episodes"]]
    assert sum(lengths) == 60 and len(lengths) > 1
    assert len(frames) == outcome["frames"] == 60 + len(lengths)
    assert fps == pytest.approx(29.97, rel=1e-3) and duration == pytest.approx(len(frames) / 29.97, rel=0.01)
    record(*arguments, "--seed", "3", "-o", "same.mp4", cwd=tmp_path)
    record(*arguments, "--seed", "4", "-o", "other.mp4", cwd=tmp_path)
    names = ("CartPole-v1.mp4", "same.mp4", "other.mp4")
    first, same, other = ((tmp_path / name).read_bytes() for name in names)
    assert first == same != other


def test_episodes_overlay_and_gif(tmp_path: Path):
    """Several whole episodes, with numbers on the frames, as a GIF in a folder that is made."""
    arguments = ("CartPole-v1", "--episodes", "3", *SMALL, "--overlay", "--json", "-o", "new/folder/a.gif")
    outcome = json.loads(record(*arguments, cwd=tmp_path).stdout)
    assert [played["finished"] for played in outcome["episodes"]] == [True] * 3
    with Image.open(tmp_path / "new/folder/a.gif") as image:
        assert image.n_frames == outcome["frames"] == 3 + sum(p["length"] for p in outcome["episodes"])
        assert image.size == (160, 120)
        assert np.asarray(image.convert("RGB"))[:14, :40].mean() < 120, "a dark ground in the corner"


def test_picture_and_sheet(tmp_path: Path):
    """A still picture after some steps, and a contact sheet of an episode, by the ending and by `--sheet`."""
    played = states(RandomPolicy(ENV), deterministic=False)
    still = ("CartPole-v1", *SMALL, "--steps", "7", "-o", "new/a.png")
    done = record(*still, cwd=tmp_path)
    assert done.stdout == "new/a.png\n" and "step 7, 160 x 120, drawn by" in done.stderr
    with Image.open(tmp_path / "new/a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture(played[7], 160, 120))
    sheet = ("CartPole-v1", *SMALL, "--sheet", "--layout", "3x1", "--json")
    outcome = json.loads(record(*sheet, cwd=tmp_path).stdout)
    last = len(played) - 1
    assert outcome["path"] == "CartPole-v1.png" and outcome["steps"] == [0, last // 2, last]
    with Image.open(tmp_path / "CartPole-v1.png") as image:
        shown = np.asarray(image)
    expected = [picture(played[step], 160, 120) for step in outcome["steps"]]
    np.testing.assert_array_equal(shown, np.concatenate(expected, axis=1))
    assert (outcome["width"], outcome["height"]) == (480, 120)


def test_stochastic_samples(run: Path, tmp_path: Path):
    """A policy that takes the most probable actions plays otherwise than one that samples."""
    record("logs/mine", *SMALL, "-o", "a.mp4", cwd=tmp_path)
    record("logs/mine", *SMALL, "-o", "b.mp4", "--stochastic", cwd=tmp_path)
    assert (tmp_path / "a.mp4").read_bytes() != (tmp_path / "b.mp4").read_bytes()


def test_best_last_and_named_checkpoints(run: Path, tmp_path: Path):
    """Each of them by its name; without `--policy` a grid shows them all, in the order they were learned."""
    (run / "checkpoints").mkdir(exist_ok=True)
    for name in ("best.eqx", "checkpoints/step-512.eqx", "checkpoints/step-1024.eqx"):
        shutil.copy(run / "policy.eqx", run / name)
    for name in ("best", "last", "step-512", "step-512.eqx", "random", "logs/mine/policy.eqx"):
        options = ("--policy", name, *SMALL, "--json", "--overwrite")
        outcome = json.loads(record("logs/mine", *options, cwd=tmp_path).stdout)
        label = {"step-512.eqx": "step-512", "logs/mine/policy.eqx": "mine"}.get(name, name)
        assert outcome["path"] == f"logs/mine/videos/{label}.mp4"
    outcome = json.loads(record("logs/mine", "--grid", *SMALL, "--json", cwd=tmp_path).stdout)
    assert [played["policy"] for played in outcome["episodes"]] == ["step-512", "step-1024", "best", "last"]
    frames, _, _ = video(run / "videos" / "grid.mp4")
    assert frames.shape == (outcome["frames"], 2 * 120, 2 * 160, 3)
    assert off(frames[0][:105, :160], frames[0][120:225, 160:]) < 1, "the same beginning"


def test_grid_of_named_policies(run: Path, tmp_path: Path):
    """Side by side, from the same initial state."""
    shutil.copy(run / "policy.eqx", tmp_path / "a.eqx")
    named = ("--policy", "a.eqx", "--policy", "random", "--grid", "-o", "g.mp4")
    outcome = json.loads(record("CartPole-v1", *named, *SMALL, "--json", cwd=tmp_path).stdout)
    lengths = {played["policy"]: played["length"] for played in outcome["episodes"]}
    assert outcome["frames"] == max(lengths.values()) + 1 and len(lengths) == 2
    frames, _, _ = video(tmp_path / "g.mp4")
    assert frames.shape == (outcome["frames"], 120, 320, 3)
    assert off(frames[0][:105, :160], frames[0][:105, 160:]) < 1
    assert moved(frames[-1][:105, :160], frames[-1][:105, 160:])


def test_overwrite(tmp_path: Path):
    """Only when asked to."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    done = terminal.warm("record-video", "CartPole-v1", "-o", "a.mp4", cwd=tmp_path)
    assert done.returncode == 2 and "--overwrite" in done.stderr
    assert path.read_bytes() == b"before"
    record("CartPole-v1", *SMALL, "-o", "a.mp4", "--overwrite", cwd=tmp_path)
    assert len(video(path)[0]) > 1


def test_quiet_says_nothing(tmp_path: Path):
    """A script gets the path, and nothing else."""
    done = record("CartPole-v1", *SMALL, "-q", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("CartPole-v1.mp4\n", "")


def test_bar_in_a_terminal(tmp_path: Path):
    """While it records one line counts; afterwards the line is gone."""
    arguments = ("record-video", "CartPole-v1", "--steps", "2000", *SMALL)
    with terminal.Terminal(*arguments, cwd=tmp_path, size=(100, 30)) as t:
        assert t.finish() == 0
        assert t.output == b"CartPole-v1.mp4\n"
        assert b"recording  importing" in t.raw and b"recording  #" in t.raw and b"frames" in t.raw
        assert "recording" not in t.text()
        assert "2,0" in t.text() and "drawn by" in t.text()


def test_narrow_terminal_gets_no_second_line(tmp_path: Path):
    """The line that is written over must not be wrapped."""
    arguments = ("record-video", "CartPole-v1", "--steps", "2000", *SMALL)
    with terminal.Terminal(*arguments, cwd=tmp_path, size=(12, 30)) as t:
        assert t.finish() == 0
        assert b"recording" in t.raw and "recording" not in t.text()


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_signal_while_recording_leaves_no_file(tmp_path: Path, number: signal.Signals):
    """Exit 128 + the number, one line, and not even the unfinished file."""
    with terminal.started(*ENDLESS, "--progress", "off", cwd=tmp_path) as process:
        terminal.wait_for(lambda: files(tmp_path), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out) == (CODES[number], "")
    assert "no video was written" in err.splitlines()[-1] and "Traceback" not in err
    assert files(tmp_path) == []


def test_signal_before_the_first_frame(tmp_path: Path):
    """While all is made ready there is nothing to clean up."""
    cold = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "XLA_FLAGS": None}
    with terminal.started(*ENDLESS, cwd=tmp_path, **cold) as process:
        assert process.stderr is not None and "random" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=terminal.SECONDS)
    assert (process.returncode, out) == (143, "")
    assert "no video was written" in err and "Traceback" not in err
    assert not (tmp_path / "new").exists()


def test_killed_process_leaves_nothing_under_the_final_name_and_nothing_to_the_next(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """The encoder outlives it for a moment, and does not know the final name. The next one cleans up."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(terminal.own_cache(tmp_path_factory.mktemp("cache")))}
    with terminal.started(*ENDLESS, cwd=tmp_path, **cache) as process:
        terminal.wait_for(lambda: files(tmp_path), process)
        process.kill()
        process.wait()
    (left,) = files(tmp_path)
    assert left.startswith("new/.a.mp4.")
    with open(tmp_path / left) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # once the encoder has ended
    record("CartPole-v1", "--steps", "3", *SMALL, "-o", "new/b.mp4", cwd=tmp_path)
    assert files(tmp_path) == ["new/b.mp4"]


@pytest.mark.parametrize("encoder", ["/nowhere/ffmpeg", "/bin/true", "/bin/false"])
def test_encoder_that_is_missing_or_writes_nothing(tmp_path: Path, encoder: str):
    """Exit 1, one line, no file."""
    done = terminal.run("record-video", "CartPole-v1", "-q", *SMALL, cwd=tmp_path, IMAGEIO_FFMPEG_EXE=encoder)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1 and "encoder" in done.stderr
    assert files(tmp_path) == []


def test_works_without_a_display_home_or_place_for_a_cache(tmp_path: Path):
    """As on a server, in a job of a service."""
    bare = dict.fromkeys(("DISPLAY", "WAYLAND_DISPLAY", "HOME", "XDG_CACHE_HOME", "SDL_VIDEODRIVER"))
    done = record("CartPole-v1", *SMALL, "-q", cwd=tmp_path, MUJOCO_GL="bogus", **bare)
    assert done.stdout == "CartPole-v1.mp4\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_lost_standard_output_does_not_lose_the_video(tmp_path: Path):
    """The path cannot be printed; the file is there."""
    done = terminal.sh("$LERAX record-video CartPole-v1 -q --width 160 >/dev/full", tmp_path)
    assert "Traceback" not in done.stderr
    assert len(video(tmp_path / "CartPole-v1.mp4")[0]) > 1


def test_memory_does_not_grow_with_the_length(tmp_path: Path):
    """Ten times as many frames, which would take 25 MB more."""
    program = (
        "import resource, sys; from lerax_cli.app import run; code = run(sys.argv[1:]);"
        "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )

    def peak(steps: str) -> int:
        size = ("--width", "64", "--height", "48")
        options = ("--steps", steps, *size, "-q", "--overwrite")
        command = [terminal.sys.executable, "-c", program, "record-video", "CartPole-v1", *options]
        done = terminal.finish(command, tmp_path, {})
        path, code, kilobytes = done.stdout.split()
        assert (path, code) == ("CartPole-v1.mp4", "0"), done.stderr
        return int(kilobytes)

    assert peak("3000") < 1.05 * peak("300")


def test_names_ranges_and_paths_are_checked_before_jax_is_imported(tmp_path: Path):
    """A mistake is answered in a blink."""
    program = (
        "import sys; from lerax_cli.app import run; code = run(sys.argv[1:]);"
        "print(code, sorted({'jax', 'equinox', 'numpy', 'pygame'} & set(sys.modules)))"
    )
    (tmp_path / "a.mp4").touch()
    for arguments in (["CarPole"], ["CartPole-v1", "--policy", "x"], ["CartPole-v1", "-o", "a.mp4"]):
        command = [terminal.sys.executable, "-c", program, "record-video", *arguments]
        assert terminal.finish(command, tmp_path, {}).stdout == "2 []\n"


def test_path_that_is_not_utf8_is_printed_as_it_is(tmp_path: Path):
    """A script that reads it finds the file."""
    done = terminal.warm("record-video", "CartPole-v1", "-q", "-o", b"\xff.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\udcff.mp4\n" and os.listdir(bytes(tmp_path)) == [b"\xff.mp4"]


@pytest.mark.parametrize(
    ("mode", "written"), [("plain", True), ("auto", True), ("full", True), ("off", False)]
)
def test_lines_without_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys, mode: str, written: int):
    """Now and then one, without escape codes, so that a job's log tells that it goes on."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    count = progress.FrameCount(mode, 20)
    count.add()
    count.add()
    count.close()
    said = capsys.readouterr().err
    assert said.startswith("frame=1 total=20 frames_per_second=") == written
    assert len(said.splitlines()) == 2 * written and "\x1b" not in said


def test_returns_are_rounded_for_people(capsys):
    """As after a training; `--json` keeps all digits. The relative: a return that is no number."""
    episodes = [
        {"policy": "last", "return": value, "length": 7, "finished": False}
        for value in (6.3665964007377625, None)
    ]
    moments = {"steps": [7], "width": 64, "height": 48, "renderer": "x"}
    recording.summarize({"episodes": episodes, **moments})
    first, second, _ = capsys.readouterr().err.splitlines()
    assert (first, second) == (
        "last: return 6.4 in 7 steps, cut",
        "last: return not finite in 7 steps, cut",
    )
