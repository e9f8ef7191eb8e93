"""Networks."""

from .initialization import INITIALIZATIONS as INITIALIZATIONS
from .initialization import Layer as Layer
from .initialization import draw as draw
from .initialization import orthogonal as orthogonal
from .mlp import ACTIVATIONS as ACTIVATIONS
from .mlp import MLP as MLP
from .network import Network as Network
from .normalization import BatchRenorm as BatchRenorm
from .normalization import LayerNorm as LayerNorm
