"""Algorithms: what learns."""

from lerax.learner import AbstractLearner as AbstractLearner
from lerax.learner import Log as Log
from lerax.learner import Maybe as Maybe

from .base_algorithm import AbstractAlgorithm as AbstractAlgorithm
from .on_policy import PPO as PPO
from .on_policy import AbstractOnPolicyAlgorithm as AbstractOnPolicyAlgorithm
from .on_policy import Batch as Batch
from .on_policy import OnPolicyLearner as OnPolicyLearner
from .state import AlgorithmState as AlgorithmState
from .state import StepState as StepState
