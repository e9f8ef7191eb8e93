"""Callbacks: what watches and steers training, and the logging backends beside them."""

from lerax.backend import AbstractLoggingBackend as AbstractLoggingBackend
from lerax.backend import BackendError as BackendError
from lerax.backend import ConsoleBackend as ConsoleBackend
from lerax.backend import CSVBackend as CSVBackend
from lerax.backend import JSONLBackend as JSONLBackend
from lerax.backend import MemoryBackend as MemoryBackend
from lerax.backend import TensorBoardBackend as TensorBoardBackend
from lerax.backend import VideoBackend as VideoBackend
from lerax.backend import WandbBackend as WandbBackend

from .base_callback import AbstractCallback as AbstractCallback
from .base_callback import AbstractCallbackState as AbstractCallbackState
from .base_callback import AbstractCallbackStepState as AbstractCallbackStepState
from .base_callback import EmptyCallbackState as EmptyCallbackState
from .base_callback import EmptyCallbackStepState as EmptyCallbackStepState
from .base_callback import IterationContext as IterationContext
from .base_callback import ResetContext as ResetContext
from .base_callback import StepContext as StepContext
from .base_callback import TrainingContext as TrainingContext
from .callback_list import CallbackList as CallbackList
from .empty import EmptyCallback as EmptyCallback
from .evaluation import EvalCallback as EvalCallback
from .logging import LoggingCallback as LoggingCallback
from .outbox import emit as emit
from .outbox import register as register
from .outbox import unregister as unregister
from .progress_bar import ProgressBarCallback as ProgressBarCallback
from .stop import StopOnInterrupt as StopOnInterrupt
from .stop import StopOnNonFinite as StopOnNonFinite
from .stop import StopOnRequest as StopOnRequest
from .stop import StopOnReturn as StopOnReturn
from .tensorboard import JITSummaryWriter as JITSummaryWriter
from .tensorboard import TensorBoardCallback as TensorBoardCallback
from .tensorboard import TensorBoardCallbackStepState as TensorBoardCallbackStepState
from .tensorboard import callback_with_numpy_wrapper as callback_with_numpy_wrapper
from .video_recorder import VideoCounts as VideoCounts
