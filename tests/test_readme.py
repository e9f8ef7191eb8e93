"""The README's Python runs as it stands."""

import re
from pathlib import Path

from jax import numpy as jnp
from jax import random as jr

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```py\n(.*?)^```", README, re.M | re.S)


def test_the_training_snippet_trains_and_logs(tmp_path: Path, monkeypatch):
    """It leaves one run with an event file."""
    monkeypatch.chdir(tmp_path)
    exec(compile(SNIPPETS[0], "README.md", "exec"), {})
    (run,) = (tmp_path / "logs").iterdir()
    assert run.name.startswith("MLPActorCriticPolicy_CartPole-v1_")
    assert [path.name.split(".")[0] for path in run.iterdir()] == ["events"]


def test_the_callback_snippet_stops_training(env, policy, algorithm):
    """At the first iteration after an episode of 400 steps, and not before."""
    names: dict = {}
    exec(compile(SNIPPETS[1], "README.md", "exec"), names)
    state = algorithm.init(env, policy, key=jr.key(0))
    state = algorithm.run(state, 64 * 4000, callback=names["StopAtLength"]())
    (_, longest) = state.step_state.callback_state[0]
    assert int(state.iteration_count) < 4000
    assert 400 <= int(longest[0]) < 400 + algorithm.num_steps
    assert jnp.max(longest) >= 400


def test_every_file_that_it_names_is_there():
    """Links to files of the repository lead somewhere."""
    root = Path(__file__).parents[1]
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", README) if not link.startswith("http")]
    assert links and not [link for link in links if not (root / link).exists()]
