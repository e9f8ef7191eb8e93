"""TensorBoardCallback and its writer, read back with TensorBoard's own reader."""

import inspect
import io
import math
import re
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp
from jax import random as jr
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import Idle, Target

from lerax.callback import (
    JITSummaryWriter,
    LoggingCallback,
    MemoryBackend,
    ResetContext,
    StepContext,
    TensorBoardBackend,
    TensorBoardCallback,
    callback_with_numpy_wrapper,
)
from lerax.callback.tensorboard import TensorBoardCallbackStepState
from lerax.policy import MLPActorCriticPolicy

TIME = r"\d{8}_\d{6}"


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def scalars(folder):
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("traced", [False, True], ids=["from the host", "inside jit"])
def test_it_logs_what_is_documented_and_the_same_as_the_logging_callback(env, policy, algorithm, traced):
    memory = MemoryBackend()
    with LoggingCallback(memory, name="other") as logger, TensorBoardCallback("mine") as callback:
        learn = lambda key: algorithm.learn(env, policy, 5 * 64, key=key, callback=[callback, logger])
        jax.block_until_ready((jax.jit(learn) if traced else learn)(jr.key(0)))
    found = scalars("logs/mine")
    documented = {"episode/return", "episode/length", "train/learning_rate", "train/loss"}
    assert documented <= set(found) and not [tag for tag in found if tag.startswith("time/")]
    for tag, points in found.items():
        expected = [(step, one[tag]) for step, one in memory.records if tag in one]
        assert points == [(step, pytest.approx(value, rel=1e-5)) for step, value in expected]


@pytest.mark.parametrize(
    "given, pattern",
    [
        (("policy", "env"), f"MLPActorCriticPolicy_CartPole-v1_{TIME}"),
        (("env",), f"CartPole-v1_{TIME}"),
        (("policy",), f"MLPActorCriticPolicy_{TIME}"),
        ((), f"training_{TIME}"),
    ],
)
def test_names_of_the_folder(env, policy, given, pattern):
    parts = {"env": env, "policy": policy}
    with TensorBoardCallback(**{name: parts[name] for name in given}) as callback:
        assert re.fullmatch(pattern, callback.tb_writer.log_dir.name)
    assert [path.name for path in Path("logs").iterdir()] == [callback.tb_writer.log_dir.name]


def test_a_name_and_a_folder_of_ones_own_and_two_of_one_name():
    with TensorBoardCallback("mine", log_dir="elsewhere"):
        with pytest.warns(RuntimeWarning, match="mine exists.*mine-1"):
            TensorBoardCallback("mine", log_dir="elsewhere").close()
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["mine", "mine-1"]


@pytest.mark.parametrize("name", ["../up", "", "a/b"])
def test_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(ValueError, match="name: not a run's name"):
        TensorBoardCallback(name)


def test_it_cannot_be_built_inside_jit():
    with pytest.raises(RuntimeError, match="TensorBoardCallback.*outside"):
        jax.jit(lambda x: TensorBoardCallback("mine") and x)(jnp.array(1.0))


def test_a_nan_ends_training_with_tag_and_step(env, policy):
    """The iterations before it are there."""
    with TensorBoardCallback("mine") as callback:
        with pytest.raises(ValueError, match=r"train/(loss|half): not finite at step 40 \(got nan\)"):
            Idle(nan_from=4).learn(env, policy, 100, key=jr.key(0), callback=callback)
    assert [step for step, _ in scalars("logs/mine")["train/loss"]] == [10, 20, 30]


def test_under_jit_jax_reports_the_nan(env, policy):
    with TensorBoardCallback("mine") as callback:
        learn = jax.jit(lambda key: Idle(nan_from=4).learn(env, policy, 100, key=key, callback=callback))
        with pytest.raises(Exception, match="train/(loss|half): not finite at step 40"):
            jax.block_until_ready(learn(jr.key(0)))
            jax.effects_barrier()


def test_a_learning_rate_that_optax_does_not_hold_is_nan_and_no_error(env, policy):
    class Plain(Idle):
        def optimizer(self):
            return optax.sgd(0.1)

    with TensorBoardCallback("mine") as callback:
        Plain().learn(env, policy, 20, key=jr.key(0), callback=callback)
    assert all(math.isnan(value) for _, value in scalars("logs/mine")["train/learning_rate"])


def test_several_trainings_are_one_curve(env, policy):
    with TensorBoardCallback("mine") as callback:
        for _ in range(2):
            Idle().learn(env, policy, 30, key=jr.key(0), callback=callback)
    assert [step for step, _ in scalars("logs/mine")["train/loss"]] == [10, 20, 30, 40, 50, 60]


def test_the_step_state_follows_an_episode():
    """Two episodes of three steps, every step rewarded by minus a squared error."""
    env = Target(length=3)
    policy = MLPActorCriticPolicy(env, hidden_sizes=(8,), key=jr.key(0))
    with TensorBoardCallback("mine", alpha=0.25) as callback:
        state = callback.step_reset(ResetContext(env, policy, Idle(), {}), key=jr.key(0))
        seen = []
        for reward, done in [(1, 0), (2, 0), (4, 1), (8, 0), (16, 1)]:
            step = {"done": jnp.array(bool(done)), "reward": jnp.array(float(reward))}
            ctx = StepContext(env=env, policy=policy, state=state, **step)
            state = callback.on_step(ctx, key=jr.key(0))
            seen.append([float(x) for x in jax.tree.leaves(state)])
    names = ("step", "episode_return", "episode_length", "episode_done", "average_return", "average_length")
    assert tuple(TensorBoardCallbackStepState.__dataclass_fields__) == names
    assert seen == [
        [1, 1, 1, False, 0, 0],
        [2, 3, 2, False, 0, 0],
        [3, 7, 3, True, 7, 3],
        [4, 8, 1, False, 7, 3],
        [5, 24, 2, True, 0.25 * 24 + 0.75 * 7, 0.25 * 2 + 0.75 * 3],
    ]


