"""Networks."""

from .encoder import AUTO as AUTO
from .encoder import ENCODERS as ENCODERS
from .encoder import Encoder as Encoder
from .encoder import filters_of as filters_of
from .initialization import INITIALIZATIONS as INITIALIZATIONS
from .initialization import Layer as Layer
from .initialization import draw as draw
from .initialization import orthogonal as orthogonal
from .mlp import ACTIVATIONS as ACTIVATIONS
from .mlp import MLP as MLP
from .network import Head as Head
from .network import Network as Network
from .network import layers_of as layers_of
from .normalization import BatchRenorm as BatchRenorm
from .normalization import LayerNorm as LayerNorm
