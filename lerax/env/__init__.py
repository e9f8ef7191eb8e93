"""Environments: pure functions of a state."""

from .base_env import AbstractEnv as AbstractEnv
from .base_env import AbstractEnvLike as AbstractEnvLike
from .base_env import AbstractEnvLikeState as AbstractEnvLikeState
from .base_env import AbstractEnvState as AbstractEnvState
from .brax import from_brax as from_brax
from .contract import EnvContractError as EnvContractError
from .gymnasium import from_gymnasium as from_gymnasium
from .gymnasium import to_gymnasium as to_gymnasium
from .gymnasium import to_gymnasium_vector as to_gymnasium_vector
from .gymnax import from_gymnax as from_gymnax
from .playground import from_playground as from_playground
from .step import Transition as Transition
from .step import advance as advance
