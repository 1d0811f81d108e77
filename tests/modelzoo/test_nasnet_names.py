"""NASNet-A: weights under TF-slim's and timm's names find their place in ``keras.applications``' network."""

import numpy as np
import pytest
import tensorflow as tf

from modelzoo.architectures import keras_applications, nasnet_names
from modelzoo.graph import read_graph
from modelzoo.weights.mapping import assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


def damped(tensors):
    """Halve the pointwise kernels: two convolutions in a row without a ReLU between them would let values grow."""
    halves = ("pointwise_weights", "pointwise_conv2d.weight")
    return {name: array * np.float32(0.5) if name.endswith(halves) else array for name, array in tensors.items()}


def poolings_of_tf_slim(node):
    """What TF-slim has where Keras fills the border with zeros before it pools."""
    if node.address.startswith("reduction_pad_1"):
        return lambda x: x
    if node.address.startswith(("reduction_left2", "reduction_right5")):
        return lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME")
    if node.address.startswith("reduction_left3"):
        return lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME")
    return None


def poolings_of_timm(node):
    """What timm has: TF-slim's greatest values, but Keras' means, in which the border's zeros count."""
    if node.address.startswith("reduction_left3"):
        return lambda x: tf.nn.avg_pool2d(bordered(x), 3, 2, "VALID")
    return poolings_of_tf_slim(node)


def bordered(x):
    """Zeros around a picture as a pooling of 3 x 3 with stride 2 and "same" padding places them."""
    return tf.pad(x, [(0, 0), *[(x.shape[axis] % 2, 1) for axis in (1, 2)], (0, 0)])


def logits(model, pictures, replace=None):
    graph = read_graph(model)
    values = graph.evaluate({0: tf.constant(pictures)}, [graph["predictions:linear"]], replace=replace)
    return np.asarray(values[0])


def test_mobile_gives_the_logits_of_tf_slim_but_for_the_borders_of_its_poolings():
    scores = read_scores("nasnet_mobile_slim")
    assert len(scores.tensors) == 1126
    model = keras_applications.build(application="NASNetMobile", input_shape=(224, 224, 3), name="mobile")
    arrays = nasnet_names.from_tf_checkpoint(damped(scores.tensors), application="NASNetMobile")
    assign_weights(model, arrays, origin="fixture")
    expected = scores.logits[:, 1:]
    assert relative_difference(logits(model, scores.pictures, poolings_of_tf_slim), expected) < 1e-5
    assert 0.01 < relative_difference(logits(model, scores.pictures), expected) < 0.05


@pytest.mark.slow
def test_large_gives_the_logits_of_timm_but_for_the_borders_of_its_poolings():
    scores = read_scores("nasnet_large_timm")
    model = keras_applications.build(application="NASNetLarge", input_shape=(331, 331, 3), name="large")
    arrays = nasnet_names.from_torch(damped(scores.tensors), application="NASNetLarge")
    assign_weights(model, arrays, origin="fixture")
    assert relative_difference(logits(model, scores.pictures, poolings_of_timm), scores.logits) < 1e-5


def test_cells_behind_a_reduction_count_one_further_in_keras():
    kernel = np.zeros((1, 1, 8, 8), np.float32)
    cells = ("cell_3", "reduction_cell_0", "cell_4", "cell_7", "reduction_cell_1", "cell_8")
    renamed = nasnet_names.from_tf_checkpoint({f"{c}/1x1/weights": kernel for c in cells}, application="NASNetMobile")
    assert list(renamed) == [
        "normal_conv_1_3/kernel",
        "reduction_conv_1_reduce_4/kernel",
        "normal_conv_1_5/kernel",
        "normal_conv_1_8/kernel",
        "reduction_conv_1_reduce_8/kernel",
        "normal_conv_1_9/kernel",
    ]


def test_background_training_and_the_auxiliary_head_are_left_out():
    bias = np.arange(1001, dtype=np.float32)
    renamed = nasnet_names.from_tf_checkpoint(
        {
            "final_layer/FC/biases": bias,
            "final_layer/FC/biases/ExponentialMovingAverage": bias,
            "final_layer/FC/biases/RMSProp": bias,
            "aux_7/aux_logits/FC/biases": bias,
            "global_step": np.int64(1),
        },
        application="NASNetMobile",
    )
    assert list(renamed) == ["predictions/bias"]
    assert np.array_equal(renamed["predictions/bias"], bias[1:])


def test_a_cell_the_network_has_not_keeps_its_name():
    array = {"cell_12/1x1/weights": np.zeros((1, 1, 8, 8), np.float32)}
    assert list(nasnet_names.from_tf_checkpoint(array, application="NASNetMobile")) == ["cell_12/1x1/weights"]
    assert list(nasnet_names.from_tf_checkpoint(array, application="NASNetLarge")) == ["normal_conv_1_13/kernel"]


def test_only_the_two_nasnets_have_such_names():
    with pytest.raises(ValueError, match="no NASNet-A 'VGG16'; expected one of NASNetLarge, NASNetMobile"):
        nasnet_names.from_torch({}, application="VGG16")
