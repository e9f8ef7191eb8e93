"""From names to objects: what can be set of them, classes of one's own, and those of installed packages."""

import inspect
import json
import sys
import tomllib
from pathlib import Path

import in_process
import pytest
import terminal
from test_cli_inputs import refuse
from test_plugins import install, path

from lerax import registry
from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole
from lerax.errors import SettingError
from lerax.settings import REQUIRED, setting, settings_of
from lerax_cli import declared, naming, options
from lerax_cli.report import BadInput

OWN = """
from lerax.algorithm import PPO
from lerax.env.classic_control import CartPole
from lerax.policy import MLPActorCriticPolicy
from lerax.settings import setting
from lerax.env import AbstractEnvLike
from lerax.wrapper import AbstractWrapper

class Half(AbstractWrapper):
    env: AbstractEnvLike
    part: float = setting(0.5, "What is left of a reward.")

    def outer_reward(self, reward):
        return self.part * reward

class Pole(CartPole):
    worth: float = setting(1.0, "What a step is worth.", at_least=0)
    name = "Pole"

    def reward(self, state, action, next_state, *, key=None):
        return self.worth * super().reward(state, action, next_state, key=key)

class Small(MLPActorCriticPolicy):
    name = "Small"

class Mine(PPO):
    default_policy = "own:Small"
"""
# Behind `--set` for Hopper-v5, and what the error has to say.
REFUSED = [
    ("env.helthy_reward=2", ["env.helthy_reward", "Hopper", "did you mean healthy_reward"]),
    ("env.healthy_reward=much", ["env.healthy_reward", "not a float (got 'much')"]),
    ("env.physics=warp", ["env.physics", "'warp'", "one of native, mjx"]),
    ("env.max_episode_steps=0", ["env.max_episode_steps", "at least 1", "or none"]),
    ("env.max_episode_steps=never", ["env.max_episode_steps", "not an int or none", "'never'"]),
    ("env.healthy_z_range=[2, 1]", ["env.healthy_z_range", "the lower one first"]),
    ("env.healthy_z_range=[1, nan]", ["env.healthy_z_range", "not an interval"]),
    ("env.default_camera_config=4", ["env.default_camera_config", "not a table"]),
    ("env.name=Ant-v5", ["env.name", "it is the argument ENV"]),
    ("policy.name=Other", ["policy.name", "--policy"]),
    ("algorithm.gama=0.9", ["gama", "did you mean gamma?"]),
    ("policy.activation=foo", ["policy.activation", "'foo'", "tanh"]),
    ("optimizer.eps=1", ["'optimizer'", "env, algorithm, policy"]),
]
PROGRAM = """
import sys
from lerax_cli.app import run
assert run(["train", "Hopper-v5", "--set", sys.argv[1]]) == 2
assert run(["train", "Hopper-v5", "--wrap", "frame_stack=0"]) == 2
assert run(["list-wrappers", "clip_reward"]) == 0
assert run(["list-envs", "Hopper-v5"]) == run(["list-policies", "MLPActorCriticPolicy"]) == 0
assert not {"jax", "numpy"} & {*sys.modules}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with classes of one's own."""
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def test_what_can_be_set_is_known_without_an_import():
    """The file has what the classes declare, to the type of each default."""
    assert repr(declared.ours()) == repr(declared.from_classes())
    for table, kind in declared.KINDS.items():
        for name, entry in kind.entries.items():
            taken = inspect.signature(entry.load()).parameters  # policies take all by name
            assert "settings" in taken or declared.ours()[table][name].keys() <= taken.keys(), name


@pytest.mark.parametrize("name", registry.ENVS)
def test_every_argument_of_an_environment_is_a_setting(name: str):
    cls = registry.ENVS[name].load()
    assert settings_of(cls).keys() == inspect.signature(cls).parameters.keys()
    assert all(s.help.endswith(".") and s.convert(s.default) == s.default for s in settings_of(cls).values())


def test_an_algorithm_names_its_policy_twice_alike():
    """Once where it is known without an import."""
    for entry in registry.ALGORITHMS.values():
        assert entry.policy == entry.load().default_policy and entry.policy in registry.POLICIES


