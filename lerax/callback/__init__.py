"""Callbacks: what watches and steers training, and the logging backends beside them."""

from lerax.backend import AbstractLoggingBackend as AbstractLoggingBackend
from lerax.backend import BackendError as BackendError
from lerax.backend import ConsoleBackend as ConsoleBackend
from lerax.backend import JSONLBackend as JSONLBackend
from lerax.backend import MemoryBackend as MemoryBackend
from lerax.backend import TensorBoardBackend as TensorBoardBackend

from .base_callback import AbstractCallback as AbstractCallback
from .base_callback import AbstractCallbackState as AbstractCallbackState
from .base_callback import AbstractCallbackStepState as AbstractCallbackStepState
from .base_callback import EmptyCallbackState as EmptyCallbackState
from .base_callback import EmptyCallbackStepState as EmptyCallbackStepState
from .base_callback import IterationContext as IterationContext
from .base_callback import ResetContext as ResetContext
from .base_callback import StepContext as StepContext
from .base_callback import TrainingContext as TrainingContext
from .empty import EmptyCallback as EmptyCallback
from .list import CallbackList as CallbackList
from .logging import LoggingCallback as LoggingCallback
from .outbox import emit as emit
from .outbox import register as register
from .outbox import unregister as unregister
from .stop import StopOnNonFinite as StopOnNonFinite
