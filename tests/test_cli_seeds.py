"""Several seeds of one training: each is bitwise the run that it would be by itself, as a lane nearly so."""

import json
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import in_process
import numpy as np
import pytest
import terminal
from test_cli_resume import check_same, logged, saved

from lerax import cores, runs
from lerax.algorithm import footprint
from lerax.backend.chart import History, chart
from lerax.backend.dashboard import CURVE, RATE, Shown
from lerax.backend.seeds import WAITING, SeedsConsole, middle, together
from lerax.env.classic_control import CartPole
from lerax.env.hosted import AbstractHostedEnv
from lerax_cli import side_by_side

STEPS = 20_480
TRAIN = ("train", "CartPole-v1", "--preset", "none", "--steps", str(STEPS), "--progress", "off")
SHORT = (*TRAIN[:4], "--steps", "6144", "--progress", "off")
OFF_POLICY = ("train", "CartPole-v1", "--algo", "dqn", "--steps", "1500", "--set", "learning_starts=500")
HOSTED = ("train", "Hopper-v5", "--steps", "1024", "--num-envs", "4", "--set", "num_steps=64")
TESTS = {"PYTHONPATH": str(Path(__file__).parent)}

IN_LANES = """
import os, signal, sys, threading, time
from pathlib import Path
from lerax_cli import app, side_by_side

def die():
    while not [path for path in Path("logs").glob("many/seed_*/checkpoints/*.lerax") if int(path.stem)]:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

side_by_side.in_lanes = lambda device, env: True
side_by_side.footprint.room = lambda *parts: 2
if {dies}:
    threading.Thread(target=die, daemon=True).start()
for folder, line in {lines}:
    os.chdir(folder)
    if code := app.run(line):
        break
sys.exit(code)
"""


