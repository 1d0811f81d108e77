"""Reading the exported Keras networks where Diamond Cutter is not installed."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="diamond_cutter")
class LocalResponseNormalization(keras.layers.Layer):
    """The one layer of the exported networks that Keras does not have itself."""

    def __init__(self, depth_radius, alpha, beta, bias, **arguments):
        super().__init__(**arguments)
        self.depth_radius, self.alpha, self.beta, self.bias = depth_radius, alpha, beta, bias

    def call(self, inputs):
        """Divide each channel by a power of its neighbours' energy."""
        return tf.nn.local_response_normalization(inputs, self.depth_radius, self.bias, self.alpha, self.beta)

    def compute_output_shape(self, input_shape):
        """Give the shape unchanged."""
        return input_shape


def load(folder, network):
    """Load an exported network, of pictures in [0, 1], up to its last landmark."""
    return keras.models.load_model(folder / f"{network}.keras", compile=False)
