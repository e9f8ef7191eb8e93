"""The MuJoCo tasks, equal to Gymnasium's, and the base of a task of one's own."""

from .ant import Ant as Ant
from .base import AbstractMujocoEnv as AbstractMujocoEnv
from .base import MujocoState as MujocoState
from .base import wobble as wobble
from .data import Data as Data
from .half_cheetah import HalfCheetah as HalfCheetah
from .hopper import Hopper as Hopper
from .humanoid import Humanoid as Humanoid
from .humanoid_standup import HumanoidStandup as HumanoidStandup
from .inverted_double_pendulum import InvertedDoublePendulum as InvertedDoublePendulum
from .inverted_pendulum import InvertedPendulum as InvertedPendulum
from .pusher import Pusher as Pusher
from .reacher import Reacher as Reacher
from .swimmer import Swimmer as Swimmer
from .walker2d import Walker2d as Walker2d