def test_settings_are_listed_as_they_are_set(tmp_path: Path):
    """Valid JSON, that has no infinity; the table has what `--set` takes."""
    told = json.loads(in_process.run("list-envs", "hopper-V5", "--json", cwd=tmp_path).stdout)
    assert told["env.healthy_z_range"]["default"] == [0.7, "inf"]
    assert told["env.max_episode_steps"]["type"] == "int or none"
    assert told["env.default_camera_config"]["default"]["distance"] == 3.0
    assert told["env.physics"]["allowed"] == "one of native, mjx"
    table = in_process.run("list-envs", "Hopper-v5", cwd=tmp_path).stdout
    assert [row.split()[0] for row in table.splitlines()[1:]] == list(told) and "[0.7, inf]" in table
    policies = json.loads(in_process.run("list-policies", "--json", cwd=tmp_path).stdout)
    assert [row["name"] for row in policies] == list(registry.POLICIES)
    told = json.loads(in_process.run("list-policies", "MLPActorCriticPolicy", "--json", cwd=tmp_path).stdout)
    assert told["policy.hidden_sizes"]["default"] == [64, 64]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_setting_is_refused(tmp_path: Path, text: str, words: list[str]):
    refuse(in_process.run("train", "Hopper-v5", "--set", text, cwd=tmp_path), 2, ["--set", *words])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[env]\nname = 'Hopper-v5'\nhelthy_reward = 2\n", ["env.helthy_reward", "did you mean"]),
        ("[env]\nname = 3\n", ["env.name", "not a str (got 3)"]),
        ("[env]\nname = 'Hoper-v5'\n", ["env.name", "did you mean Hopper-v5"]),
        ("algo = 'ppo'\n[algorithm]\nname = 'ppo'\n", ["algo and algorithm.name", "one of them"]),
        ("env = 'Hopper-v5'\npolicy = 'MLP'\n", ["policy", "'MLP'", "MLPActorCriticPolicy"]),
        ("env = 'Hopper-v5'\n[env]\nhealthy_reward = 2\n", ["line 2", "name ="]),
        (
            "[algo]\nname = 'ppo'\n",
            ["algo: not a name (a str) (got [algo])", 'name = "ppo"', "below [algorithm]"],
        ),
        ("algo = 3\n", ["algo: not a name (a str) (got 3)", "below [algorithm]"]),
        ("algorithm = 'ppo'\n", ["algorithm: not a table (got 'ppo')", 'name = "ppo"', "below [algorithm]"]),
        (
            "[[env]]\nname = 'Hopper-v5'\n",
            ["env: not a name (a str) or a table (got [[env]])", "below [env]"],
        ),
        ("env = 3\n", ["env: not a name (a str) or a table (got 3)", 'name = "CartPole-v1"', "below [env]"]),
        ("policy = ['x']\n", ["policy: not a name (a str) or a table (got ['x'])", "below [policy]"]),
        (
            "env = './corridor.py:Corridor'\n",
            ["imported only if the command line", "add ENV ./corridor.py:Cor"],
        ),
        ("env = 'corridor:Corridor'\n", ["imported only if the command line names it"]),
    ],
)
def test_config_is_refused(tmp_path: Path, content: str, words: list[str]):
    (tmp_path / "own.toml").write_text(content)
    refuse(in_process.run("train", "--config", "own.toml", cwd=tmp_path), 2, ["--config", *words])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("corridor.py:", "./my_file.py:MyClass"),
        ("corridor.py:1", "./my_file.py:MyClass"),
        ("corridor:", "my_module:MyClass"),
        (":Corridor", "my_module:MyClass"),
        ("mine/corridor:Corridor", "my_module:MyClass"),
    ],
)
@pytest.mark.parametrize("option", ["ENV", "--algo", "--policy"])
def test_a_place_of_another_form_is_answered_with_the_right_one(tmp_path, option, word, said):
    words = [word] if option == "ENV" else ["CartPole-v1", option, word]
    done = in_process.run("train", *words, cwd=tmp_path)
    refuse(done, 2, [f"{option}: ", "MODULE:CLASS", f"(got {word!r}); ", said])


class Odd(CartPole):
    must: int = setting(REQUIRED, "Has no default.", kind="int", kw_only=True)
    on: bool = setting(REQUIRED, "Has none, either.", kind="bool", kw_only=True)
    few: int = setting(5, "Has one that it cannot have.", at_most=3)


def test_a_setting_without_a_default_is_asked_for_as_it_is_given():
    with pytest.raises(BadInput, match=r"no default for must, on;.* --set env.must=1 --set env.on=true$"):
        naming.resolve("env", registry.Entry("Odd", "own:Odd", ""), settings_of(Odd), {})


def test_a_default_that_cannot_be_is_the_fault_of_its_declaration():
    with pytest.raises(SettingError, match="^Odd.few: its own default is out of range .got 5.; allowed: at "):
        Odd(must=1, on=True)
    with pytest.raises(SettingError, match="^few: out of range"):
        Odd(must=1, on=True, few=4)


