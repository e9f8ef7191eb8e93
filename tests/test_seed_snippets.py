"""The documentation's snippets run word for word; `seeds/` holds their text."""

import re
from pathlib import Path

import pytest
from jax import random as jr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIME = r"\d{8}_\d{6}"
TRAINING = "algo.learn(env, policy, total_timesteps=2**10, key=key, callback={})"
WITH_ALGORITHM = f"PPO_MLPActorCriticPolicy_CartPole-v1_{TIME}"
WITHOUT = f"MLPActorCriticPolicy_CartPole-v1_{TIME}"


def snippet(name):
    return (Path(__file__).parent / "seeds" / f"{name}.txt").read_text()


@pytest.fixture
def run(env, policy, algorithm, tmp_path, monkeypatch):
    """Runs a snippet in an empty directory; gives the runs in its `logs`, by name."""
    monkeypatch.chdir(tmp_path)

    def run(code):
        exec(code, {"env": env, "policy": policy, "algo": algorithm, "key": jr.key(0)})
        return {path.name: EventAccumulator(str(path)).Reload() for path in Path("logs").iterdir()}

    return run


def assert_one_run(runs, name, steps):
    ((found, events),) = runs.items()
    assert re.fullmatch(name, found)
    assert events.Scalars("train/learning_rate")[-1].step == steps
    assert {"episode/return", "episode/length"} <= set(events.Tags()["scalars"])


def test_logging_with_env_and_policy(run):
    code = snippet("logging_with_env_and_policy")
    assert "# ... training ..." in code
    runs = run(code.replace("# ... training ...", TRAINING.format("logger")))
    assert_one_run(runs, WITHOUT, 1024)


def test_logging_by_default(run):
    code = snippet("logging_by_default")
    runs = run(code + TRAINING.format("callback") + "\ncallback.close()")
    assert_one_run(runs, WITH_ALGORITHM, 1024)


def test_callbacks_with_algorithms(run, capsys):
    runs = run(snippet("callbacks_with_algorithms"))
    assert_one_run(runs, WITHOUT, 2**16)
    (events,) = runs.values()
    returns = [event.value for event in events.Scalars("episode/return")]
    assert returns[-1] > 2 * returns[0], "nothing was learned"
    shown = capsys.readouterr()
    assert shown.out == "" and re.search(r"step=65536 .*episode/return=", shown.err)
