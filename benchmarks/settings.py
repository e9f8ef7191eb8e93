"""What every contestant trains with."""

from dataclasses import dataclass

ENV = "CartPole-v1"
SOLVED = 475.0  # mean return over EVALUATION_EPISODES greedy episodes
EVALUATION_EPISODES = 100
LOGGING = ("none", "tensorboard", "full")  # full: TensorBoard, JSONL and the dashboard

FAULTS = ("none", "nothing", "raises", "hangs", "slow")  # no backend, one that does nothing, or goes wrong
SAVING = ("none", "10m", "10s")  # how often a training is saved; the second is the default
REPLAYED = ("none", "60s", "10s")  # the same with a replay memory
BALANCE = (0.05, 0.1, 1.0, 0.4)  # CartPole's pole stays up where it is pushed right if this weighs above 0
CLASSIC = ("CartPole", "Acrobot", "Pendulum", "MountainCar", "ContinuousMountainCar")
MODELS = ("ant", "half_cheetah", "hopper", "humanoid", "inverted_pendulum", "pusher_v5", "reacher", "swimmer")


TASKS = ("HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5")


@dataclass(frozen=True)
class Settings:
    """PPO with separate 64x64 tanh networks for policy and value, and a constant learning rate.

    Attributes:
        num_envs: Environments side by side.
        num_steps: Steps of each environment in one rollout.
        timesteps: Environment steps of one training, rounded up to whole rollouts.
        logging: What lerax logs, one of LOGGING; the peers log nothing.
    """

    num_envs: int = 4
    num_steps: int = 128
    timesteps: int = 500_000
    logging: str = "none"
    num_epochs: int = 4
    num_minibatches: int = 4
    hidden: tuple[int, ...] = (64, 64)
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    learning_rate: float = 2.5e-4
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    max_grad_norm: float = 0.5

    @property
    def rollout(self) -> int:
        """Environment steps in one rollout."""
        return self.num_envs * self.num_steps

    @property
    def steps(self) -> int:
        """Environment steps of a training that ends with a whole rollout."""
        return -(-self.timesteps // self.rollout) * self.rollout


# Tuned for CartPole-v1 by rl-baselines3-zoo; learning rate and clip fall linearly to 0 there.
ZOO = Settings(
    num_envs=8,
    num_steps=32,
    timesteps=100_000,
    num_epochs=20,
    num_minibatches=1,
    gamma=0.98,
    gae_lambda=0.8,
    clip=0.2,
    learning_rate=1e-3,
    entropy_coefficient=0.0,
)


# For MuJoCo's tasks: what most implementations use, but for eight environments.
CONTINUOUS = Settings(
    num_envs=8,
    num_steps=256,
    num_epochs=10,
    num_minibatches=32,
    learning_rate=3e-4,
    entropy_coefficient=0.0,
)


@dataclass(frozen=True)
class OffPolicySettings:
    """One environment, and uniform draws from a replay buffer.

    Attributes:
        algorithm: Its name.
        env: The environment.
        timesteps: Environment steps of one training; a training goes on with what the one before has learned.
        hidden: Widths of the hidden layers of all networks.
        train_frequency: Steps between updates.
        learning_starts: Random steps of the first training.
    """

    algorithm: str
    env: str = "HalfCheetah-v5"
    timesteps: int = 4_096
    hidden: tuple[int, int] = (256, 256)
    train_frequency: int = 1
    batch_size: int = 256
    buffer_size: int = 1_000_000
    learning_starts: int = 512
    learning_rate: float = 3e-4


HALF_CHEETAH = (17, 6)  # numbers of an observation and of an action
OFF_POLICY = {
    settings.algorithm: settings
    for settings in (
        OffPolicySettings(
            "DQN",
            env=ENV,
            timesteps=40_960,
            hidden=(120, 120),  # sbx takes one width for both layers
            train_frequency=4,
            batch_size=64,
            buffer_size=100_000,
        ),
        OffPolicySettings("SAC"),
        OffPolicySettings("TD3"),
        OffPolicySettings("CrossQ"),
    )
}
