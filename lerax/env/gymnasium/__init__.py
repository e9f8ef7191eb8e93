"""Our environments in Gymnasium's form. Gymnasium itself is imported where that is asked for."""

from .door import to_gymnasium as to_gymnasium
from .door import to_gymnasium_vector as to_gymnasium_vector
