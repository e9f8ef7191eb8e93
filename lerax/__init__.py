"""Reinforcement learning on JAX and Equinox. Public names live in the subpackages."""

__version__ = "0.1.0"
