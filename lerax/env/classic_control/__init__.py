"""The classic control tasks, equal to Gymnasium's."""

from .acrobot import Acrobot as Acrobot
from .acrobot import AcrobotState as AcrobotState
from .cartpole import CartPole as CartPole
from .cartpole import CartPoleState as CartPoleState
from .continuous_mountain_car import ContinuousMountainCar as ContinuousMountainCar
from .mountain_car import MountainCar as MountainCar
from .mountain_car import MountainCarState as MountainCarState
from .pendulum import Pendulum as Pendulum
from .pendulum import PendulumState as PendulumState
