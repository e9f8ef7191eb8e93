"""Environments of Gymnasium from the command: one that a module here registers."""

import shutil

import imageio.v3
import numpy as np
import outside
import pytest
import terminal


@pytest.mark.parametrize(
    ("env", "package", "said"),
    [
        ("CartPole-v1", "outside", "--env-package: is for an environment of Gymnasium (got 'CartPole-v1')"),
        ("gymnasium:Faulty-v0", "out-side", "--env-package: not a package (got 'out-side')"),
        ("gymnasium:Faulty-v9", "outside", "Environment version `v9` for environment `Faulty` doesn't exist"),
    ],
)
def test_what_no_package_registers_is_refused(tmp_path, env, package, said):
    shutil.copy(outside.__file__, tmp_path)
    done = terminal.forked("train", env, "--env-package", package, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_the_command_trains_shows_and_goes_on(tmp_path):
    """A run of somebody else's module: named again where it goes on, and drawn by its own pictures."""
    shutil.copy(outside.__file__, tmp_path)
    name = "gymnasium:outside:Faulty-v0"
    few = ["--set", "num_steps=16", "--set", "policy.hidden_sizes=[8]", "--progress", "off"]
    given = ["gymnasium:Faulty-v0", "--env-package", "outside", "--set", "env.what=print"]
    done = terminal.forked("train", *given, "--steps", "64", "--name", "a", *few, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "logs/a" and "I am here" in done.stderr
    refused = terminal.forked("train", "--resume", "a", "--steps", "128", cwd=tmp_path)
    assert refused.returncode == 2 and "imported only if the command line names it" in refused.stderr
    again = terminal.forked(
        "train", name, "--resume", "a", "--steps", "128", "--progress", "off", cwd=tmp_path
    )
    assert again.returncode == 0 and again.stderr.count("its episodes begin anew") == 1
    video = terminal.forked("record-video", name, "-o", "a.gif", "--steps", "3", cwd=tmp_path)
    assert video.returncode == 0
    frames = np.asarray(imageio.v3.imread(tmp_path / "a.gif"))
    lit = (frames[:, frames.shape[1] // 2] > 128).all(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(lit, [0, 0.1, 0.2, 0.3], atol=0.02)


def test_the_command_saves_what_was_learned_before_a_fault(tmp_path):
    shutil.copy(outside.__file__, tmp_path)
    few = ["--set", "num_steps=16", "--set", "policy.hidden_sizes=[8]", "--progress", "off"]
    name = ["gymnasium:outside:Faulty-v0", "--set", "env.what=raise", "--set", "env.at=5", "--name", "a"]
    done = terminal.forked("train", *name, "--steps", "640", *few, cwd=tmp_path)
    assert done.returncode == 1 and "RuntimeError: the wheel came off" in done.stderr
    assert "the wheel came off" in (tmp_path / "logs/a/traceback.txt").read_text()
    assert (tmp_path / "logs/a/policy.eqx").exists()
    assert terminal.facts(tmp_path / "logs/a")["status"] == "failed"
    played = terminal.forked("eval", "a", "--trust", name[0], "--episodes", "4", cwd=tmp_path)
    assert played.returncode == 1 and played.stderr.splitlines()[-1].startswith("lerax: error: gymnasium:out")
    again = terminal.forked("verify", "a", "--replay", "1", "--trust", name[0], cwd=tmp_path)
    assert again.returncode == 1 and "cannot be repeated" in again.stderr
