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
import json, sys, warnings
from pathlib import Path
import jax
import numpy as np
from jax import numpy as jnp
from jax import random as jr
from lerax import checkpoint
from lerax.algorithm import *
from lerax.backend import *
from lerax.callback import *
from lerax.env import EnvContractError
from lerax.env.classic_control import *
from lerax.evaluate import *
from lerax.policy import *
from lerax.record import record
from lerax.run import read_facts
from lerax.wrapper import *

warnings.simplefilter("error")

class Whole(CartPole):
    def terminal(self, state, *, key=None):
        return super().terminal(state).astype(jnp.int32)

class Wide(CartPole):
    def reward(self, *args, key=None):
        return jnp.ones(1)

def branching(self, state, *, key):
    return True if state.y[0] > 2 else False

def other_env(**methods):
    return type("Other", (CartPole,), methods)()

env, KEY = CartPole(), jr.key(0)
policy, ppo = MLPActorCriticPolicy(env, key=KEY), PPO()
other = PPO(num_envs=8)
state, template = ppo.init(env, policy, key=KEY), ppo.template(env, policy)
checkpoint.save("state", state)
checkpoint.save("policy", policy)
Path("run").mkdir()
Path("run/run.json").write_text("{}")

class Halves(EmptyCallback):
    def next_due(self, iteration):
        return iteration + 0.5

said = {}
for code in json.load(sys.stdin):
    try:
        eval(code)
        said[code] = "nothing"
    except Exception as error:
        kind = type(error).__name__
        kind = {"SettingError": "ValueError", "SettingTypeError": "TypeError"}.get(kind, kind)  # a kind of
        said[code] = f"{kind}: {error}"
print(json.dumps(said))
"""
LIST = r"ValueError: hidden_sizes: .*\(got {}\); .*; such as \[64,64\]"
CLASS = r"TypeError: {}: a class \(got \w+\); write an instance, such as {}"
VIDEO = r"ValueError: video_{}: not an int \(got {}\); allowed: at least {}; such as \d+"
KEY = r"TypeError: key: not one PRNG key \(got {}\); write for example jax\.random\.key\(0\)"
WRITTEN = {
    "MLPActorCriticPolicy(env, hidden_sizes=True, key=KEY)": LIST.format("True"),
    "MLPActorCriticPolicy(env, hidden_sizes=[], key=KEY)": LIST.format(r"\[\]"),
    "MLPActorCriticPolicy(env, hidden_sizes='64,64', key=KEY)": LIST.format("'64,64'"),
    "MLPActorCriticPolicy(env, key=0)": KEY.format("0"),
    "MLPActorCriticPolicy(CartPole, key=KEY)": CLASS.format("env", r"CartPole\(\)"),
    "RandomPolicy(CartPole)": CLASS.format("env", r"CartPole\(\)"),
    "TimeLimit(CartPole, 5)": CLASS.format("env", r"CartPole\(\)"),
    "TimeLimit('CartPole-v1', 5)": r"TypeError: env: not an AbstractEnvLike .* example CartPole\(\)",
    "RescaleAction(5)": r"TypeError: env: not an AbstractEnvLike \(got 5\); write for example CartPole\(\)",
    "LoggingCallback(MemoryBackend(), name=5)": r"ValueError: name: not a run's name \(got 5\); allowed: .*",
    "PPO(clip_value_loss='true')": r"ValueError: clip_value_loss: not a bool .*'true'.* such as True\b.*",
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
    "EvalCallback(2, logger='x')": "TypeError: logger: not an LoggingCallback .*",
    "EvalCallback(2, seed='x')": "ValueError: seed: not an int .*any whole number; such as 0",
    "StopOnReturn(float('nan'))": r"ValueError: threshold: out of range \(got nan\); .*any finite value",
    "StopOnReturn('100')": r"ValueError: threshold: not a float \(got '100'\); .*",
    "StopOnReturn(100, alpha='1')": "ValueError: alpha: not a float .*",
    "LoggingCallback(ConsoleBackend(), video_interval=2.5)": VIDEO.format("interval", 2.5, 0),
    "LoggingCallback(ConsoleBackend(), video_interval='2')": VIDEO.format("interval", "'2'", 0),
    "LoggingCallback(ConsoleBackend(), video_num_steps=1.5)": VIDEO.format("num_steps", 1.5, 1),
    "TensorBoardCallback(video_width='320')": VIDEO.format("width", "'320'", 1),
    "TensorBoardCallback(video_interval=1, video_fps='fast')": "ValueError: video_fps: not a float .*",
    "ppo.run(state, 1024, callback=Halves())": r"ValueError: Halves\.next_due: not a whole .*got 0\.5.*",
    "ppo.learn(env, policy, 2048.5, key=KEY)": r"ValueError: .*not an int .*2048\.5\); .*any whole.*",
    "other.run(state, 4096)": r"ValueError: state: of an algorithm with other .*num_envs 4 against 8.*",
    "PPO(normalize_rewards=True).run(state, 4096)": "ValueError: state: of an algorithm .*another learner.*",
    "ppo.run(template, 4096)": r"TypeError: state: a template, which holds no values .*checkpoint\.load.*",
    "checkpoint.load('policy', MLPActorCriticPolicy)": CLASS.format("like", r"MLP.*"),
    "checkpoint.load('policy', template)": "MisfitError: policy: .*file is of another kind.*",
    "checkpoint.load('state', policy)": "MisfitError: state: .*file is of another kind.*",
    "checkpoint.load('state', other.template(env, policy))": (
        r"MisfitError: state: .*\(8, ?.*; make it with the settings that were saved"
    ),
    # What is meant well is taken, without a warning.
    "read_facts('run')": "nothing",
    "PPO(learning_rate=jnp.array(1e-3), num_envs=np.int32(4), clip_value_loss=np.bool_(True))": "nothing",
    "MLPActorCriticPolicy(env, hidden_sizes=np.array([8, 8]), key=KEY)": "nothing",
    # Methods of environments that raise, or give what another library's do.
    "ppo.init(other_env(initial=lambda self, *, key: None), policy, key=KEY)": (
        r"EnvContractError: Other\.initial of CartPole-v1: .*got None\); wanted: a module of arrays.*"
    ),
    "ppo.init(other_env(initial=lambda self, *, key: (env.initial(key=key), {})), policy, key=KEY)": (
        r"EnvContractError: Other\.initial of .*got \(.*\{\}\)\); wanted: a module of arrays.*"
    ),
    "ppo.init(other_env(reward=lambda self: 1.0), policy, key=KEY)": (
        r"EnvContractError: Other\.reward of .*unexpected keyword argument 'key'\); wanted: .*"
        r"reward\(self, state, action, next_state, \*, key\)"
    ),
    "evaluate(TimeLimit(other_env(terminal=branching), 9), policy, key=KEY)": (
        r"EnvContractError: TimeLimit\(Other\)\.terminal of .*TracerBoolConversionError: .*jnp\.where.*"
    ),
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
