"""Inputs that mean harm, made from a seed: each is one line of error and a right exit code, soon.

`make test-faults` makes all of them; here is a sample. LERAX_FAULTS_SEED makes others.

Each runs in a process of its own, forked from one that has imported JAX: what a command does to streams,
warnings and signals stays there.
"""

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terminal
from disks import small_disk
from faults import chance_of, count
from jax import random as jr

from lerax import checkpoint
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
from lerax_cli.words import settings

SECONDS = 10.0  # that a refusal may take
NOWHERE = ("--out", "a-file/runs", "-q")  # what is not refused before comes to its end there, untrained
CONFIG = """env = "CartPole-v1"
algo = "ppo"
seed = 3
steps = 100_000
preset = "none"
backend = ["none"]
nan = "stop"
video_interval = 0
score = 475.0

[algorithm]
num_envs = 8
gamma = 0.99
clip_schedule = "linear"

[policy]
hidden_sizes = [64, 64]
activation = "tanh"
"""
VALUES = (
    *("", " ", "0", "-0", "-1", "1", "1.5", "1e9", "1e999", "-1e999", "nan", "inf", "0x10", "0b1", "1e-400"),
    *(
        "9" * 400,
        "9" * 5000,
        "2147483648",
        "4294967296",
        "18446744073709551616",
        "true",
        "True",
        "None",
        "null",
    ),
    *(
        "[]",
        "[[]]",
        "[0]",
        "[64, 64",
        "64,64",
        "[1e9]",
        "[2147483647]",
        "{}",
        "{a=1}",
        "'x'",
        '"',
        "'''",
        "\\",
    ),
    *(
        "é",
        "\u202e",
        "\x1b[31m",
        "a" * 3000,
        "%s%n",
        "{0}",
        "$(id)",
        "../../etc/passwd",
        "/dev/zero",
        "-q",
        "--",
    ),
    *("1979-05-27", "07:32:00", "1_0", "1__0", "+1", "١٢", "𝟙", "[" * 900, "[" * 1900 + "]" * 100, "\ud800"),
)
OPTIONS = (
    *(
        "--steps",
        "--seed",
        "--num-envs",
        "--algo",
        "--preset",
        "--config",
        "--backend",
        "--nan",
        "--progress",
    ),
    *("--device", "--video-interval", "--name", "--set"),
)


def refused(done: terminal.Finished, seconds: float) -> None:
    """Checks that a command was refused as it should be."""
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if not line.startswith("lerax: warning: ")]
    assert len(errors) == 1 and errors[0].startswith("lerax: error: ") and errors[0].isprintable()
    assert len(errors[0]) < 1100
    if done.returncode == 1:  # the machine's fault: the place that there is not, or memory that there is not
        assert any(word in errors[0] for word in ("--out: cannot be written", "memory: needs", ".eqx"))
    else:
        assert done.returncode == 2
    assert seconds < SECONDS


