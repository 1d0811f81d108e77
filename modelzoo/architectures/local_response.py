"""Local response normalisation: each channel divided by the energy of its neighbours.

::

    >>> layer = LocalResponseNormalization(depth_radius=2, alpha=1e-4 / 5, beta=0.75, name="norm1")
    >>> layer(np.ones((1, 4, 4, 8), np.float32)).shape.as_list()
    [1, 4, 4, 8]

The networks of 2012 to 2014 have it where later ones have batch normalisation, Keras has no layer for it, and its three
customary descriptions give three results for the same numbers. In TensorFlow's words, which are those of this layer::

    y[c] = x[c] / (bias + alpha * sum(x[c - depth_radius : c + depth_radius + 1] ** 2)) ** beta

- The paper says ``n`` channels where TensorFlow says a radius: ``n = 2 * depth_radius + 1``. Its ``k`` is the `bias`.
- Caffe's ``local_size`` is ``n`` and its ``alpha`` is divided by it: Caffe's 5 and 1e-4 are a radius of 2 and 2e-5 here.
- PyTorch divides like Caffe (``size``, ``alpha``), and its default ``k`` is 1.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 2012),
section 3.3.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["LocalResponseNormalization"]


@keras.saving.register_keras_serializable(package="diamond_cutter")
class LocalResponseNormalization(keras.layers.Layer):
    """Divide each channel by a power of the energy of the channels around it, at each place by itself.

    Takes and gives ``(batch, height, width, channel)``; there are no weights.

    Parameters
    ----------
    depth_radius
        How many channels on either side are counted; at the ends of the channel axis there are fewer.
    alpha
        Factor on the sum of squares (Caffe's and PyTorch's divided by their size).
    beta
        Exponent.
    bias
        What is added to the sum before the power; the paper's ``k``.
    **arguments
        As every Keras layer takes them: name, dtype.

    Raises
    ------
    ValueError
        For a radius below 0 and a bias that is not positive: the quotient would have no finite value at 0.
    """

    # Read by the geometry of a network: a receptive field passes unchanged.
    pointwise = True

    def __init__(self, depth_radius: int, *, alpha: float, beta: float, bias: float = 1.0, **arguments: Any) -> None:
        super().__init__(**arguments)
        if not isinstance(depth_radius, int) or depth_radius < 0:
            raise ValueError(f"depth_radius is {depth_radius!r}; expected a number of channels, 0 or more")
        if not bias > 0:
            raise ValueError(f"bias is {bias!r}; expected a number above 0, or black pictures give 0 / 0")
        self.depth_radius = depth_radius
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.bias = float(bias)

    def call(self, inputs: Any) -> Any:
        """Normalise ``(batch, height, width, channel)``."""
        return tf.nn.local_response_normalization(
            inputs, depth_radius=self.depth_radius, bias=self.bias, alpha=self.alpha, beta=self.beta
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Give the shape unchanged."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Give what makes the same layer again."""
        own = {"depth_radius": self.depth_radius, "alpha": self.alpha, "beta": self.beta, "bias": self.bias}
        return {**super().get_config(), **own}
