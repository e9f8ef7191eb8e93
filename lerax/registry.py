"""What there is by name. Nothing is imported before it is asked for."""

import subprocess
import tomllib
from importlib import resources
from importlib.util import find_spec
from typing import Any

from lerax.names import Entry, Kind
from lerax.processes import python

PLUGIN_SECONDS = 30.0  # that the import of one may take where it is only tried


def _entries(*rows: tuple[str, ...]) -> dict[str, Entry]:
    return {row[0]: Entry(*row) for row in rows}


ENVS = _entries(
    ("CartPole-v1", "lerax.env.classic_control:CartPole", "Balance a pole on a cart; 500 steps at most."),
    (
        "MountainCar-v0",
        "lerax.env.classic_control:MountainCar",
        "Swing a weak car up a hill; 200 steps at most.",
    ),
    (
        "MountainCarContinuous-v0",
        "lerax.env.classic_control:ContinuousMountainCar",
        "Swing a car up a hill with little force; 999 steps at most.",
    ),
    ("Pendulum-v1", "lerax.env.classic_control:Pendulum", "Swing a rod up and hold it there; 200 steps."),
    (
        "Acrobot-v1",
        "lerax.env.classic_control:Acrobot",
        "Swing two links above a line; 500 steps at most.",
    ),
    ("Ant-v5", "lerax.env.mujoco:Ant", "Run on four legs; 1,000 steps at most."),
    ("HalfCheetah-v5", "lerax.env.mujoco:HalfCheetah", "Run on two legs in a plane; 1,000 steps."),
    ("Hopper-v5", "lerax.env.mujoco:Hopper", "Hop on one leg in a plane; 1,000 steps at most."),
    ("Humanoid-v5", "lerax.env.mujoco:Humanoid", "Walk like a human; 1,000 steps at most."),
    ("HumanoidStandup-v5", "lerax.env.mujoco:HumanoidStandup", "Stand up from the ground; 1,000 steps."),
    (
        "InvertedDoublePendulum-v5",
        "lerax.env.mujoco:InvertedDoublePendulum",
        "Balance two poles on a cart; 1,000 steps at most.",
    ),
    (
        "InvertedPendulum-v5",
        "lerax.env.mujoco:InvertedPendulum",
        "Balance a pole on a cart; 1,000 steps at most.",
    ),
    ("Pusher-v5", "lerax.env.mujoco:Pusher", "Push an object to its goal; 100 steps."),
    ("Reacher-v5", "lerax.env.mujoco:Reacher", "Reach a target with an arm of two links; 50 steps."),
    ("Swimmer-v5", "lerax.env.mujoco:Swimmer", "Swim with three links; 1,000 steps."),
    ("Walker2d-v5", "lerax.env.mujoco:Walker2d", "Walk on two legs in a plane; 1,000 steps at most."),
)
ALGORITHMS = _entries(
    (
        "ppo",
        "lerax.algorithm:PPO",
        "Proximal policy optimization; discrete, binary and box actions.",
        "",
        "",
        "MLPActorCriticPolicy",
    ),
    (
        "a2c",
        "lerax.algorithm:A2C",
        "Advantage actor-critic; discrete, binary and box actions.",
        "",
        "",
        "MLPActorCriticPolicy",
    ),
    (
        "reinforce",
        "lerax.algorithm:REINFORCE",
        "Policy gradient of whole returns; discrete, binary and box actions.",
        "",
        "",
        "MLPActorCriticPolicy",
    ),
    (
        "pqn",
        "lerax.algorithm:PQN",
        "Q-learning without a replay memory, many environments wide; discrete actions.",
        "",
        "",
        "MLPPQNPolicy",
    ),
    ("dqn", "lerax.algorithm:DQN", "Deep Q-learning, double; discrete actions.", "", "", "MLPQPolicy"),
    (
        "ddpg",
        "lerax.algorithm:DDPG",
        "Deep deterministic policy gradients; bounded box actions.",
        "",
        "",
        "MLPDeterministicPolicy",
    ),
    (
        "td3",
        "lerax.algorithm:TD3",
        "Twin delayed deterministic policy gradients; bounded box actions.",
        "",
        "",
        "MLPDeterministicPolicy",
    ),
    (
        "sac",
        "lerax.algorithm:SAC",
        "Soft actor-critic; bounded box actions.",
        "",
        "",
        "MLPSquashedGaussianPolicy",
    ),
    (
        "sac-discrete",
        "lerax.algorithm:DiscreteSAC",
        "Soft actor-critic; discrete actions.",
        "",
        "",
        "MLPCategoricalPolicy",
    ),
    (
        "crossq",
        "lerax.algorithm:CrossQ",
        "Soft actor-critic with batch renormalisation, without targets; bounded box actions.",
        "",
        "",
        "MLPCrossQPolicy",
    ),
)
POLICIES = _entries(
    (
        "MLPActorCriticPolicy",
        "lerax.policy:MLPActorCriticPolicy",
        "Separate perceptrons for actions and value.",
    ),
    (
        "GRUActorCriticPolicy",
        "lerax.policy:GRUActorCriticPolicy",
        "The same with a memory, a gated recurrent unit: for what one observation does not show.",
        "",
        "",
        "MLPActorCriticPolicy",
    ),
    (
        "MLPQPolicy",
        "lerax.policy:MLPQPolicy",
        "A perceptron that values each discrete action.",
    ),
    ("MLPPQNPolicy", "lerax.policy:MLPPQNPolicy", "The same with layer normalisation."),
    (
        "MLPDeterministicPolicy",
        "lerax.policy:MLPDeterministicPolicy",
        "A perceptron whose output is the action in a bounded box.",
    ),
    (
        "MLPSquashedGaussianPolicy",
        "lerax.policy:MLPSquashedGaussianPolicy",
        "A Gaussian squashed into a bounded box.",
    ),
    (
        "MLPCrossQPolicy",
        "lerax.policy:MLPCrossQPolicy",
        "The same with batch renormalisation.",
    ),
    (
        "MLPCategoricalPolicy",
        "lerax.policy:MLPCategoricalPolicy",
        "A perceptron that gives probabilities of discrete actions.",
    ),
)
WRAPPERS = _entries(
    ("identity", "lerax.wrapper:Identity", "Changes nothing."),
    ("time_limit", "lerax.wrapper:TimeLimit", "Truncates episodes after so many steps."),
    (
        "clip_action",
        "lerax.wrapper:ClipAction",
        "Takes any action, and brings it to the nearest allowed one.",
    ),
    ("rescale_action", "lerax.wrapper:RescaleAction", "Stretches actions between two bounds to its own."),
    ("action_repeat", "lerax.wrapper:ActionRepeat", "Takes each action a few times, and sums the rewards."),
    ("sticky_actions", "lerax.wrapper:StickyActions", "Takes the action before once more, so often."),
    ("scale_reward", "lerax.wrapper:ScaleReward", "Multiplies rewards by a number."),
    ("clip_reward", "lerax.wrapper:ClipReward", "Brings rewards between two bounds."),
    ("clip_observation", "lerax.wrapper:ClipObservation", "Brings observed numbers between two bounds."),
    (
        "rescale_observation",
        "lerax.wrapper:RescaleObservation",
        "Brings observations from their bounds to two others.",
    ),
    ("flatten_observation", "lerax.wrapper:FlattenObservation", "Observations as one vector."),
    ("frame_stack", "lerax.wrapper:FrameStack", "The last observations as one."),
)
BACKENDS = _entries(
    (
        "tensorboard",
        "lerax.backend:TensorBoardBackend",
        "Event files for TensorBoard.",
        "RUN/events.out.tfevents.*",
        "tensorboardX",
    ),
    (
        "wandb",
        "lerax.backend:WandbBackend",
        "Weights & Biases; offline without an API key or a terminal.",
        "RUN/wandb/, and the project in W&B",
        "wandb",
    ),
    (
        "csv",
        "lerax.backend:CSVBackend",
        "A table: a row per step, a column per tag.",
        "RUN/metrics.csv",
    ),
    (
        "jsonl",
        "lerax.backend:JSONLBackend",
        "A JSON object per iteration; written without being named, too.",
        "RUN/metrics.jsonl",
    ),
    (
        "console",
        "lerax.backend:ConsoleBackend",
        "The dashboard; shown without being named, too.",
        "standard error",
        "rich",
    ),
)


