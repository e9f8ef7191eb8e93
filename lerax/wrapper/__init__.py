"""Wrappers: environments around environments."""

from .action import ClipAction as ClipAction
from .action import RescaleAction as RescaleAction
from .base_wrapper import AbstractWrapper as AbstractWrapper
from .reward import ScaleReward as ScaleReward
from .time_limit import TimeLimit as TimeLimit
from .time_limit import TimeLimitState as TimeLimitState
