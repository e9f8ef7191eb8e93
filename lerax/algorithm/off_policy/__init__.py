"""Algorithms that learn from all that has happened."""

from .base import AbstractOffPolicyAlgorithm as AbstractOffPolicyAlgorithm
from .base import OffPolicyLearner as OffPolicyLearner
from .buffer import ReplayBuffer as ReplayBuffer
from .buffer import Transitions as Transitions
from .crossq import CrossQ as CrossQ
from .ddpg import DDPG as DDPG
from .discrete_sac import DiscreteSAC as DiscreteSAC
from .discrete_sac import SACDiscrete as SACDiscrete
from .dqn import DQN as DQN
from .networks import AbstractNetworks as AbstractNetworks
from .sac import SAC as SAC
from .td3 import TD3 as TD3
