"""Small changes of the arithmetic, each of which a test must notice: `make test-mutants`.

Each is made in a copy of the packages, and the tests that it names are run there until one fails. A change
that none notices is printed; then the exit code is 1. `python tests/mutants.py advantage` tries those of one
file only.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 600


class Mutant(NamedTuple):
    """A file below `lerax/`, what stands there once, what is put there, and the test file that notices it."""

    file: str
    old: str
    new: str
    test: str


CLASSIC = "env/classic_control/"
MUTANTS = [
    Mutant("advantage.py", "error + factor * later", "error - factor * later", "test_advantage"),
    Mutant("advantage.py", "gamma * gae_lambda *", "gamma *", "test_advantage"),
    Mutant("advantage.py", "gamma * next_values * (1.0 - t", "next_values * (1.0 - t", "test_advantage"),
    Mutant("advantage.py", "reverse=True", "reverse=False", "test_advantage"),
    Mutant("algorithm/ppo.py", "1 - clip, 1 + clip", "1 - clip, 1 + 2 * clip", "test_ppo"),
    Mutant("algorithm/ppo.py", "jnp.minimum(ratio", "jnp.maximum(ratio", "test_ppo"),
    Mutant("algorithm/ppo.py", "jnp.maximum(error", "jnp.minimum(error", "test_ppo"),
    Mutant("algorithm/ppo.py", "entropy_loss = -jnp", "entropy_loss = jnp", "test_ppo"),
    Mutant("algorithm/ppo.py", "0.5 * jnp.mean(error)", "jnp.mean(error)", "test_ppo"),
    Mutant("algorithm/ppo.py", "(jnp.std(advantage) + 1e-8)", "(jnp.var(advantage) + 1e-8)", "test_ppo"),
    Mutant("algorithm/ppo.py", "jnp.mean(ratio - 1 - log_ratio)", "jnp.mean(-log_ratio)", "test_ppo"),
    Mutant("algorithm/ppo.py", "1.0 - progress if", "1.0 if", "test_ppo"),
    Mutant("algorithm/on_policy.py", "eps=1e-5", "eps=1e-3", "test_ppo"),
    Mutant("algorithm/on_policy.py", "jnp.minimum(1.0, self.max", "jnp.maximum(1.0, self.max", "test_ppo"),
    Mutant("algorithm/on_policy.py", ">> low << low", ">> low", "test_ppo"),
    Mutant("algorithm/on_policy.py", "truncated & ~terminal", "truncated | terminal", "test_rollout"),
    Mutant(
        "algorithm/reward_scale.py", "returns * ~now[1], returns", "returns, returns", "test_normalization"
    ),
    Mutant("algorithm/reward_scale.py", "gamma * returns + now", "returns + now", "test_normalization"),
    Mutant("statistics.py", "+ change**2 * part * (1 - part)", "+ change**2 * part", "test_normalization"),
    Mutant("statistics.py", "self.mean + change * part", "self.mean + change", "test_normalization"),
    Mutant(
        "callback/episode.py", "alpha, 1.0) * ctx.done", "alpha, alpha) * ctx.done", "test_moving_averages"
    ),
    Mutant(
        "callback/episode.py",
        "0.0, self.episode_return) + ctx.reward",
        "ctx.reward * (self.step > 0), self.episode_return) + ctx.reward",
        "test_moving_averages",
    ),
    Mutant("callback/records.py", "done * per_iteration)", "done)", "test_logging_callback"),
    Mutant("evaluate.py", "over, 0.0, taken.reward", "False, 0.0, taken.reward", "test_evaluate"),
    Mutant("evaluate.py", "lengths + ~over", "lengths + 1", "test_evaluate"),
    Mutant(
        "env/step.py",
        "chosen = tree.where(done, fresh",
        "chosen = tree.where(terminal, fresh",
        "test_rollout",
    ),
    Mutant("env/timed.py", ">= self.max_episode_steps", "> self.max_episode_steps", "test_cartpole"),
    Mutant("wrapper/time_limit.py", ">= self.max_episode_steps", "> self.max_episode_steps", "test_wrappers"),
    Mutant("wrapper/action.py", "least + part * (most - least)", "least + part * most", "test_wrappers"),
    Mutant("wrapper/reward.py", "self.scale * reward", "self.scale + reward", "test_wrappers"),
    Mutant(
        "distribution/normal.py", "standardised**2 - self.log_scale", "standardised**2", "test_distributions"
    ),
    Mutant(
        "distribution/normal.py",
        "math.log(2 * math.pi * math.e)",
        "math.log(2 * math.pi)",
        "test_distributions",
    ),
    Mutant("distribution/categorical.py", "-jnp.sum(jnp.exp", "jnp.sum(jnp.exp", "test_distributions"),
    Mutant(
        "distribution/categorical.py",
        "self.log_probs + noise",
        "self.log_probs - noise",
        "test_distributions",
    ),
    Mutant("network.py", "math.sqrt(2)]", "math.sqrt(3)]", "test_network"),
    Mutant("network.py", "x @ self.weights[-1] + self.biases[-1]", "x @ self.weights[-1]", "test_network"),
    Mutant("space/box.py", "finite_low + tail", "finite_low - tail", "test_spaces"),
    Mutant("space/discrete.py", "value < self.n", "value <= self.n", "test_spaces"),
    Mutant("tree.py", "offsets[dtype] = start + size", "offsets[dtype] = size", "test_tree"),
    Mutant(CLASSIC + "cartpole.py", "4 / 3 - POLE_MASS", "4 / 3 + POLE_MASS", "test_cartpole"),
    Mutant(
        CLASSIC + "cartpole.py", "HALF_LENGTH * spin**2 * sin", "HALF_LENGTH * spin * sin", "test_cartpole"
    ),
    Mutant(CLASSIC + "pendulum.py", "0.1 * spin**2", "0.2 * spin**2", "test_classic_control"),
    Mutant(CLASSIC + "pendulum.py", "MASS * LENGTH**2 / 3", "MASS * LENGTH**2 / 2", "test_classic_control"),
    Mutant(CLASSIC + "mountain_car.py", "jnp.maximum(velocity, 0.0)", "velocity", "test_classic_control"),
    Mutant(
        CLASSIC + "continuous_mountain_car.py", "- 0.1 * action", "- 0.2 * action", "test_classic_control"
    ),
    Mutant(CLASSIC + "acrobot.py", "k1 + 2 * k2 + 2 * k3", "k1 + 2 * k2 + k3", "test_classic_control"),
    Mutant("env/mujoco/hopper.py", "* healthy - cost", "* healthy + cost", "test_mujoco_parity"),
    Mutant("env/mujoco/ant.py", "healthy - costs", "healthy + costs", "test_mujoco_parity"),
    Mutant("env/mujoco/humanoid.py", "* speed + self", "* speed - self", "test_mujoco_parity"),
    Mutant("env/mujoco/running.py", "* moved[0] / data.dt", "* moved[0]", "test_mujoco_parity"),
]


def survives(mutant: Mutant) -> bool:
    """Whether the test passes although the change is made.

    Raises:
        ValueError: What is to be changed does not stand there once.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lerax", "lerax_cli", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        path = folder / "lerax" / mutant.file
        path.write_text(changed(mutant))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"tests/{mutant.test}.py"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": name},
            capture_output=True,
            timeout=SECONDS,
        )
    if done.returncode not in (0, 1):  # neither passed nor failed: nothing was tested
        raise RuntimeError(f"{mutant}: {done.stdout.decode()[-2000:]}")
    return done.returncode == 0


def changed(mutant: Mutant) -> str:
    """The text of the file with the change.

    Raises:
        ValueError: What is to be changed does not stand there once.
    """
    text = (ROOT / "lerax" / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"lerax/{mutant.file}: holds {mutant.old!r} {text.count(mutant.old)} times")
    return text.replace(mutant.old, mutant.new)


def main(words: list[str]) -> int:
    """Tries all, or those whose file holds one of the words. Returns the exit code."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.file for word in words)]
    for mutant in chosen:
        changed(mutant)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [mutant for mutant, alive in zip(chosen, pool.map(survives, chosen), strict=True) if alive]
    for mutant in found:
        print(f"not noticed by tests/{mutant.test}.py: lerax/{mutant.file}: {mutant.old!r} -> {mutant.new!r}")
    print(f"{len(chosen) - len(found)} of {len(chosen)} changes were noticed")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
