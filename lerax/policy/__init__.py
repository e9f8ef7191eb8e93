"""Policies: what acts."""

from .actor_critic import AbstractActorCriticPolicy as AbstractActorCriticPolicy
from .actor_critic import AbstractMLPActorCriticPolicy as AbstractMLPActorCriticPolicy
from .actor_critic import MLPActorCriticPolicy as MLPActorCriticPolicy
from .base_policy import AbstractPolicy as AbstractPolicy
from .base_policy import AbstractPolicyState as AbstractPolicyState
from .box import AbstractBoxPolicy as AbstractBoxPolicy
from .categorical import MLPCategoricalPolicy as MLPCategoricalPolicy
from .categorical import MLPDiscreteSACPolicy as MLPDiscreteSACPolicy
from .deterministic import MLPDeterministicPolicy as MLPDeterministicPolicy
from .discrete import AbstractDiscretePolicy as AbstractDiscretePolicy
from .gru import GRUActorCriticPolicy as GRUActorCriticPolicy
from .mlp import AbstractMLPPolicy as AbstractMLPPolicy
from .q import MLPPQNPolicy as MLPPQNPolicy
from .q import MLPQPolicy as MLPQPolicy
from .random import RandomPolicy as RandomPolicy
from .squashed_gaussian import AbstractSquashedGaussianPolicy as AbstractSquashedGaussianPolicy
from .squashed_gaussian import MLPCrossQPolicy as MLPCrossQPolicy
from .squashed_gaussian import MLPSACPolicy as MLPSACPolicy
from .squashed_gaussian import MLPSquashedGaussianPolicy as MLPSquashedGaussianPolicy