def test_a_step_state_is_built_from_its_documented_parameters():
    state = TensorBoardCallbackStepState(
        step=3,
        episode_return=1.5,
        episode_length=2,
        episode_done=False,
        average_return=0.5,
        average_length=4.0,
    )
    assert (
        state.step.dtype == jnp.int32
        and state.episode_done.dtype == bool
        and float(state.average_length) == 4
    )


def test_the_writer_writes_from_traced_code_and_from_outside():
    writer = JITSummaryWriter("logs/mine")

    @jax.jit
    def traced(x, step):
        writer.add_scalar("a", x, step)
        writer.add_dict("group", {"b": x * 2, "c": step}, global_step=step)
        return x

    for step in range(3):
        jax.block_until_ready(traced(jnp.array(step / 2), step))
    writer.add_scalar("outside", 7.0, 5)
    writer.add_dict("", {"outside/2": np.float32(8)}, global_step=jnp.array(6))
    writer.close()
    writer.close()
    with pytest.raises(RuntimeError, match="already closed"):
        writer.add_scalar("late", 1.0, 9)
    assert scalars("logs/mine") == {
        "a": [(0, 0.0), (1, 0.5), (2, 1.0)],
        "group/b": [(0, 0.0), (1, 1.0), (2, 2.0)],
        "group/c": [(0, 0.0), (1, 1.0), (2, 2.0)],
        "outside": [(5, 7.0)],
        "outside/2": [(6, 8.0)],
    }


def test_the_writer_writes_videos():
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    frames[1, 10:20] = 255
    writer = JITSummaryWriter("logs/mine")
    writer.add_video("clip", frames, 7, fps=10.0)
    jax.block_until_ready(jax.jit(lambda x: writer.add_video("traced", x, 8) or x)(jnp.asarray(frames)))
    writer.close()
    events = EventAccumulator("logs/mine", {"images": 0}).Reload()
    for tag, step in (("clip", 7), ("traced", 8)):
        (video,) = events.Images(tag)
        gif = Image.open(io.BytesIO(video.encoded_image_string))
        assert (video.step, gif.n_frames, gif.size) == (step, 3, (64, 48))


def test_videos_that_fail_do_not_take_the_scalars_with_them(monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(TensorBoardBackend, "log_video", fail)
    writer = JITSummaryWriter("logs/mine")
    with pytest.warns(RuntimeWarning, match="takes no more videos .OSError: no space left") as warned:
        for step in range(5):
            writer.add_video("clip", np.zeros((1, 4, 4, 3), np.uint8), step)
        writer.add_scalar("a", 1.0, 9)
        writer.close()
    assert len(warned) == 1
    assert scalars("logs/mine") == {"a": [(9, 1.0)]}


def test_the_signatures_are_the_documented_ones():
    parameters = lambda function: list(inspect.signature(function).parameters)
    documented = ["name", "env", "policy", "alpha"]
    assert parameters(TensorBoardCallback)[:4] == documented
    defaults = [inspect.signature(TensorBoardCallback).parameters[name].default for name in documented]
    assert defaults == [None, None, None, 0.9]
    for hook in ("reset", "step_reset", "on_step", "on_iteration", "on_training_start", "on_training_end"):
        assert parameters(getattr(TensorBoardCallback, hook)) == ["self", "ctx", "key"]
    with TensorBoardCallback("mine", alpha=0.5) as callback:
        assert isinstance(callback.tb_writer, JITSummaryWriter) and callback.alpha == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_writer_refuses_what_is_not_finite(value):
    writer = JITSummaryWriter("logs/mine")
    with pytest.raises(ValueError, match="a: not finite at step 3"):
        writer.add_scalar("a", value, 3)
    writer.close()
    assert scalars("logs/mine") == {}


def test_the_wrapper_gives_numpy_arrays_on_the_host():
    seen = []

    def keep(*args, **kwargs):
        seen.append((args, kwargs))

    wrapped = callback_with_numpy_wrapper(keep, ordered=True)
    jax.jit(lambda x: wrapped("text", x, key={"inner": x + 1}))(jnp.arange(2))
    jax.effects_barrier()
    wrapped(jnp.array(3))
    ((text, array), named), ((direct,), _) = seen
    assert wrapped.__name__ == "keep" and text == "text" and type(array) is type(direct) is np.ndarray
    assert array.tolist() == [0, 1] and named["key"]["inner"].tolist() == [1, 2] and direct == 3


def test_outside_of_jit_the_wrapper_raises_what_the_function_raises():
    def fails(x):
        raise KeyError("own type")

    with pytest.raises(KeyError, match="own type"):
        callback_with_numpy_wrapper(fails)(jnp.array(1))
