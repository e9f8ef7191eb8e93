"""The classic control tasks, equal to Gymnasium's."""

from .cartpole import CartPole as CartPole
from .cartpole import CartPoleState as CartPoleState
