"""Algorithms that learn from fresh rollouts only."""

from .base import AbstractOnPolicyAlgorithm as AbstractOnPolicyAlgorithm
from .base import OnPolicyLearner as OnPolicyLearner
from .batch import Batch as Batch
from .ppo import PPO as PPO
