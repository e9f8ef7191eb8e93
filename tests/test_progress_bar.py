"""ProgressBarCallback in a terminal and without one."""

import sys

import jax
import pytest
from jax import random as jr
from terminal import Terminal, finish
from toys import TRACES, Idle, Target

from lerax.callback import ProgressBarCallback, progress_bar

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from jax import random as jr
from toys import Idle
from lerax.callback import ProgressBarCallback
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy

env = CartPole()
policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
bar = ProgressBarCallback({arguments})
try:
    Idle(nan_from={nan_from}).learn(env, policy, 1000, key=jr.key(0), callback=[bar, *{more}])
except FloatingPointError:
    print("failed")
print("done")
"""
FAILS = """[type('Fails', (__import__('lerax.callback').callback.AbstractCallback,), dict(
    next_due=lambda self, n: 50 if n < 50 else None,
    on_host=lambda self, state, own, n: (_ for _ in ()).throw(FloatingPointError())))()]"""


@pytest.fixture
def script(tmp_path, request):
    def script(arguments="env=env, policy=policy", more="[]", nan_from=1000):
        path = tmp_path / "train.py"
        tests = str(request.config.rootpath / "tests")
        path.write_text(SCRIPT.format(tests=tests, arguments=arguments, more=more, nan_from=nan_from))
        return str(path)

    return script


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache for the one program of all these scripts."""
    folder = str(tmp_path_factory.mktemp("programs"))
    return {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@pytest.fixture
def shown(tmp_path, kept):
    return lambda script: _shown(script, tmp_path, kept)


def _shown(script, cwd, kept):
    with Terminal(script, program=sys.executable, cwd=cwd, size=(110, 24), **kept) as terminal:
        assert terminal.finish() == 0
        hidden, visible = terminal.raw.rfind(b"\x1b[?25l"), terminal.raw.rfind(b"\x1b[?25h")
        assert -1 < hidden < visible, "the cursor is there again"
        return terminal.text() + terminal.scrolled(), terminal.output


def test_the_title_and_the_steps_and_the_cursor(script, shown):
    text, output = shown(script())
    assert "Training MLPActorCriticPolicy on CartPole-v1" in text
    assert "100%" in text and "1000/1000" in text
    assert output == b"done\n"


@pytest.mark.parametrize(
    "arguments, title, steps",
    [
        ("env=env", "Training on CartPole-v1 ", "1000/1000"),
        ("policy=policy", "Training MLPActorCriticPolicy ", "1000/1000"),
        ("", "Training ", "1000/1000"),
        ("4000, name='mine'", "mine ", "1000/4000"),
    ],
)
def test_titles_and_a_total_of_ones_own(script, shown, arguments, title, steps):
    text, _ = shown(script(arguments))
    assert text.lstrip().startswith(title) and steps in text


def test_after_a_failure_the_cursor_comes_back_with_the_end_of_the_process(script, shown):
    text, output = shown(script(more=FAILS))
    assert output == b"failed\ndone\n" and "100%" not in text


def test_without_a_terminal_it_is_silent(script, tmp_path, kept):
    done = finish([sys.executable, script()], tmp_path, kept)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_it_works_inside_jit_and_does_not_compile_anew(env, policy, capsys):
    from lerax.policy import MLPActorCriticPolicy

    env = Target()
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    learn = lambda bar: Idle().learn(env, policy, 30, key=jr.key(0), callback=bar)
    learn(ProgressBarCallback())
    traced = TRACES["transition"]
    learn(ProgressBarCallback(name="another"))
    assert TRACES["transition"] == traced
    bar = ProgressBarCallback()
    jax.block_until_ready(
        jax.jit(lambda key: Idle().learn(env, policy, 30, key=key, callback=bar))(jr.key(0))
    )
    bar.close()
    bar.close()
    assert capsys.readouterr().err == ""


def test_a_progress_bar_begins_at_the_step_that_training_goes_on_from(env, policy, monkeypatch):
    """What was done before counts neither for its speed nor for the time that is left."""
    state = Idle().run(Idle().init(env, policy, key=jr.key(0)), 900)
    monkeypatch.setattr(progress_bar, "is_terminal", lambda stream: True)
    tasks, stop = [], progress_bar._Bar.stop

    def kept(bar):
        tasks.extend(bar._progress.tasks if bar._progress is not None else ())
        stop(bar)

    monkeypatch.setattr(progress_bar._Bar, "stop", kept)
    Idle().run(state, 1000, callback=ProgressBarCallback())
    (task,) = tasks
    assert (task.completed, task.total) == (1000, 1000)
    assert sum(sample.completed for sample in task._progress) == 100
