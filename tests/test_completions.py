"""The completion scripts: current, and of use in the shells they are for."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import terminal
from made_runs import make
from made_studies import group

from lerax import registry
from lerax.algorithm import PPO
from lerax.policy import MLPActorCriticPolicy
from lerax.settings import settings_of

FOLDER = Path(__file__).parents[1] / "completions"
BASH = """
source {script}
COMP_LINE={words!r}; COMP_POINT=${{#COMP_LINE}}
_lerax_completion {command}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
FOLDERS = ["logs/", "mine/", "other/"]
WORDS = [
    ("tr", ["train"]),
    ("train Cart", ["CartPole-v1"]),
    ("train CartPole-v1 --backend ten", ["tensorboard"]),
    ("train --progress p", ["plain"]),
    ("list-e", ["list-envs"]),
    ("slurm --array 0-4 tr", ["train"]),
    ("slurm --array 0-4 train Cart", ["CartPole-v1"]),
    ("slurm --part", ["--partition"]),
    ("list-algos ", [*registry.ALGORITHMS]),
    ("train --algo pp", ["ppo"]),
    ("list-algos --env Hop", ["Hopper-v5"]),
    ("rec", ["record-video"]),
    ("record-video Cart", ["CartPole-v1"]),
    ("record-video CartPole-v1 --progress o", ["off"]),
    ("doctor --require eg", ["egl"]),
    ("train --preset ", ["auto", "none", *(name for name in registry.ENVS if registry.presets(name))]),
    ("train --set num_s", ["num_steps="]),
    ("train --algo ppo --set policy.act", ["policy.activation="]),
    ("train Hopper-v5 --set env.ph", ["env.physics="]),
    ("train --config own.toml --set env.ph", ["env.physics="]),
    ("train --config=own.toml --set env.physics=m", ["mjx"]),
    ("train CartPole-v1 --config own.toml --set env.su", ["env.sutton_barto_reward="]),
    ("train --config mine/config.toml --set num_s", ["num_steps="]),
    ("train hopper-V5 --set policy.act", ["policy.activation="]),
    ("list-policies ", list(registry.POLICIES)),
    ("list-envs Hop", ["Hopper-v5"]),
    ("list-wrappers fr", ["frame_stack"]),
    ("train CartPole-v1 --wrap fr", ["frame_stack="]),
    ("train CartPole-v1 --wrap clip_r", ["clip_reward"]),
    ("record-video mine --policy b", ["best"]),
    ("record-video mine --policy ", ["random", "2000", "10000", "best", "last", *FOLDERS, "own.eqx"]),
    ("record-video m", ["mine"]),
    ("record-video lat", ["latest"]),
    ("record-video wal", ["walker"]),
    ("record-video best:", ["CartPole-v1"]),  # behind the colon: bash ends a word there
    ("record-video --out other kept", ["kept-run"]),
    ("runs pr", ["prune"]),
    ("train ./own", ["./own_env.py"]),
    ("check own_env.py:", ["Own"]),  # behind the colon, and nothing is imported
    ("new ", ["env"]),
    ("eval wal", ["walker"]),
    ("compare se", ["seeded", "seeded/seed_0", "seeded/seed_1"]),
    ("compare seeded walker --by ga", ["gamma"]),
    ("plot se", ["seeded", "seeded/seed_0", "seeded/seed_1"]),
    ("plot walker --x t", ["time"]),
    ("plot walker --y ep", ["episode/return"]),
    ("report se", ["seeded", "seeded/seed_0", "seeded/seed_1"]),
    ("report walker --y ep", ["episode/return"]),
    ("verify wal", ["walker"]),
    ("replay wal", ["walker"]),
    ("branch wal", ["walker"]),
    ("branch walker --at ", ["2000", "best", "newest"]),
    ("branch walker --set env.su", ["env.sutton_barto_reward="]),
    ("watch l", ["latest", "logs/"]),
    ("eval ow", ["own.eqx"]),
    ("runs show wal", ["walker"]),
    ("runs --status fin", ["finished"]),
    ("record-video walker --policy la", ["last"]),
    ("train --config mine/", ["mine/checkpoints/", "mine/config.toml"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a few policies, a policy beside it, and two folders of runs."""
    folder = tmp_path_factory.mktemp("completions")
    (folder / "mine" / "checkpoints").mkdir(parents=True)
    for name in ("config.toml", "best.eqx", "policy.eqx", "checkpoints/2000.eqx", "checkpoints/10000.eqx"):
        (folder / "mine" / name).touch()
    rows = ({"step": 1, "episode/return": 1.0},)
    (make(folder / "logs", "walker", score=1.0, rows=rows) / "policy.eqx").touch()
    (folder / "logs" / "walker" / "checkpoints").mkdir()
    (folder / "logs" / "walker" / "checkpoints" / "000000002000.lerax").touch()
    make(folder / "logs", "not one word")
    make(folder / "logs", os.fsdecode(b"wal-\xff"))
    make(folder / "other", "kept-run")
    group(folder / "logs", "seeded", [1.0, 2.0])
    for name in ("own.eqx", "other.txt"):
        (folder / name).touch()
    (folder / "own_env.py").write_text("import none\nclass Alone: 0\nclass Own(Base): 0\n")
    (folder / "own.toml").write_text("algo = 'ppo'\n[env]\nname = 'hopper-v5'\n")
    return folder


def test_files_are_current():
    """`make completions` would change nothing."""
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generated = module.files()
    assert {path: path.read_text() for path in generated} == generated


def in_bash(words: str, folder: Path) -> list[str]:
    """What bash offers behind `lerax` and some words."""
    command = Path(sys.executable).with_name("lerax")
    script = BASH.format(script=FOLDER / "lerax.bash", words=f"lerax {words}", command=command)
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(("words", "expected"), WORDS, ids=[words for words, _ in WORDS])
def test_bash_completes(folder: Path, words: str, expected: list[str]):
    """Commands, environments, backends, choices, settings, presets, policies and runs, as typed so far."""
    assert in_bash(words, folder) == expected


@pytest.mark.parametrize(("start", "expected"), [("", ["true", "false"]), ("t", ["true"])])
def test_bash_completes_behind_the_equals_sign(folder: Path, start: str, expected: list[str]):
    """Bash takes it for the end of a word, and puts answers behind it."""
    assert in_bash(f"train --set clip_value_loss={start}", folder) == expected
    every = in_bash("train --set policy.activation=", folder)
    assert every == list(settings_of(MLPActorCriticPolicy)["activation"].limits.choices)


def test_every_setting_is_offered(folder: Path):
    """Those of the algorithm, and those of its policy with the table before them."""
    own = [f"{name}=" for name in settings_of(PPO)]
    assert in_bash("train --set ", folder) == own + [
        f"policy.{n}=" for n in settings_of(MLPActorCriticPolicy)
    ]


def test_fish_completes(folder: Path):
    """With what each means, and behind the equals sign."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")

    def offered(words: str) -> list[str]:
        program = f"source {FOLDER / 'lerax.fish'}; complete -C 'lerax {words}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", program],
            cwd=folder,
            env=os.environ | {"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert offered("train --set num_s") == ["num_steps=\tSteps of each environment in one iteration."]
    assert offered("train --set clip_value_loss=t") == ["clip_value_loss=true"]
    assert offered("train --algo pp") == [f"ppo\t{registry.ALGORITHMS['ppo'].about}"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lerax train --set clip_val\tt\t", "lerax train --set clip_value_loss=true"),
        ("lerax record-video mine --policy be\t", "lerax record-video mine --policy best"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_key_completes_the_line(folder: Path, shell: str, typed: str, expected: str):
    """In a terminal, with the script as it is installed: no blank behind the equals sign."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i")}[shell]
    fpath = f"fpath=({FOLDER} $fpath); autoload -U compinit; compinit -D -u"
    load = {"bash": f"source {FOLDER}/lerax.bash", "zsh": fpath}[shell]
    command = ("--ctty", shell, *options)
    with terminal.Terminal(*command, cwd=folder, size=(80, 24), program="setsid", PATH=PATH) as shown:
        shown.type(f"exec >/dev/tty; {load}; PS1='ready> '; clear\n")
        shown.wait_for(lambda: shown.text().startswith("ready>"))
        parts = typed.split("\t")[:-1]
        for number, keys in enumerate(parts):
            shown.type(f"{keys}\t")
            sought = expected if number == len(parts) - 1 else "="
            shown.wait_for(lambda sought=sought: sought in shown.text())
        assert shown.text().strip() == f"ready> {expected}"


@pytest.mark.parametrize(("shell", "name"), [("zsh", "_lerax"), ("fish", "lerax.fish")])
def test_other_shells_accept_their_script(shell: str, name: str):
    """Read without running: the shell finds no mistake in it."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", FOLDER / name], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_jax_is_not_imported_to_complete(folder: Path):
    """A key press is answered at once: settings come from a table."""
    program = "import sys; from lerax_cli.app import run; run([]); print({'jax', 'numpy'} & {*sys.modules})"
    for line in ("lerax train --set num_s", "lerax record-video mine --policy b"):
        asked = {"_LERAX_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        done = terminal.finish(
            [sys.executable, "-c", program], folder, asked | {"_TYPER_COMPLETE_ARGS": line}
        )
        assert done.stdout.splitlines()[-1] == "set()" and len(done.stdout.splitlines()) == 2