def timed(*arguments: str, cwd: Path) -> tuple[terminal.Finished, float]:
    """Runs the command, once all that all runs share is there."""
    began = time.monotonic()
    return terminal.run(*arguments, cwd=cwd), time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The process that all are forked from has started."""
    terminal.run("list-envs", cwd=tmp_path_factory.mktemp("warm"))


@pytest.mark.parametrize("number", count(60, 4))
def test_hostile_config(tmp_path: Path, number: int):
    """Cut, with bits flipped, with values and keys that nobody wants, in other encodings, or a pipe."""
    chance = chance_of("config", number)
    path = tmp_path / "config.toml"
    (tmp_path / "a-file").touch()
    content = bytearray(chance.choice(CONFIGS)(chance), "utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 1, 3, 30))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    form = chance.random()
    if form < 0.1:
        content = bytearray(
            content.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-32", "utf-7")))
        )
    if form > 0.95:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    refused(*timed("train", "--config", "config.toml", *NOWHERE, cwd=tmp_path))


def replaced(chance: random.Random) -> str:
    """A config in which one value is another one."""
    lines = [str(line) for line in CONFIG.splitlines()]
    place = chance.choice([i for i, line in enumerate(lines) if "=" in line])
    lines[place] = f"{lines[place].partition('=')[0]}= {chance.choice(VALUES)}"
    return "\n".join(lines)


CONFIGS: tuple[Callable[[random.Random], str], ...] = (
    replaced,
    replaced,
    replaced,
    lambda chance: str(CONFIG[: chance.randrange(1, len(CONFIG))]),
    lambda chance: f"{CONFIG}{CONFIG.splitlines()[chance.randrange(9)]}\n",
    lambda chance: "x = " + "[\n" * chance.choice((20, 900, 30_000)),
    lambda chance: "[algorithm]\ngamma" + ".a" * chance.choice((20, 900, 30_000)) + " = 1\n",
    lambda chance: "[[algorithm]]\n" * chance.choice((1, 2000)),
    lambda chance: f"[algorithm]\n{chance.choice(VALUES)!r} = 1\n",
    lambda chance: "# " + "\u2028" * chance.choice((1, 50_000)) + "\nsteps = 0\n",
)


@pytest.mark.parametrize("number", count(60, 4))
def test_hostile_value(tmp_path: Path, number: int):
    """An option or a setting with a value that nobody wants."""
    chance = chance_of("value", number)
    (tmp_path / "a-file").touch()
    option, value = chance.choice(OPTIONS), chance.choice(VALUES)
    if chance.random() < 0.6:
        option, value = "--set", f"{chance.choice(list(settings('CartPole-v1')))}={value}"
    refused(*timed("train", "CartPole-v1", f"{option}={value}", *NOWHERE, cwd=tmp_path))


@pytest.mark.parametrize("number", count(40, 3))
def test_damaged_policy(tmp_path: Path, number: int):
    """Cut, with bits flipped, or with a right checksum over a header that lies."""
    chance = chance_of("policy", number)
    path = tmp_path / "p.eqx"
    policy = MLPActorCriticPolicy(env=CartPole(), hidden_sizes=(4,), key=jr.key(0))
    metadata = {"policy": policy.name, "env": "CartPole-v1", "settings": {"hidden_sizes": [4]}}
    checkpoint.save(path, policy, metadata)
    path.write_bytes(chance.choice((cut, flipped, lying, lying))(chance, path.read_bytes()))
    subject = chance.choice((("p.eqx",), ("CartPole-v1", "--policy", "p.eqx")))
    refused(*timed("record-video", *subject, "-q", cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["p.eqx"]


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data))]


def flipped(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def lying(chance: random.Random, data: bytes) -> bytes:
    """A file whose checksum is right."""
    header, _, payload = data.partition(b"\n")[2].partition(b"\n")
    content: Any = json.loads(header)
    leaf = chance.choice(content["leaves"])
    meta = content["metadata"]
    changes: list[Callable[[], Any]] = [
        lambda: leaf.__setitem__(1, chance.choice(("object", "float64", "<U9", "int8", "", "key<fry>", 7))),
        lambda: leaf.__setitem__(2, chance.choice(([-1], [10**12], ["a"], "44", None, [[1]], [1] * 50))),
        lambda: leaf.__setitem__(0, chance.choice(("", "os.system", 3, None, ".actor"))),
        lambda: leaf.append(1),
        lambda: content["leaves"].append(leaf),
        lambda: content["leaves"].pop(),
        lambda: content.pop(chance.choice(("leaves", "metadata"))),
        lambda: content.update(metadata=chance.choice((None, [], "x", 3))),
        lambda: meta.update(policy=chance.choice((None, "os:system", "X" * 10**5, 3, []))),
        lambda: meta.update(env=chance.choice(("../x", "Pendulum-v1", "X" * 10**5))),
        lambda: meta.update(settings=chance.choice(({"hidden_sizes": [2**14] * 100}, {"x": 1}, [], 1))),
        lambda: meta["settings"].update(hidden_sizes=chance.choice(([16384, 16384], "4", [4.5], {}, [0]))),
    ]
    chance.choice(changes)()
    header = json.dumps(content).encode()
    body = chance.choice((header,) * 6 + (b"[" * 10**6, b"{}", b"9" * 10**5, b" " * 2**25, b"\xff\n")) + b"\n"
    body += chance.choice((payload,) * 3 + (payload[1:], payload + b"1", b""))
    if body == data.partition(b"\n")[2]:
        body = body[:-1]
    return checkpoint.MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


@pytest.mark.parametrize("number", count(15, 0))
def test_kill_at_any_time(tmp_path: Path, number: int):
    """What is left is whole, and the next run is as if nothing had been."""
    chance = chance_of("kill", number)
    cache = str(terminal.own_cache(tmp_path))
    command = (terminal.LERAX, "train", *terminal.ENDLESS, "--backend", "csv", "--video-interval", "50", "-q")
    with terminal.started(*command, cwd=tmp_path, JAX_COMPILATION_CACHE_DIR=cache) as process:
        if chance.random() < 0.6:
            terminal.wait_for(lambda: terminal.trains(tmp_path), process)
        time.sleep(chance.uniform(0, 3))
        process.kill()
        process.wait()
    for path in tmp_path.glob("logs/*/run.json"):
        assert json.loads(path.read_text())["status"] == "running"
    for path in tmp_path.glob("logs/*/metrics.jsonl"):
        for line in path.read_text().split("\n")[:-1]:
            json.loads(line)
    for path in tmp_path.glob("logs/*/*.eqx"):
        checkpoint.read_metadata(path)
    after = ("train", *terminal.BRIEF, "--name", "after", "-q", "--strict")
    done = terminal.run(*after, cwd=tmp_path, JAX_COMPILATION_CACHE_DIR=cache)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", count(2, 0))
def test_full_disk(tmp_path: Path, number: int):
    """Of any size: what was lost is said, exit 1, and nothing is left half written."""
    chance = chance_of("disk", number)
    with small_disk(tmp_path / "disk", chance.choice((16, 32, 64, 128, 256))) as disk:
        arguments = ("CartPole-v1", "--preset", "none", "--steps", "200_000", "--out", "disk", "-q")
        done = terminal.run("train", *arguments, "--backend", "tensorboard", cwd=tmp_path)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("lerax: error: ")
        for path in disk.glob("*/run.json"):
            json.loads(path.read_text())
        for path in disk.glob("*/*.eqx"):
            checkpoint.read_metadata(path)
        assert not list(disk.glob("*/.*"))
