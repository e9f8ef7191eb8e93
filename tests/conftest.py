"""Run-time checks of every annotation of lerax, a compilation cache, a budget, and what many tests train."""

import gc
import os
import resource
import tempfile
import warnings

import jax
import jaxtyping
import prefork
import pytest
from jax import random as jr

with warnings.catch_warnings(action="ignore"):  # where SWIG's are errors, the import ends the process
    import Box2D  # noqa: F401

# Before anything imports lerax: its annotations are checked at each call.
jaxtyping.install_import_hook("lerax", "typechecker.checked")

# Tests spend most of their time compiling what then runs a few times: as little as possible is optimized. The
# old emitters made NaN of a finite gradient of SAC once: long trainings belong into processes without
# these flags (XLA_FLAGS=None). With the new ones a worker that had compiled for 15 minutes crashed in XLA.
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if jax.__version_info__ < (0, 11):  # later ones have no choice of emitters
    QUICK += " --xla_cpu_use_fusion_emitters=false"

SPENT = []  # CPU seconds of each worker that has ended


def pytest_addoption(parser):
    parser.addoption("--cpu-budget", type=float, metavar="MINUTES", help="say whether the tests took more")


def pytest_configure(config):
    """Keeps compiled programs beside pytest's own cache: `pytest --cache-clear` empties both.

    All workers and all processes that they start share them: a program is compiled once.
    """
    from lerax_cli.compile_cache import keep_programs

    kept = config.cache.mkdir("programs") if hasattr(config, "cache") else tempfile.mkdtemp()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    # No caches of GPUs: their folder would be part of each program's key, and a copied program of no use.
    os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    os.environ.setdefault("XLA_FLAGS", QUICK)
    jax.config.update("jax_num_cpu_devices", 2)  # trainings are divided among them where they are told to be
    keep_programs(warn=pytest.exit)


def cpu_seconds(*whose):
    """What processes have used so far; of children, those that have ended."""
    used = [resource.getrusage(who) for who in whose]
    return sum(one.ru_utime + one.ru_stime for one in used)


def pytest_sessionfinish(session):
    """A worker tells what it and its children have used."""
    prefork.close_all()
    if hasattr(session.config, "workeroutput"):
        both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
        session.config.workeroutput["cpu_seconds"] = cpu_seconds(*both)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    SPENT.append(getattr(node, "workeroutput", {}).get("cpu_seconds", 0.0))


def pytest_terminal_summary(terminalreporter, config):
    """With `--cpu-budget`, the CPU time of all processes; a line in red where it is over the budget."""
    if (budget := config.getoption("--cpu-budget")) is None:
        return
    own = (resource.RUSAGE_SELF,) if SPENT else (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    minutes = (sum(SPENT) + cpu_seconds(*own)) / 60
    over = minutes > budget
    advice = "; look at the slowest tests" if over else ""
    text = f"CPU time: {minutes:.1f} minutes of {budget:g}{advice}"
    terminalreporter.write_line(text, red=over, bold=over)


def pytest_collection_finish():
    """Tracing makes many small objects: to look for cycles among them all is a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def env():
    from lerax.env.classic_control import CartPole

    return CartPole()


@pytest.fixture(scope="session")
def policy(env):
    from lerax.policy import MLPActorCriticPolicy

    return MLPActorCriticPolicy(env=env, hidden_sizes=(8,), key=jr.key(0))


@pytest.fixture(scope="session")
def algorithm():
    """64 steps an iteration, in two epochs of two minibatches."""
    from lerax.algorithm import PPO

    return PPO(num_envs=4, num_steps=16, num_epochs=2, num_batches=2, learning_rate=1e-2)
