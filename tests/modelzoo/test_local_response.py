"""Local response normalisation: numbers by hand, and the three conventions of writing them."""

import keras
import numpy as np
import pytest

from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.geometry import propagate
from modelzoo.graph import read_graph


def test_a_channel_is_divided_by_the_energy_of_its_neighbours():
    x = np.array([1, 2, 3, 4], np.float32).reshape(1, 1, 1, 4)
    found = LocalResponseNormalization(1, alpha=0.5, beta=1.0, bias=2.0)(x)
    # 1 / (2 + (1 + 4) / 2), 2 / (2 + (1 + 4 + 9) / 2), 3 / (2 + (4 + 9 + 16) / 2), 4 / (2 + (9 + 16) / 2)
    np.testing.assert_allclose(np.ravel(found), [1 / 4.5, 2 / 9, 3 / 16.5, 4 / 14.5], rtol=1e-6)


def test_caffes_five_channels_and_1e_4_are_a_radius_of_2_and_2e_5():
    x = 100 * np.random.default_rng(0).standard_normal((2, 3, 3, 9)).astype(np.float32)
    found = LocalResponseNormalization(2, alpha=1e-4 / 5, beta=0.75)(x)
    energy = np.stack([(x[..., max(0, c - 2) : c + 3] ** 2).sum(-1) for c in range(9)], axis=-1)
    np.testing.assert_allclose(found, x / (1 + 1e-4 / 5 * energy) ** 0.75, rtol=1e-5)


def test_it_works_on_each_place_and_survives_a_file(tmp_path):
    image = keras.Input((8, 8, 4), name="image")
    x = keras.layers.Conv2D(6, 3, name="conv")(image)
    model = keras.Model(image, LocalResponseNormalization(2, alpha=1e-4, beta=0.5, bias=2.0, name="norm")(x))
    graph = read_graph(model)
    assert propagate(graph)[graph["norm"].index].receptive_field_px == (3.0, 3.0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    norm = again.get_layer("norm")
    assert (norm.depth_radius, norm.alpha, norm.beta, norm.bias) == (2, 1e-4, 0.5, 2.0)
    pictures = np.random.default_rng(0).random((1, 8, 8, 4), dtype=np.float32)
    np.testing.assert_array_equal(again(pictures), model(pictures))


@pytest.mark.parametrize(("radius", "bias", "words"), [(-1, 1.0, "depth_radius is -1"), (2, 0.0, "bias is 0.0")])
def test_numbers_that_give_none_are_refused(radius, bias, words):
    with pytest.raises(ValueError, match=words):
        LocalResponseNormalization(radius, alpha=1.0, beta=0.5, bias=bias)
