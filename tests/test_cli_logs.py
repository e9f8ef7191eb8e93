"""Where a run is put, what is written there, and by whom."""

import csv
import json
import os
import re
import tomllib
from pathlib import Path

import av
import pytest
import terminal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `done` has run."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def done(folder: Path) -> terminal.Finished:
    """A run with TensorBoard, named twice, in a folder of folders that are not there yet."""
    arguments = ("--backend", "TensorBoard", "--backend", "tensorboard", "--out", "new/a place")
    return terminal.warm("train", *terminal.BRIEF, *arguments, "--name", "mine", cwd=folder)


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars that TensorBoard shows of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run)).Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_missing_parents_of_the_folder_are_made(done: terminal.Finished, folder: Path):
    """`--out` and `--name` say where the run is."""
    assert done.returncode == 0, done.stderr
    assert done.stdout == "new/a place/mine\n"
    assert (folder / "new" / "a place" / "mine" / "policy.eqx").is_file()


def test_backend_named_twice_is_one_backend_and_a_warning(done: terminal.Finished, folder: Path):
    """In any case of its letters."""
    warnings = [line for line in done.stderr.splitlines() if line.startswith("lerax: warning: ")]
    assert len(warnings) == 1 and "tensorboard is named twice" in warnings[0]
    assert len(list((folder / "new" / "a place" / "mine").glob("events.out.tfevents.*"))) == 1


def test_command_for_the_curves_is_printed(done: terminal.Finished, folder: Path):
    """It can be pasted."""
    assert re.search(
        r"^repeat +lerax train --config 'new/a place/mine/config.toml'$", done.stderr, re.MULTILINE
    )
    assert re.search(r"^curves +tensorboard --logdir 'new/a place'$", done.stderr, re.MULTILINE)


