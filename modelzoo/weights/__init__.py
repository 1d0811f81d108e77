"""Where trained weights come from, how their files are read, and how they reach a model."""

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.mapping import assign_weights
from modelzoo.weights.sources import check, locate, state
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel, depthwise_kernel, read_torch_state

__all__ = [
    "WeightsError",
    "assign_weights",
    "check",
    "convolution_kernel",
    "dense_kernel",
    "depthwise_kernel",
    "locate",
    "read_torch_state",
    "state",
]
