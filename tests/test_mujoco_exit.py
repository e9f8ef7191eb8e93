"""Python ends while MuJoCo's engine is at work: at once, with the right code, without a word."""

import os
import sys
from pathlib import Path

import pytest
import terminal

import lerax

ROOT = str(Path(lerax.__file__).parents[1])

PROGRAM = """
import functools, os, sys, threading
import jax
from jax import numpy as jnp, random as jr
from lerax.env import mujoco
from lerax.env import host_call
from lerax.env.mujoco.native import Native

task, way = sys.argv[1:]
engine_step, begun = Native.step, threading.Event()

@functools.wraps(engine_step)
def step(*arguments):
    begun.set()
    engine_step(*arguments)

Native.step = step
if way == "callback":
    host_call.call = functools.partial(host_call.call, transport="callback")
env = getattr(mujoco, task)(threads=2)
start = jax.jit(jax.vmap(lambda key: env.initial(key=key)))(jr.split(jr.key(0), 4))
take = jax.vmap(env.transition)

@jax.jit
def play(state, x):
    actions = jnp.broadcast_to((x @ x)[0, :1], (4, *env.action_space.shape))  # so much work has XLA's thread
    return jax.lax.scan(lambda state, _: (take(state, actions), None), state, length=10**9)[0]

def go():
    play(start, jnp.zeros((64, 64)))
    begun.wait()

if way == "another thread":
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
else:
    go()
if way == "error":
    raise ZeroDivisionError
if way == "exit":
    sys.exit(3)
"""


def ended(*arguments, folder, program=PROGRAM):
    python = {"PYTHONPATH": os.pathsep.join([ROOT, *sys.path])}
    return terminal.finish([sys.executable, "-W", "error", "-c", program, *arguments], folder, python)


@pytest.mark.parametrize(
    ("task", "way", "code", "said"),
    [
        ("Hopper", "end", 0, ""),
        ("Hopper", "another thread", 0, ""),
        ("Hopper", "error", 1, "ZeroDivisionError"),
        ("Humanoid", "exit", 3, ""),
    ],
)
def test_python_ends_while_a_program_runs(task, way, code, said, tmp_path):
    """However it ends, and whichever thread of Python's began the program, with either stepper."""
    done = ended(task, way, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.rpartition("\n  ")[2].strip().endswith(said) and "MuJoCo" not in done.stderr


FORKED = """
import os, sys, time, warnings
from lerax.env import host_call

warnings.simplefilter("ignore")  # JAX's, of forks
host_call.register("its owner", b"its name", print)
began = time.monotonic()
if os.fork() == 0:
    sys.exit()
os.wait()
assert time.monotonic() - began < host_call.EXIT_SECONDS / 2
"""


def test_a_forked_process_waits_for_no_program_that_it_has_not(tmp_path):
    done = ended(folder=tmp_path, program=FORKED)
    assert done.returncode == 0, done.stderr


def test_python_ends_while_a_callback_runs(tmp_path):
    """A relative: JAX itself waits for programs with callbacks, and says what these raise."""
    program = PROGRAM.replace("10**9", "1000")
    assert (done := ended("Hopper", "callback", folder=tmp_path, program=program)).returncode == 0, (
        done.stderr
    )
    assert (done.stdout, done.stderr) == ("", "")


EVALUATES = """
import threading
from jax import random as jr
from lerax.env.mujoco import Humanoid
from lerax.evaluate import evaluate
from lerax.policy import RandomPolicy

env = Humanoid(threads=2)
main = threading.main_thread()

def work():
    main.join()  # Python is ending, and waits for this thread
    played = evaluate(env, RandomPolicy(env), key=jr.key(0), num_episodes=2, deterministic=False)
    print(int(played.lengths.sum()))

threading.Thread(target=work).start()
"""


def test_a_thread_that_python_waits_for_goes_on_evaluating(tmp_path):
    """A relative: pools of threads start nothing any more then, and Humanoid's contact forces need one."""
    done = ended(folder=tmp_path, program=EVALUATES)
    assert (done.returncode, done.stderr) == (0, "") and int(done.stdout) > 20
