"""Policies: what acts."""

from .actor_critic import AbstractActorCriticPolicy as AbstractActorCriticPolicy
from .actor_critic import MLPActorCriticPolicy as MLPActorCriticPolicy
from .base_policy import AbstractPolicy as AbstractPolicy
from .random import RandomPolicy as RandomPolicy
