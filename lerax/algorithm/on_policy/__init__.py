"""Algorithms that learn from fresh rollouts only."""

from .a2c import A2C as A2C
from .actor_critic import AbstractActorCriticAlgorithm as AbstractActorCriticAlgorithm
from .base import AbstractOnPolicyAlgorithm as AbstractOnPolicyAlgorithm
from .base import OnPolicyLearner as OnPolicyLearner
from .batch import Batch as Batch
from .ppo import PPO as PPO
from .pqn import PQN as PQN
from .reinforce import REINFORCE as REINFORCE
