"""Environments that are ordinary objects outside of JAX: made, stepped and drawn. Never imports JAX."""

from .faults import EpisodesLostError as EpisodesLostError
from .faults import HostedEnvError as HostedEnvError
