"""Logging backends: plain host-side classes that never import JAX."""

from .base import AbstractLoggingBackend as AbstractLoggingBackend
from .clip import ClipSink as ClipSink
from .console import ConsoleBackend as ConsoleBackend
from .csv import CSVBackend as CSVBackend
from .dispatch import BackendError as BackendError
from .dispatch import Dispatcher as Dispatcher
from .forward import Forwarder as Forwarder
from .jsonl import JSONLBackend as JSONLBackend
from .memory import MemoryBackend as MemoryBackend
from .tensorboard import TensorBoardBackend as TensorBoardBackend
from .video import VideoBackend as VideoBackend
from .wandb import WandbBackend as WandbBackend