@pytest.mark.parametrize(
    ("settings", "config", "score"),
    [
        ({}, "", 475.0),
        ({"max_episode_steps": 200}, "", None),
        ({"max_episode_steps": 500}, "", 475.0),
        ({}, "[env]\nmax_episode_steps = 200\n", None),
        ({}, "score = 9\n[env]\nmax_episode_steps = 200\n", 9.0),
        ({"max_episode_steps": 300}, "score = 9\n[env]\nmax_episode_steps = 200\n", None),
    ],
)
def test_a_score_counts_for_the_environment_with_its_settings_alone(tmp_path, settings, config, score):
    (tmp_path / "own.toml").write_text(config)
    chosen = plan("CartPole-v1", tmp_path / "own.toml", settings=settings)
    assert chosen.score == score


def test_settings_are_refused_before_jax_is_imported(tmp_path: Path):
    program = [sys.executable, "-c", PROGRAM, "env.healthy_reward=much"]
    done = terminal.finish(program, tmp_path, {})
    assert done.returncode == 0, done.stderr
    assert "not a float" in done.stderr and "frame_stack.frames: out of range" in done.stderr


def plan(
    env: str | None, config: Path, policy: str | None = None, settings: dict[str, int] | None = None
) -> options.TrainingPlan:
    """What a run would be, with settings of the environment."""
    given = dict.fromkeys(
        ("algo", "steps", "seed", "backends", "preset", "num_envs", "nan", "video_interval")
    )
    own = [("env", name, value) for name, value in (settings or {}).items()]
    more = {"config": str(config), "settings": own, "warn": pytest.fail, "policy": policy}
    return options.plan(env, **given, **more)  # type: ignore[arg-type]


def test_settings_stay_with_what_their_table_names(tmp_path: Path):
    """Another environment has others; a table without a name is for any."""
    (tmp_path / "named.toml").write_text("[env]\nname = 'Hopper-v5'\nhealthy_reward = 2\n")
    (tmp_path / "any.toml").write_text("[env]\nhealthy_reward = 2\n")
    for config, env, wanted in (
        ("named.toml", None, {"healthy_reward": 2}),
        ("named.toml", "hopper-v5", {"healthy_reward": 2}),
        ("named.toml", "CartPole-v1", {}),
        ("any.toml", "Walker2d-v5", {"healthy_reward": 2}),
    ):
        found = plan(env, tmp_path / config)
        assert {name: given.value for name, given in found.settings["env"].items()} == wanted
    assert "normalize_observations" in found.settings["policy"]  # the preset's, for the policy of PPO
    assert plan("Walker2d-v5", tmp_path / "any.toml", policy="own:Small").settings["policy"] == {}


