"""Gymnasium's environments here, and ours there: other names of what `lerax.env` and `lerax.space` have."""

from lerax.env.gymnasium import from_gymnasium as from_gymnasium
from lerax.env.gymnasium import to_gymnasium as to_gymnasium
from lerax.space import from_gymnasium as gym_space_to_lerax_space
from lerax.space import to_gymnasium as lerax_to_gym_space

GymToLeraxEnv = from_gymnasium
LeraxToGymEnv = to_gymnasium

__all__ = ["GymToLeraxEnv", "LeraxToGymEnv", "gym_space_to_lerax_space", "lerax_to_gym_space"]
