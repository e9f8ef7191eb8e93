"""Spaces of actions and observations."""

from .base_space import AbstractSpace as AbstractSpace
from .box import Box as Box
from .composite import AbstractComposite as AbstractComposite
from .composite import Dict as Dict
from .composite import Tuple as Tuple
from .discrete import Discrete as Discrete
from .gymnasium import from_gymnasium as from_gymnasium
from .gymnasium import to_gymnasium as to_gymnasium
from .integers import AbstractIntegers as AbstractIntegers
from .multi import MultiBinary as MultiBinary
from .multi import MultiDiscrete as MultiDiscrete