def test_a_run_repeats_with_its_environments_settings(tmp_path: Path):
    """And is shown in it: its policy's file says what it was, too."""
    chosen = ("--set", "env.max_episode_steps=20", "--set", "env.sutton_barto_reward=true")
    first = terminal.warm("train", *terminal.BRIEF, *chosen, "-q", "--name", "first", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    config = "logs/first/config.toml"
    resolved = tomllib.loads((tmp_path / config).read_text())
    assert resolved["env"] == {
        "name": "CartPole-v1",
        "max_episode_steps": 20,
        "sutton_barto_reward": True,
    }
    assert terminal.warm("train", "--config", config, "-q", "--name", "second", cwd=tmp_path).returncode == 0
    runs = [tmp_path / "logs" / name for name in ("first", "second")]
    assert len({(run / "config.toml").read_bytes() for run in runs}) == 1
    losses = [[record["train/loss"] for record in terminal.records(run)] for run in runs]
    assert losses[0] == losses[1]
    for shown in ("logs/first", "logs/first/policy.eqx"):
        words = ("--policy", "random") if shown == "logs/first" else ()
        done = terminal.warm(
            "record-video", shown, *words, "--json", "-o", "v.gif", "--overwrite", cwd=tmp_path
        )
        assert json.loads(done.stdout)["episodes"][0]["length"] <= 20


def test_a_model_that_is_not_there_is_refused(tmp_path: Path):
    done = terminal.warm("train", "Hopper-v5", "--set", "env.xml_file=nowhere.xml", "-q", cwd=tmp_path)
    refuse(done, 2, ["nowhere.xml", "xml_file: not found", "hopper.xml"])


def test_classes_of_ones_own(own: Path):
    """Named on the command line, found in the current directory, settable; never taken from a file."""
    names = ("own:Pole", "--algo", "own:Mine")
    brief = (*names, *terminal.BRIEF[1:], "--set", "env.worth=2", "-q", "--name", "mine")
    done = terminal.run("train", *brief, cwd=own)
    assert (done.returncode, done.stdout) == (0, "logs/mine\n"), done.stderr
    resolved = tomllib.loads((own / "logs" / "mine" / "config.toml").read_text())
    assert [resolved[table]["name"] for table in declared.TABLES] == ["own:Pole", "own:Mine", "own:Small"]
    assert resolved["env"]["worth"] == 2.0 and resolved["algorithm"].keys() == {"name", *settings_of(PPO)}

    only = "imported only if the command line names it, too"
    again = ("train", "--config", "logs/mine/config.toml")
    refuse(terminal.run(*again, cwd=own), 2, ["env.name", only, "'own:Pole'", "add ENV own:Pole"])
    refuse(terminal.run(*again, "own:Pole", cwd=own), 2, ["algorithm.name", only, "add --algo own:Mine"])
    shown = ("record-video", "logs/mine", "--steps", "3", "-o", "v.gif", "-q")
    refuse(terminal.run(*shown, cwd=own), 2, ["env", only, "add --trust own:Pole"])
    trust = ("--trust", "own:Pole", "--trust", "own:Small")
    assert terminal.run(*shown, *trust[:2], cwd=own).stderr.count("add --trust own:Small") == 1
    assert terminal.run(*shown, *trust, cwd=own).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own:Nothing"], ["ENV", "'own:Nothing'", "AttributeError"]),
        (["nowhere:Pole"], ["ENV", "'nowhere:Pole'", "ModuleNotFoundError"]),
        (["own:Small"], ["ENV", "'own:Small'", "is no lerax.env.AbstractEnvLike"]),
        (["lerax.env:AbstractEnv"], ["ENV", "is abstract; it lacks initial"]),
        (["lerax.wrapper:TimeLimit"], ["TimeLimit", "no default for max_episode_steps"]),
        (["own:Pole", "--set", "env.wort=2"], ["--set", "env.wort", "did you mean worth?"]),
        (["own:Pole", "--set", "env.worth=-2"], ["--set", "env.worth", "at least 0"]),
        (["own:Pole", "--policy", "lerax.policy:RandomPolicy"], ["--policy"]),
    ],
)
def test_classes_that_cannot_be_used_are_refused(own: Path, arguments: list[str], words: list[str]):
    refuse(terminal.run("train", *arguments, "-q", cwd=own), 2, words)
    assert not (own / "logs").exists()


def test_classes_of_packages(tmp_path: Path):
    """Entry points: listed, set and trained by name; a broken one is listed with the reason."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "own.py").write_text(OWN)
    install(site, "own", {"Pole-v0": "own:Pole", "CartPole-V1": "own:Pole"}, group="lerax.envs")
    install(site, "mine", {"mine": "own:Mine"}, group="lerax.algorithms")
    install(site, "small", {"Small": "own:Small", "Broken": "own:Pole"}, group="lerax.policies")
    install(site, "half", {"half": "own:Half"}, group="lerax.wrappers")
    run = lambda *words: terminal.forked(*words, cwd=tmp_path, PYTHONPATH=path(site))
    rows = json.loads(run("list-envs", "--json").stdout)
    assert [row["name"] for row in rows] == [*registry.ENVS, "Pole-v0"] and rows[-1]["available"]
    broken = json.loads(run("list-policies", "--json").stdout)[-1]
    assert not broken["available"] and "is no lerax.policy.AbstractPolicy" in broken["reason"]
    assert "env.worth" in run("list-envs", "pole-v0").stdout
    assert "policy.hidden_sizes" in run("list-algos", "mine").stdout
    refuse(run("train", "Pole-v1"), 2, ["ENV", "did you mean Pole-v0"])

    (tmp_path / "own.toml").write_text("[env]\nname = 'Pole-v0'\nworth = 3\n[policy]\nname = 'small'\n")
    with open(tmp_path / "own.toml", "a") as file:
        file.write("[[wrap]]\nname = 'half'\n")
    done = run("train", "--config", "own.toml", *terminal.BRIEF[1:], "-q", "--name", "mine")
    assert done.returncode == 0, done.stderr
    resolved = tomllib.loads((tmp_path / "logs" / "mine" / "config.toml").read_text())
    assert (resolved["env"]["name"], resolved["env"]["worth"]) == ("Pole-v0", 3.0)
    assert resolved["policy"]["name"] == "Small" and resolved["wrap"] == [{"name": "half", "part": 0.5}]
    evaluation = terminal.facts(tmp_path / "logs" / "mine")["evaluation"]
    assert evaluation["mean_return"] == 1.5 * evaluation["mean_length"], "half of three"
    assert run("record-video", "logs/mine", "--steps", "3", "-o", "v.gif", "-q").returncode == 0
