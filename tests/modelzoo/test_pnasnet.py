"""PNASNet-5: equal to TF-slim's and timm's on random weights, and readable from what they published."""

import math

import numpy as np
import pytest
import tensorflow as tf

from modelzoo.architectures import pnasnet
from modelzoo.registry import load
from modelzoo.weights.errors import WeightsError
from modelzoo.weights.mapping import assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference

MOBILE = {"filters": 54, "cells": 9, "stem": 32}
SMALL = {"filters": 8, "cells": 3, "stem": 4}


def damped(tensors):
    """Halve the pointwise kernels: two convolutions in a row without a ReLU between them would let values grow."""
    halves = ("pointwise_weights", "pointwise_conv2d.weight")
    return {name: array * np.float32(0.5) if name.endswith(halves) else array for name, array in tensors.items()}


def slim_checkpoint(path, tensors):
    names = list(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
    return path


@pytest.fixture(scope="module")
def slim():
    """What TF-slim's pnasnet_mobile gave for two pictures of 224 px: 933 variables, 1001 logits."""
    scores = read_scores("pnasnet_mobile_slim")
    return scores._replace(tensors=damped(scores.tensors))


@pytest.fixture(scope="module")
def mobile():
    return load("PnasnetMobile", weights=None)


@pytest.fixture(scope="module")
def small():
    return pnasnet.build(**SMALL, input_shape=(64, 64, 3), classes=1001)


def test_mobile_gives_the_logits_of_tf_slim(slim, mobile):
    arrays = pnasnet.from_tf_checkpoint(slim.tensors, **MOBILE)
    assert len(arrays) == len(slim.tensors) == 933
    assign_weights(mobile.model, arrays, origin="fixture")
    [logits] = mobile.graph.evaluate({0: tf.constant(slim.pictures)}, [mobile.graph["logits"]])
    assert logits.shape == (2, 1001)
    assert relative_difference(np.asarray(logits), slim.logits) < 1e-5


@pytest.mark.slow
def test_large_gives_the_logits_of_timm_and_never_says_background():
    large = load("PnasnetLarge", weights=None)
    assert sum(math.prod(w.shape) for w in large.model.trainable_weights) == 86_061_989 == large.card.parameters
    assert [large.graph[name].shape[1:] for name in large.landmarks] == [
        (165, 165, 96),
        (83, 83, 270),
        (42, 42, 540),
        *[(42, 42, 1080)] * 4,
        *[(21, 21, 2160)] * 4,
        *[(11, 11, 4320)] * 4,
    ]
    scores = read_scores("pnasnet_large_timm")
    assign_weights(large.model, pnasnet.from_torch(damped(scores.tensors)), origin="fixture")
    wanted = [large.graph["logits"], large.graph["probabilities"]]
    logits, probabilities = map(np.asarray, large.graph.evaluate({0: tf.constant(scores.pictures)}, wanted))
    assert relative_difference(logits[:, 1:], scores.logits) < 1e-5
    assert (logits[:, 0] == -100).all()
    assert (probabilities[:, 0] == 0).all()


def test_mobile_has_the_published_number_of_parameters(mobile):
    assert sum(math.prod(w.shape) for w in mobile.model.trainable_weights) == 5_065_568 == mobile.card.parameters


def test_cells_have_the_widths_and_sizes_of_the_paper(mobile):
    shapes = [mobile.graph[name].shape[1:] for name in mobile.landmarks]
    assert shapes == [
        (111, 111, 32),
        (56, 56, 65),
        (28, 28, 135),
        *[(28, 28, 270)] * 3,
        *[(14, 14, 540)] * 3,
        *[(7, 7, 1080)] * 3,
    ]
    strides = [mobile.layers[name].stride_px for name in mobile.landmarks]
    assert strides == [(2, 2), (4, 4), *[(8, 8)] * 4, *[(16, 16)] * 3, *[(32, 32)] * 3]


def test_any_picture_size_goes_through_odd_or_even():
    model = pnasnet.build(**SMALL, input_shape=(None, None, 3), classes=5)
    for size in (64, 75, 96, 97):
        assert model(np.zeros((1, size, size + 8, 3), np.float32)).shape == (1, 5)


def test_a_checkpoint_straight_from_training_is_read_and_its_shadows_are_not(tmp_path, slim):
    shadows = {
        f"{name}/{kind}": np.zeros_like(slim.tensors[name])
        for name in ("conv0/weights", "cell_5/prev_bn/gamma", "final_layer/FC/biases")
        for kind in ("ExponentialMovingAverage", "RMSProp", "RMSProp_1")
    }
    rest = {
        "global_step": np.int64(1_300_000),
        "aux_5/aux_logits/proj/weights": np.zeros((1, 1, 540, 128), np.float32),
        "aux_5/aux_logits/aux_bn0/gamma": np.ones(128, np.float32),
    }
    path = slim_checkpoint(tmp_path / "model.ckpt", slim.tensors | shadows | rest)
    network = load("PnasnetMobile", weights=path)
    [logits] = network.graph.evaluate({0: tf.constant(slim.pictures[:1])}, [network.graph["logits"]])
    assert relative_difference(np.asarray(logits), slim.logits[:1]) < 1e-5


def test_a_checkpoint_of_another_width_is_refused_with_both_shapes(small):
    tensors = {"conv0/weights": np.zeros((3, 3, 3, 32), np.float32), "cell_0/1x1/weights": np.zeros((1, 1, 135, 54))}
    with pytest.raises(WeightsError, match=r"conv0/kernel \(3, 3, 3, 32\), expected \(3, 3, 3, 4\)"):
        assign_weights(small, pnasnet.from_tf_checkpoint(tensors, **SMALL), origin="mobile.ckpt")


def test_names_of_a_deeper_network_keep_their_own_name_and_are_reported(small):
    tensors = {"cell_11/1x1/weights": np.zeros((1, 1, 8, 8), np.float32)}
    assert list(pnasnet.from_tf_checkpoint(tensors, **SMALL)) == ["cell_11/1x1/weights"]
    foreign = {"cell_11.conv_1x1.conv.weight": np.zeros((8, 8, 1, 1), np.float32)}
    renamed = pnasnet.from_torch(foreign, **SMALL)
    with pytest.raises(WeightsError, match=r"cell_11.conv_1x1.conv.weight"):
        assign_weights(small, renamed, origin="large.safetensors")


def test_torch_arrays_are_turned_and_counters_left_out():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    depthwise = rng.standard_normal((2, 1, 5, 5)).astype(np.float32)
    head = rng.standard_normal((1001, 32)).astype(np.float32)
    renamed = pnasnet.from_torch(
        {
            "conv_0.conv.weight": first,
            "conv_0.bn.num_batches_tracked": np.int64(7),
            "cell_0.comb_iter_0_left.separable_2.depthwise_conv2d.weight": depthwise,
            "last_linear.weight": head,
        },
        **SMALL,
    )
    assert list(renamed) == [
        "conv0/kernel",
        "cell_0_comb_iter_0_left_separable_5x5_2/depthwise_kernel",
        "logits/kernel",
    ]
    assert renamed["conv0/kernel"][0, 1, 2, 3] == first[3, 2, 0, 1]
    assert renamed["cell_0_comb_iter_0_left_separable_5x5_2/depthwise_kernel"][3, 4, 1, 0] == depthwise[1, 0, 3, 4]
    assert np.array_equal(renamed["logits/kernel"], head.T)


def test_a_thousand_outputs_get_their_background_back():
    head = {"last_linear.weight": np.ones((1000, 32), np.float32), "last_linear.bias": np.ones(1000, np.float32)}
    renamed = pnasnet.from_torch(head, **SMALL)
    assert renamed["logits/kernel"].shape == (32, 1001)
    assert (renamed["logits/bias"][0], renamed["logits/bias"][1]) == (-100.0, 1.0)
    assert not renamed["logits/kernel"][:, 0].any()


def test_two_cells_cannot_reduce_twice():
    with pytest.raises(ValueError, match="cells is 2; expected 3 or more"):
        pnasnet.build(filters=8, cells=2, stem=4)
