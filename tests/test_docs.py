"""What the site says is true: the code on its pages runs as it stands there, page by page."""

import contextlib
import re
import shlex
import sqlite3
from pathlib import Path

import jax
import numpy as np
import pytest
import terminal
from jax import numpy as jnp
from jax import random as jr

from lerax.callback import AbstractCallback

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(py|sh)\n(.*?)^```", re.M | re.S)
OWN_CALLBACK = DOCS / "own_callback.md"
YOUR_OWN = DOCS / "your_own.md"  # which `test_your_own.py` runs
APART = (OWN_CALLBACK, YOUR_OWN)
PAGES = [page for page in sorted(DOCS.glob("*.md")) if page not in APART and "```py" in page.read_text()]


def play(page: Path, folder: Path) -> dict:
    """Runs the blocks of a page in order in a folder, of those in shell the lines with `lerax`."""
    names: dict = {}
    text = page.read_text("utf-8")
    lerax = terminal.run if "--devices" in text else terminal.warm  # as many as are made at the beginning
    with contextlib.chdir(folder):
        for language, code in BLOCK.findall(text):
            if language == "py":
                exec(compile(code, page.name, "exec"), names)
                continue
            for line in re.findall(r"^lerax (.*)", code, re.M):
                done = lerax(*shlex.split(line, comments=True), cwd=folder)
                assert done.returncode == 0, done.stderr
    return names


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_code_runs(page: Path, tmp_path: Path):
    """Without an error, and without a warning."""
    play(page, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `own_callback.md` has run."""
    return tmp_path_factory.mktemp("own_callback")


@pytest.fixture(scope="module")
def own_callback(folder: Path) -> dict:
    """The names that `own_callback.md` defines."""
    return play(OWN_CALLBACK, folder)


class RecordEnds(AbstractCallback):
    """Remembers after which steps episodes ended."""

    def step_reset(self, ctx, *, key):
        return jnp.array(0), jnp.zeros(4096, bool)

    def on_step(self, ctx, *, key):
        step, ends = ctx.state
        return step + 1, ends.at[step].set(ctx.done)


def test_own_callback_counts_successes_and_stops_at_once(own_callback: dict):
    """Against episodes of 100 steps, counted in the record of the same training."""
    algorithm, iterations = own_callback["algorithm"], int(own_callback["state"].iteration_count)
    state = algorithm.init(own_callback["env"], own_callback["policy"], key=jr.key(1))
    state = algorithm.run(state, iterations * algorithm.steps_per_iteration, callback=RecordEnds())
    _, ends = state.step_state.callback_state[0]
    lengths = [np.diff(np.flatnonzero(row), prepend=-1) for row in np.asarray(ends)]
    assert own_callback["successes"].tolist() == [int((row == 100).sum()) for row in lengths]
    before = np.asarray(ends)[:, : (iterations - 1) * algorithm.num_steps]
    lengths = [np.diff(np.flatnonzero(row), prepend=-1) for row in before]
    assert sum((row == 100).sum() for row in lengths) < 20 <= own_callback["successes"].sum()


def test_own_callback_is_the_same_inside_jit(own_callback: dict):
    """As many iterations, and as many successes in each environment."""
    assert int(own_callback["iterations"]) == int(own_callback["state"].iteration_count)
    assert own_callback["successes_in_jit"].tolist() == own_callback["successes"].tolist()


def test_own_callback_stops_each_training_on_its_own_under_vmap(own_callback: dict):
    """The first is the one that was trained alone; the others stop at other iterations."""
    each = own_callback["iterations_of_each"].tolist()
    assert each[0] == int(own_callback["iterations"]) and len(set(each)) > 1
    assert own_callback["successes_of_each"][0].tolist() == own_callback["successes"].tolist()
    assert (own_callback["successes_of_each"].sum(axis=1) >= 20).all()


def test_own_callback_logs_into_its_database(own_callback: dict, folder: Path):
    """A count every fourth iteration of 128 steps, and a return for each iteration that has one."""
    with contextlib.closing(sqlite3.connect(folder / "runs.db")) as database:
        query = "SELECT step, value FROM scalars WHERE run = 'tutorial' AND tag = ? ORDER BY step"
        counts = database.execute(query, ["episode/successes"]).fetchall()
        losses = database.execute(query, ["train/loss"]).fetchall()
    iterations = int(own_callback["iterations"])
    assert [step for step, _ in counts] == [512 * (i + 1) for i in range(iterations // 4)]
    assert [step for step, _ in losses] == [128 * (i + 1) for i in range(iterations)]
    values = [value for _, value in counts]
    assert values == sorted(values) and 0 < values[-1] <= own_callback["successes"].sum()
    assert jax.tree.all(jax.tree.map(np.isfinite, losses))
