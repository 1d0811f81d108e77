"""VGGish: its embedding as TF-slim gives it, and its names."""

import numpy as np
import pytest

from modelzoo.architectures import vggish
from modelzoo.weights import assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


@pytest.mark.slow
def test_it_embeds_as_tf_slim_does_on_the_same_weights():
    slim = read_scores("vggish_slim")
    model = vggish.build()
    assign_weights(model, vggish.from_tf_checkpoint(slim.tensors), origin="fixture")
    found = np.asarray(model(slim.pictures[..., None]))
    assert slim.logits.shape == (2, 128)
    assert np.abs(slim.logits[0] - slim.logits[1]).max() > 1
    assert relative_difference(found, slim.logits) < 1e-5


def test_names_are_those_of_the_checkpoint():
    names = ["vggish/conv1/weights", "vggish/conv3/conv3_2/biases", "vggish/fc1/fc1_1/weights", "vggish/fc2/biases"]
    found = vggish.from_tf_checkpoint(dict.fromkeys([*names, "vggish/fc3/biases"], np.zeros(1)))
    assert list(found) == ["conv1/kernel", "conv3_2/bias", "fc1_1/kernel", "fc2/bias", "vggish/fc3/biases"]