def test_tables_hold_what_metrics_say(tmp_path: Path):
    """`--backend csv`; `jsonl` and `console`, which there always are, change nothing where they are named."""
    names = ("--backend", "csv", "--backend", "jsonl", "--backend", "console")
    done = terminal.warm("train", *terminal.BRIEF, *names, "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    run = terminal.only_run(tmp_path / "logs")
    expected = [{tag: str(value) for tag, value in row.items()} for row in terminal.records(run)]
    with open(run / "metrics.csv", newline="") as file:
        rows = [{tag: value for tag, value in row.items() if value} for row in csv.DictReader(file)]
    assert rows == expected
    assert tomllib.loads((run / "config.toml").read_text())["backend"] == ["csv"]


@pytest.mark.filterwarnings("ignore")  # tensorboard's own imports warn
def test_tensorboard_shows_what_metrics_say(done: terminal.Finished, folder: Path):
    """The same curves in both: every tag, every step, every value."""
    run = folder / "new" / "a place" / "mine"
    rows, shown = terminal.records(run), curves(run)
    assert {"episode/return", "train/loss", "time/elapsed", "eval/return"} <= shown.keys()
    for tag in {tag for row in rows for tag in row} - {"step"}:
        told = [(row["step"], pytest.approx(row[tag], rel=1e-6)) for row in rows if tag in row]
        assert shown[tag] == told, tag


@pytest.mark.parametrize("backend", [["--backend", "console"], ["--backend", "none"]])
def test_no_events_without_tensorboard(tmp_path: Path, backend: list[str]):
    """The run directory itself is always written."""
    done = terminal.warm("train", *terminal.BRIEF, *backend, "--progress", "off", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in terminal.only_run(tmp_path / "logs").iterdir()}
    assert names == {"run.json", "run.lock", "config.toml", "metrics.jsonl", "policy.eqx", "checkpoints"}
    assert "tensorboard" not in done.stderr


def test_strict_turns_a_warning_into_a_failure(tmp_path: Path):
    """The run goes to its end all the same."""
    arguments = ("--backend", "none", "--backend", "none", "--strict", "-q")
    done = terminal.warm("train", *terminal.BRIEF, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "lerax: warning: --backend: none is named twice\n"
    assert terminal.facts(terminal.only_run(tmp_path / "logs"))["status"] == "finished"


def test_a_training_that_learns_nothing_is_warned_of(tmp_path: Path):
    arguments = ("CartPole-v1", "--algo", "dqn", "--preset", "none", "--steps", "512", "--strict", "-q")
    done = terminal.warm("train", *arguments, "--set", "learning_starts=5000", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "lerax: warning: no update is made in 512 steps: learning_starts = 5000\n"


def test_strict_without_a_warning_succeeds(tmp_path: Path):
    """Nothing that lerax or its parts say by themselves is a warning."""
    done = terminal.warm("train", *terminal.BRIEF, "--strict", "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_seed_that_was_not_given_is_printed_and_stored(tmp_path: Path):
    """A run can always be repeated; two runs differ."""
    seeds = []
    for out in ("one", "two"):
        options = ("--preset", "none", "--steps", "1.024e3", "--out", out, "--progress", "off")
        done = terminal.warm("train", "CartPole-v1", *options, cwd=tmp_path)
        run = terminal.only_run(tmp_path / out)
        printed = re.search(r"\bseed (\d+)", done.stderr)
        assert printed, done.stderr
        seeds.append(int(printed[1]))
        assert terminal.facts(run)["seed"] == seeds[-1]
        assert tomllib.loads((run / "config.toml").read_text())["seed"] == seeds[-1]
        assert terminal.facts(run)["steps"] == 1024
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize("out", ["a\u00a0b\u200dc", "caf\udce9"], ids=["no-break space", "not UTF-8"])
def test_path_on_standard_output_is_the_path(tmp_path: Path, out: str):
    """A shell finds the run by it; for a reader it is escaped, and run.json is JSON whatever it is."""
    line = f"RUN=$($LERAX train {' '.join(terminal.BRIEF)} --out '{out}') && cat \"$RUN/run.json\""
    done = terminal.finish(["sh", "-c", os.fsencode(line)], tmp_path, {})
    assert done.returncode == 0 and "Error" not in done.stderr
    assert json.loads(done.stdout)["argv"][-1] == out
    escaped = out.encode("ascii", "backslashreplace").decode()
    assert f"policy      {escaped}/" in done.stderr


@pytest.mark.parametrize("forced", [True, False])
def test_locale_c_is_no_obstacle(tmp_path: Path, forced: bool):
    """With ASCII as the encoding of everything, too."""
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} if forced else {}
    out = "caf\u00e9".encode()
    done = terminal.run(
        *("train", *terminal.BRIEF, "--out", out, "--name", "mine"), cwd=tmp_path, LC_ALL="C", **ascii_only
    )
    assert done.returncode == 0 and "Error" not in done.stderr
    assert done.stdout == "caf\u00e9/mine\n"
    assert terminal.facts(tmp_path / "caf\u00e9" / "mine")["status"] == "finished"


def test_videos_are_in_the_run_directory_and_in_tensorboard(tmp_path: Path):
    """`--video-interval`: clips of 256 steps in real time, and the same parameters as without."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    small = ("--set", "num_envs=2", "--set", "num_steps=128", "--set", "num_batches=1")
    with_videos = ("--video-interval", "4", "--backend", "tensorboard", "--strict")
    done = terminal.warm("train", *terminal.BRIEF, *small, *with_videos, "--name", "a", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^phase=encoding:0/2 ", done.stderr, re.MULTILINE)
    assert re.search(r"^videos +2 of 2 in logs/a/videos$", done.stderr, re.MULTILINE)
    run = tmp_path / "logs" / "a"
    assert terminal.facts(run)["videos"] == {"due": 2, "made": 2, "thinned": 0, "failed": 0, "dropped": 0}
    other, clip = sorted((run / "videos").iterdir())
    assert (other.name, clip.name) == ("step-0000001024.mp4", "step-0000002048.mp4")
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (640, 480, 50)
        assert sum(1 for _ in container.decode(stream)) == 257
    *_, image = EventAccumulator(str(run), {"images": 0}).Reload().Images("eval/video")
    assert image.step == 2048 and image.encoded_image_string.startswith(b"GIF89a")
    done = terminal.warm("train", *terminal.BRIEF, *small, "--name", "b", cwd=tmp_path)
    assert (
        done.returncode == 0
        and "video" not in done.stderr
        and "videos" not in terminal.facts(run.parent / "b")
    )
    assert (run / "policy.eqx").read_bytes()[-1000:] == (tmp_path / "logs/b/policy.eqx").read_bytes()[-1000:]


def test_videos_that_cannot_be_made_are_one_warning(tmp_path: Path):
    """With `--strict` the exit code says so."""
    broken = tmp_path / "broken" / "pygame.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('no pygame here')")
    arguments = ("train", *terminal.BRIEF, "--video-interval", "1", "--strict", "-q")
    done = terminal.run(*arguments, cwd=tmp_path, PYTHONPATH=_before(broken.parent))
    assert done.returncode == 1
    assert done.stderr.count("no videos") == 1 and "no pygame here" in done.stderr
    assert terminal.facts(terminal.only_run(tmp_path / "logs"))["status"] == "finished"


def _before(folder: Path) -> str:
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
