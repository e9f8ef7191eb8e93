"""What is easily written wrong in Python: each refusal is one line that shows the right form.

In a process of its own, where the tests' checks of annotations are not before ours.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
import jax
from jax import numpy as jnp
from jax import random as jr
from lerax.algorithm import *
from lerax.callback import *
from lerax.env import EnvContractError
from lerax.env.classic_control import *
from lerax.evaluate import *
from lerax.policy import *
from lerax.record import record
from lerax.wrapper import *

class Whole(CartPole):
    def terminal(self, state, *, key=None):
        return super().terminal(state).astype(jnp.int32)

class Wide(CartPole):
    def reward(self, *args, key=None):
        return jnp.ones(1)

env, KEY = CartPole(), jr.key(0)
policy, ppo = MLPActorCriticPolicy(env, key=KEY), PPO()
said = {}
for code in json.load(sys.stdin):
    try:
        eval(code)
        said[code] = "nothing"
    except Exception as error:
        said[code] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""
LIST = r"ValueError: hidden_sizes: .*\(got {}\); .*; such as \[64,64\]"
CLASS = r"TypeError: {}: a class \(got \w+\); write an instance, such as {}"
KEY = r"TypeError: key: not one PRNG key \(got {}\); write for example jax\.random\.key\(0\)"
WRITTEN = {
    "MLPActorCriticPolicy(env, hidden_sizes=True, key=KEY)": LIST.format("True"),
    "MLPActorCriticPolicy(env, hidden_sizes=[], key=KEY)": LIST.format(r"\[\]"),
    "MLPActorCriticPolicy(env, hidden_sizes='64,64', key=KEY)": LIST.format("'64,64'"),
    "MLPActorCriticPolicy(env, key=0)": KEY.format("0"),
    "MLPActorCriticPolicy(CartPole, key=KEY)": CLASS.format("env", r"CartPole\(\)"),
    "RandomPolicy(CartPole)": CLASS.format("env", r"CartPole\(\)"),
    "PPO(anneal_clip='true')": r"ValueError: anneal_clip: not a bool \(got 'true'\); .* such as True\b.*",
    "PPO(learning_rate='1e-3')": r"ValueError: learning_rate: not a float .*; such as 0\.00025",
    "PPO(env)": r"ValueError: num_envs: not an int \(got CartPole.*; such as 4",
    "ppo.learn(env, policy, 1024, key=0)": KEY.format("0"),
    "ppo.learn(env, policy, 1024, key=jr.split(KEY, 3))": KEY.format(r"key<fry>\[3\]"),
    "ppo.learn(CartPole, policy, 1024, key=KEY)": CLASS.format("env", r"CartPole\(\)"),
    "ppo.learn('CartPole-v1', policy, 1024, key=KEY)": r"TypeError: env: not .*example CartPole\(\)",
    "ppo.learn(env, MLPActorCriticPolicy, 1024, key=KEY)": CLASS.format("policy", r"MLP\w+\(env, key=.*\)"),
    "ppo.learn(env, policy, '1e6', key=KEY)": r"ValueError: total_timesteps: not an int .*; such as 1000000",
    "ppo.learn(env, policy, float('nan'), key=KEY)": r"ValueError: total_timesteps: not an int .*1000000",
    "PPO.learn(env, policy, 1024, key=KEY)": r"TypeError: learn: called on a class; .* PPO\(\)\.learn\(.*\)",
    "PPO.learn(env=env, policy=policy, key=KEY)": r"TypeError: learn: called on a class; .*",
    "ppo.run(policy, 1024)": r"TypeError: state: not an AlgorithmState .* PPO\(\)\.init\(.*\)",
    "ppo.learn(env, policy, 1024, key=KEY, callback=print)": (
        r"TypeError: callback: not an AbstractCallback \(got <built-in function print>\); write .*"
    ),
    "ppo.learn(env, policy, 1024, key=KEY, callback=[StopOnNonFinite(), StopOnReturn])": CLASS.format(
        "callback", r"StopOnReturn\(\.\.\.\)"
    ),
    "ppo.learn(env, policy, 1024, key=KEY, callback='logs')": "TypeError: callback: not an .* 'logs'.*",
    "LoggingCallback('logs')": r"TypeError: backend: not .* write for example TensorBoardBackend\(\"logs\"\)",
    "LoggingCallback(TensorBoardBackend)": CLASS.format("backend", r"TensorBoardBackend\(\"logs\"\)"),
    "LoggingCallback(3)": "TypeError: backend: not an AbstractLoggingBackend .*",
    "EvalCallback('3')": r"ValueError: interval: not an int \(got '3'\); allowed: at least 1; such as 100",
    "EvalCallback(3, env=CartPole)": CLASS.format("env", r"CartPole\(\)"),
    "evaluate(env, policy, key=0)": KEY.format("0"),
    "evaluate(CartPole, policy, key=KEY)": CLASS.format("env", r"CartPole\(\)"),
    "evaluate(env, MLPActorCriticPolicy, key=KEY)": CLASS.format("policy", "MLPActorCriticPolicy.*"),
    "evaluate(env, policy, key=KEY, num_episodes=0)": "ValueError: num_episodes: out of range .*at least 1",
    "record('x.mp4', env, policy, None, key=KEY)": r"ValueError: policies: not .* write \[\(.*policy\)\]",
    "record('x.mp4', env, [('one', MLPActorCriticPolicy)], None, key=KEY)": CLASS.format("policy", "MLP.*"),
    "record('x.mp4', CartPole, [('one', policy)], None, key=KEY)": CLASS.format("env", r"CartPole\(\)"),
    "record('x.mp4', env, [('a', policy)], None, key=KEY, episodes='2')": "ValueError: episodes: not an .*",
    # Wrappers around environments that break the contract: here, since the tests check their annotations.
    "ppo.learn(TimeLimit(Whole(), 7), policy, 1024, key=KEY)": (
        r"EnvContractError: TimeLimit\(Whole\)\.terminal of CartPole-v1: .*got i32\[\]\); wanted: one bool.*"
    ),
    "evaluate(TimeLimit(ScaleReward(Wide(), 2.0), 7), policy, key=KEY)": (
        r"EnvContractError: TimeLimit\(ScaleReward\(Wide\)\)\.reward of CartPole-v1: .*got f32\[1\]\).*"
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(list(WRITTEN)),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("doors"),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("code", WRITTEN)
def test_a_refusal_shows_the_right_form(said, code):
    """The seven that were seen, and what is mistaken alike: other classes, keys, counts and lists."""
    assert re.fullmatch(WRITTEN[code], said[code]), said[code]
