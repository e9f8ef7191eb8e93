"""Our environments in Gymnasium's form, and Gymnasium's in ours. It is imported where that is asked for."""

from .door import from_gymnasium as from_gymnasium
from .door import to_gymnasium as to_gymnasium
from .door import to_gymnasium_vector as to_gymnasium_vector