def in_lanes(
    folder: Path, *line: str, dies: bool = False, then: tuple[tuple[Path, tuple[str, ...]], ...] = ()
) -> terminal.Finished:
    """`lerax` as on an accelerator whose memory two trainings fit into; it may die once one has saved.

    `then` has further folders and lines, which the same process carries out.
    """
    script = folder / "lanes.py"
    lines = [(str(where), [*words]) for where, words in ((folder, line), *then)]
    script.write_text(IN_LANES.format(lines=lines, dies=dies))
    return terminal.script(script, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which three seeds were trained together, and each by itself."""
    folder = tmp_path_factory.mktemp("seeds")
    done = terminal.warm(*TRAIN, "--seeds", "3", "--name", "many", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "outcome.json").write_text(done.stdout)
    for seed in range(3):
        done = terminal.warm(*TRAIN, "--seed", str(seed), "--name", f"solo{seed}", cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_each_seed_is_the_run_that_it_would_be_by_itself(folder: Path):
    many = folder / "logs" / "many"
    assert sorted(path.name for path in many.iterdir()) == ["seed_0", "seed_1", "seed_2", "seeds.json"]
    for seed in range(3):
        check_same(many / f"seed_{seed}", folder / "logs" / f"solo{seed}")
        assert saved(many / f"seed_{seed}") == saved(folder / "logs" / f"solo{seed}")
    assert logged(many / "seed_0") != logged(many / "seed_1")


def test_the_outcome_is_that_of_all(folder: Path):
    found = json.loads((folder / "outcome.json").read_text())
    scores = [end["evaluation"]["mean_return"] for end in found["seeds"]]
    assert found["run"] == "logs/many" and found["status"] == "finished"
    assert [end["seed"] for end in found["seeds"]] == [0, 1, 2]
    assert [runs.read(folder / end["run"]).score for end in found["seeds"]] == scores
    low, high = found["score"]["interval"]
    assert found["score"]["iqm"] == pytest.approx(np.mean(scores))
    assert low <= found["score"]["iqm"] <= high
    assert found["score"]["of"] == 3


def test_seeds_have_one_clock_whichever_compiles(folder: Path):
    """Those that compile, wait for it, or find it done, since there are more seeds than cores."""
    many = folder / "logs" / "many"
    told = [json.loads((many / f"seed_{seed}" / "run.json").read_text()) for seed in range(3)]
    seconds = [facts["seconds_training"] for facts in told]
    first = [terminal.records(many / f"seed_{seed}")[0]["time/elapsed"] for seed in range(3)]
    assert min(first) > 0.2 * max(first) and min(seconds) > 0.2 * max(seconds)  # else hundredths
    assert all(one < whole for one, whole in zip(first, seconds, strict=True))


def test_who_begins_when_all_is_compiled_counts_it():
    compiling, all_of_them = side_by_side.Compiling(), Mock()
    first, later = (side_by_side.SeedSignals(all_of_them, compiling) for _ in range(2))
    assert first.compiled == 0.0
    first.phase = "compiling"
    first.phase = "compiling"
    time.sleep(0.01)
    first.phase = "training"
    compiled = later.compiled
    assert compiled >= 0.01
    later.phase = "compiling"
    later.phase = "training"
    assert later.compiled == compiled


@pytest.mark.parametrize("line", [OFF_POLICY, HOSTED], ids=["dqn", "mujoco"])
def test_other_loops_are_shared_as_well(tmp_path: Path, line: tuple[str, ...]):
    """A replay buffer, and simulations on the host, which two trainings step at once."""
    done = terminal.warm(*line, "--seeds", "4,2", "--name", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert terminal.warm(*line, "--seed", "2", "--name", "solo", cwd=tmp_path).returncode == 0
    check_same(tmp_path / "logs" / "two" / "seed_2", tmp_path / "logs" / "solo")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_all_seeds_go_on_bitwise(folder: Path, tmp_path: Path, number: int):
    """Those that had begun, and those that had not; as many train at once as there are cores."""
    seeds = [tmp_path / "logs" / "many" / f"seed_{seed}" for seed in range(3)]
    line = (*TRAIN, "--seeds", "3", "--name", "many", "--save-every", "4096", "--resume", "auto")
    with terminal.started(terminal.LERAX, *line, cwd=tmp_path) as process:
        terminal.wait_for(lambda: any(saved(run)[-1:] > [0] for run in seeds), process)
        process.send_signal(number)
        assert process.wait() == (-number if number == signal.SIGKILL else 128 + number)
    told = [runs.read(run).status for run in seeds]
    assert told == ["died" if number == signal.SIGKILL else "interrupted"] * 3
    done = terminal.warm(*line, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "logs/many\n", done.stderr
    for seed, run in enumerate(seeds):
        check_same(run, folder / "logs" / f"solo{seed}")
    again = in_process.run("resume", "latest", "--json", cwd=tmp_path)
    assert again.returncode == 0 and "many is complete" in again.stderr
    told = json.loads(again.stdout)
    assert (told["run"], [end["seed"] for end in told["seeds"]]) == ("logs/many", [0, 1, 2])
    assert told["score"]["of"] == 3


@pytest.mark.parametrize("line", [SHORT, OFF_POLICY], ids=["ppo", "dqn"])
def test_seeds_in_lanes_go_on_bitwise(tmp_path: Path, line: tuple[str, ...]):
    """After a kill in the middle of the first two of three, as those that nobody has killed."""
    line = (*line, "--seeds", "3", "--save-every", "512", "--name", "many")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    assert in_lanes(killed, *line, dies=True).returncode == -signal.SIGKILL
    told = [runs.read(killed / "logs" / "many" / f"seed_{seed}").status for seed in range(3)]
    assert told == ["died"] * 3
    done = in_lanes(killed, "resume", "many", then=((whole, line),))
    assert done.returncode == 0 and done.stdout == "logs/many\n" * 2, done.stderr
    for seed in range(3):
        check_same(*(folder / "logs" / "many" / f"seed_{seed}" for folder in (killed, whole)))


def test_seeds_in_lanes_are_complete_runs(folder: Path, tmp_path: Path):
    """With the files of a run by itself, whose numbers begin as theirs; later ones differ by rounding."""
    done = in_lanes(tmp_path, *TRAIN, "--seeds", "3", "--name", "many", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished" and found["score"]["of"] == 3
    for seed in range(3):
        run, solo = tmp_path / "logs" / "many" / f"seed_{seed}", folder / "logs" / f"solo{seed}"
        assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in solo.iterdir())
        assert saved(run) == saved(solo) and runs.read(run).score is not None
        assert [row["step"] for row in logged(run)] == [row["step"] for row in logged(solo)]
        for one, other in zip(logged(run)[:3], logged(solo), strict=False):
            assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
    further = terminal.warm("resume", "many", "--steps", "+512", "--progress", "off", cwd=tmp_path)
    assert further.returncode == 0, further.stderr
    said = "seed_1 was trained as lane 2 of 2, now by itself: no more bit for bit what it was"
    assert further.stderr.count(said) == 1


def test_simulations_in_lanes_are_repeated_bitwise(tmp_path: Path):
    """MuJoCo's engine steps the rows of all lanes at once; a lane is trained again in one."""
    done = in_lanes(tmp_path, *HOSTED, "--seeds", "3", "--name", "many", "-q")
    assert done.returncode == 0, done.stderr
    assert terminal.facts(tmp_path / "logs" / "many" / "seed_2")["lane"] == [0, 2]
    again = terminal.warm("verify", "many/seed_2", "--replay", "4", cwd=tmp_path)
    assert again.returncode == 0 and "4 lines" in again.stdout, again.stdout


def test_where_seeds_are_lanes():
    """On a CPU nowhere; elsewhere not where a lane that is nobody's would step objects outside of JAX."""
    cpu, gpu = SimpleNamespace(platform="cpu"), SimpleNamespace(platform="gpu")
    outside = SimpleNamespace(unwrapped=Mock(spec=AbstractHostedEnv))
    assert [side_by_side.in_lanes(device, CartPole()) for device in (cpu, gpu)] == [False, True]
    assert not side_by_side.in_lanes(gpu, outside)
    assert side_by_side.to_fit(range(1000), gpu) == 1
    assert side_by_side.to_fit(range(1000), cpu) == cores.count()


@pytest.mark.parametrize(
    ("options", "seeds"), [(("--seeds", "1"), [0]), (("--seeds", "2", "--seed", "7"), [7, 8])]
)
def test_a_number_counts_from_the_first(tmp_path: Path, options: tuple[str, ...], seeds: list[int]):
    line = (*TRAIN[:4], "--steps", "2048", "--progress", "off", *options, "--name", "many", "--json")
    done = terminal.warm(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [end["seed"] for end in found["seeds"]] == seeds
    assert ("interval" in found["score"]) == (len(seeds) > 1)


def test_a_seed_that_fails_holds_up_no_other(tmp_path: Path):
    """An environment that fails after some steps, whoever trains in it."""
    line = ("train", "gymnasium:Faulty-v0", "--env-package", "outside", "--steps", "4096", "--seeds", "2")
    options = (
        "--set",
        "env.what=raise",
        "--set",
        "env.at=700",
        "--progress",
        "off",
        "--name",
        "many",
        "--json",
    )
    done = terminal.forked(*line, *options, cwd=tmp_path, **TESTS)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [end["status"] for end in found["seeds"]] == ["failed", "failed"] and found["status"] == "failed"
    assert done.stderr.count("the wheel came off") == 2
    assert all((tmp_path / end["run"] / "policy.eqx").exists() for end in found["seeds"])


def test_a_seed_that_cannot_go_on_holds_up_no_other(folder: Path, tmp_path: Path):
    line = (*TRAIN, "--seeds", "2", "--name", "many")
    assert terminal.warm(*line, "--time-limit", "0.001s", cwd=tmp_path).returncode == 0
    for path in (tmp_path / "logs" / "many" / "seed_0").glob("checkpoints/*.lerax"):
        path.write_bytes(b"nothing")
    done = terminal.warm("resume", "many", "--progress", "off", cwd=tmp_path)
    assert done.returncode == 1 and "lerax: error: seed 0: " in done.stderr
    assert "Traceback" not in done.stderr
    check_same(tmp_path / "logs" / "many" / "seed_1", folder / "logs" / "solo1")


@pytest.mark.parametrize("left", [(), ("run.json",)], ids=["nothing", "no config"])
def test_a_seed_that_had_not_begun_begins_anew(folder: Path, tmp_path: Path, left: tuple[str, ...]):
    """As a kill leaves it that comes while the runs are prepared; by its name and by `auto`."""
    line = (*TRAIN, "--seeds", "2", "--name", "many")
    assert terminal.warm(*line, "--time-limit", "0.001s", cwd=tmp_path).returncode == 0
    many = tmp_path / "logs" / "many"
    (many / "seed_1").rename(tmp_path / "gone")
    for name in left:
        (many / "seed_1").mkdir(exist_ok=True)
        (tmp_path / "gone" / name).rename(many / "seed_1" / name)
    again = (*line, "--resume", "auto") if left else ("resume", "many", "--progress", "off")
    done = terminal.warm(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "logs/many: nothing is there of seed_1: begun anew" in done.stderr
    for seed in range(2):
        check_same(many / f"seed_{seed}", folder / "logs" / f"solo{seed}")


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (("--seeds", "0"), "--seeds: out of range (got 0)"),
        (("--seeds", "many"), "--seeds: not seeds (got 'many'); give how many, or which: 5 or 3,4 or 0..9"),
        (("--seeds", "3,,4"), "--seeds: not seeds (got '3,,4')"),
        (("--seeds", "-1"), "--seeds: not seeds (got '-1')"),
        (("--seeds", "9..0"), "--seeds: not at most 1,000 in rising order (got '9..0')"),
        (("--seeds", "0..5000"), "--seeds: not at most 1,000 in rising order (got '0..5000')"),
        (("--seeds", "1,2,0..4"), "--seeds: 1 twice (got '1,2,0..4'); name each once"),
        (("--seeds", "4294967296,1"), "--seeds: out of range (got 4294967296)"),
        (("--seeds", "2", "--seed", "4294967295"), "--seeds: out of range (got 4294967296)"),
        (("--seeds", "1,2", "--seed", "3"), "--seed: not beside several seeds (got 3)"),
        (("--seeds", "2", "--resume", "solo0"), "--seeds: logs/solo0 has 0 (got 0, 1)"),
        (("--seeds", "4", "--resume", "many"), "--seeds: logs/many has 0, 1, 2 (got 0, 1, 2, 3)"),
        (("--resume", "many", "--seed", "0"), "--seed: not beside several seeds (got 0)"),
        (("--seeds", "2", "--name", "many"), "--name: a run of that name exists (got 'many'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, options: tuple[str, ...], wrong: str):
    line = TRAIN[:2] if "--resume" in options else TRAIN
    before = sorted(path.name for path in (folder / "logs").iterdir())
    done = in_process.run(*line, *options, cwd=folder)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"lerax: error: {wrong}")
    assert sorted(path.name for path in (folder / "logs").iterdir()) == before


def test_memory_is_for_all_that_train_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """So much that one would fit, and as many as there are cores do not."""
    monkeypatch.setattr(cores, "count", lambda: 4)
    monkeypatch.setattr(footprint, "available", lambda *_: 3 * 2**30)
    line = ("train", "Pendulum-v1", "--algo", "sac", "--set", "buffer_size=10_000_000")
    done = in_process.run(*line, "--seeds", "8", "--progress", "off", cwd=tmp_path)
    assert done.returncode == 1 and "0.8 GiB are available to each of 4 at a time" in done.stderr
    assert not (tmp_path / "logs").exists()


def test_commands_for_one_run_name_the_seeds(folder: Path):
    done = in_process.run("eval", "many", cwd=folder)
    assert done.returncode == 2
    assert "name one of them: many/seed_0, many/seed_1, many/seed_2" in done.stderr
    assert "many/seed_2" in in_process.run("runs", cwd=folder).stdout


def test_a_branch_of_a_seed_is_a_run_beside_the_training(folder: Path, tmp_path: Path):
    shutil.copytree(folder / "logs" / "many", tmp_path / "logs" / "many")
    done = terminal.warm("branch", "many/seed_1", "--steps", "+2048", "--progress", "off", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "logs/many-seed_1-branch\n", done.stderr
    assert "many-seed_1-branch" in runs.names_in(tmp_path / "logs")


def test_a_terminal_shows_all_seeds(tmp_path: Path):
    line = (*TRAIN[:-2], "--seeds", "0..2", "--name", "many")
    with terminal.Terminal(*line, cwd=tmp_path, size=(100, 30)) as shown:
        shown.wait_for(lambda: all(f"seed {seed}" in shown.text() for seed in range(3)))
        assert shown.finish() == 0
        text = shown.scrolled() + shown.text()
    assert f"{CURVE}: interquartile mean of the seeds" in text
    assert "61,440 of 61,440 steps" in text and "3 finished" in text
    assert "lerax train CartPole-v1" in text or "--config logs/many/seed_0/config.toml --seeds 0,1,2" in text


def test_the_curve_of_all_is_the_mean_of_the_middle_half():
    """Against NumPy, where all have come and where one has stopped."""
    xs = np.arange(0.0, 101.0)
    curves = [[(x, slope * x) for x in xs] for slope in (1.0, 2.0, 3.0, 30.0)]
    line, band = middle(curves)
    np.testing.assert_allclose([y for _, y in line], [2.5 * x for x, _ in line])
    np.testing.assert_allclose(band, [(x, 30 * x) for x, _ in line])
    line, _ = middle([curves[0], curves[3][:51]])
    np.testing.assert_allclose([y for _, y in line], [x * (15.5 if x <= 50 else 1) for x, _ in line])
    assert middle([[], [(5.0, 1.0)]]) == ([(5.0, 1.0)] * 201, [(1.0, 1.0)] * 201)
    assert middle([]) == ([], [])


def test_a_band_is_dots_around_the_curve():
    flat = [(float(x), 5.0) for x in range(10)]
    alone, banded = chart(flat, 30, 5), chart(flat, 30, 5, [(0.0, 10.0)] * 10)
    assert sum(bool(line.strip(" ┤")) for line in alone) < 5 and all(line.strip(" ┤") for line in banded)
    assert banded[0].lstrip().startswith("10 ┤") and banded[-1].lstrip().startswith("0 ┤")


def test_trainings_together_have_done_the_steps_of_all():
    each = {0: Shown("cpu", ""), 1: Shown("cpu", ""), 2: Shown("cpu", "")}
    each[0].phase, each[0].step = "finished", 100
    each[1].phase, each[1].step, each[1].scalars = "evaluating 3/100", 40, {RATE: 7.0}
    each[2].phase = WAITING
    each[1].curves[CURVE] = History()
    each[1].curves[CURVE].add(1.0, 2.0)
    whole = together(Shown("cpu", "logs/many"), each, 100)
    assert (whole.step, whole.total, whole.phase) == (140, 300, "evaluating 1/3 done")
    assert whole.scalars == {RATE: 7.0} and whole.curve[0] == (1.0, 2.0)


def test_few_lines_show_as_many_seeds_as_fit():
    console = SeedsConsole("off", range(20))
    console.expect(100)
    text = ["".join(piece for piece, _ in line) for line in console._lines(80, 12, [])]
    assert len(text) <= 11 and text[-1] == " and 12 more" and text[-2].startswith(" seed 7 ")