DOORS = {
    "gymnasium": "lerax.env.gymnasium.theirs:task_class",
    "gymnax": "lerax.env.gymnax:task_class",
    "brax": "lerax.env.brax:task_class",
    "playground": "lerax.env.playground:task_class",
}
ENV = Kind("environment", "lerax.envs", "lerax.env:AbstractEnvLike", ENVS, DOORS)
ALGORITHM = Kind("algorithm", "lerax.algorithms", "lerax.algorithm:AbstractAlgorithm", ALGORITHMS)
POLICY = Kind("policy", "lerax.policies", "lerax.policy:AbstractPolicy", POLICIES)
WRAPPER = Kind("wrapper", "lerax.wrappers", "lerax.wrapper:AbstractWrapper", WRAPPERS)
BACKEND = Kind("backend", "lerax.backends", "lerax.backend:AbstractLoggingBackend", BACKENDS)


def load_backend(name: str) -> Any:
    """The class of a logging backend. Its constructor takes `log_dir`, the folder that holds the runs.

    Raises:
        UnknownName: There is none of that name.
        TypeError: It is no logging backend.
        Exception: Whatever the import of a plugin raises.
    """
    return BACKEND.load(BACKEND.find(name))


def obstacle(entry: Entry, kind: Kind = BACKEND) -> str | None:
    """Why something cannot be used here; None if it can.

    A plugin is imported in a process of its own, so that it breaks nothing here, whatever it does.
    """
    if not entry.source:
        missing = entry.package and find_spec(entry.package) is None
        return f"pip install {entry.package}" if missing else None
    program = (
        "import sys; from lerax.names import Entry, Kind; "
        "Kind('', *sys.argv[1:3], {}).load(Entry(*sys.argv[3:], ''))"
    )
    command, environment = python("-c", program, kind.group, kind.base, entry.name, entry.target)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"its import takes longer than {PLUGIN_SECONDS:g} s"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"its import ended Python with exit code {done.returncode}"


def presets(env: str) -> dict[str, dict[str, Any]]:
    """The tuned settings for an environment, by algorithm; empty where there are none.

    A preset has `steps`, tables of settings (`algorithm`, `policy`), the `score` that it reaches where it
    promises one, and the `seconds` that this takes on two cores of a CPU, where they were measured.
    """
    task = ENV.behind_door(env) or env  # the same task wherever it comes from
    for file in resources.files("lerax.presets").iterdir():  # looked up: a name never becomes a path
        if file.name == f"{task}.toml":
            return tomllib.loads(file.read_text("utf-8"))
    return {}
