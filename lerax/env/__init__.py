"""Environments: pure functions of a state."""

from .base_env import AbstractEnv as AbstractEnv
from .base_env import AbstractEnvLike as AbstractEnvLike
from .base_env import AbstractEnvLikeState as AbstractEnvLikeState
from .base_env import AbstractEnvState as AbstractEnvState
from .base_env import Transition as Transition
from .base_env import advance as advance
