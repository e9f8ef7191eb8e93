"""Algorithms: what learns."""

from lerax.learner import AbstractLearner as AbstractLearner
from lerax.learner import Log as Log
from lerax.learner import Maybe as Maybe

from .base_algorithm import AbstractAlgorithm as AbstractAlgorithm
from .off_policy import DDPG as DDPG
from .off_policy import DQN as DQN
from .off_policy import SAC as SAC
from .off_policy import TD3 as TD3
from .off_policy import AbstractOffPolicyAlgorithm as AbstractOffPolicyAlgorithm
from .off_policy import CrossQ as CrossQ
from .off_policy import DiscreteSAC as DiscreteSAC
from .off_policy import OffPolicyLearner as OffPolicyLearner
from .off_policy import ReplayBuffer as ReplayBuffer
from .off_policy import SACDiscrete as SACDiscrete
from .off_policy import Transitions as Transitions
from .on_policy import A2C as A2C
from .on_policy import PPO as PPO
from .on_policy import PQN as PQN
from .on_policy import REINFORCE as REINFORCE
from .on_policy import AbstractActorCriticAlgorithm as AbstractActorCriticAlgorithm
from .on_policy import AbstractOnPolicyAlgorithm as AbstractOnPolicyAlgorithm
from .on_policy import Batch as Batch
from .on_policy import OnPolicyLearner as OnPolicyLearner
from .state import AlgorithmState as AlgorithmState
from .state import StepState as StepState
