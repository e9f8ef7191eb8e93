"""Algorithms: what learns."""

from .base_algorithm import AbstractAlgorithm as AbstractAlgorithm
from .base_algorithm import AlgorithmState as AlgorithmState
from .base_algorithm import StepState as StepState
from .on_policy import AbstractOnPolicyAlgorithm as AbstractOnPolicyAlgorithm
from .on_policy import Rollout as Rollout
from .ppo import PPO as PPO
