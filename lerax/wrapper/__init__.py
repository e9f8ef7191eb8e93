"""Wrappers: environments around environments."""

from .action import ClipAction as ClipAction
from .action import RescaleAction as RescaleAction
from .action import TransformAction as TransformAction
from .base_wrapper import AbstractWrapper as AbstractWrapper
from .base_wrapper import AbstractWrapperState as AbstractWrapperState
from .frames import FrameStack as FrameStack
from .frames import FrameStackState as FrameStackState
from .identity import Identity as Identity
from .observation import ClipObservation as ClipObservation
from .observation import FlattenObservation as FlattenObservation
from .observation import RescaleObservation as RescaleObservation
from .observation import TransformObservation as TransformObservation
from .repeat import ActionRepeat as ActionRepeat
from .repeat import ActionRepeatState as ActionRepeatState
from .repeat import StickyActions as StickyActions
from .repeat import StickyActionsState as StickyActionsState
from .reward import ClipReward as ClipReward
from .reward import ScaleReward as ScaleReward
from .reward import TransformReward as TransformReward
from .time_limit import TimeLimit as TimeLimit
from .time_limit import TimeLimitState as TimeLimitState
