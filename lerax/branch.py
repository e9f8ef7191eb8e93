"""A new training that branches off from another one: its state, and logs that begin with the other's."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax

from .algorithm import AlgorithmState
from .algorithm.optimizer import holds_rate
from .backend import CSVBackend, JSONLBackend
from .backend.events import copy_events
from .backend.tensorboard import event_files
from .errors import SettingError

FILES = {"metrics.jsonl": JSONLBackend, "metrics.csv": CSVBackend}


def branch_off(
    saved: AlgorithmState, fresh: AlgorithmState, *, iteration: int | None = None
) -> AlgorithmState:
    """The state that a training with other settings begins with.

    What was learned is that of `saved`, and so are the episodes under way and the callbacks' states; the
    environment, the PRNG key, the length of the whole training and the learning rates are those of `fresh`.

    Args:
        saved: A state of the training before: of a run, or from a checkpoint that was loaded into the
            template of the algorithm with its new settings.
        fresh: What `init` of the algorithm with its new settings gives, for the environment with its own and
            for the `total_timesteps` of the whole training, those before the branch included.
        iteration: How many iterations are behind it; to be given where an iteration has another number of
            steps than before. By default those of `saved`.

    Returns:
        What `run` goes on with; neither argument is consumed.

    Raises:
        ValueError: The whole training of `fresh` is not longer than what is behind it.
    """
    done = int(saved.iteration_count) if iteration is None else iteration
    total = int(fresh.total_iterations)
    if 0 < total <= done:
        hint = "give init a total_timesteps beyond what was trained"
        raise SettingError("fresh", total, f"more than {done} iterations", hint=hint)
    return dataclasses.replace(
        saved,
        iteration_count=jax.numpy.full_like(saved.iteration_count, done),
        total_iterations=fresh.total_iterations,
        key=fresh.key,
        env=fresh.env,
        learner=jax.tree.map(_with_rates, saved.learner, fresh.learner, is_leaf=holds_rate),
    )


def _with_rates(saved: Any, fresh: Any) -> Any:
    return saved._replace(hyperparams=fresh.hyperparams) if holds_rate(saved) else saved


def copy_logs(source: Path, target: Path, step: int) -> None:
    """Copies what a run has logged up to a step, for the backends of another one to go on with.

    That is `metrics.jsonl`, `metrics.csv` and the event files of TensorBoard, whichever there are. The
    source may still be written to.

    Args:
        source: The run's directory.
        target: The other one's, which is new.
        step: Environment steps.

    Raises:
        OSError: A file cannot be read or written.
    """
    for name, kind in FILES.items():
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
            backend = kind(target.parent)
            backend.open(target.name)
            backend.resume(step)
            backend.close()
    for path in event_files(source):
        copy_events(path, target / path.name, step)
