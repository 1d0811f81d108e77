"""Sound networks with their real weights: what they say of real sounds, and what reaches the spectrogram."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import diamond as dc
from modelzoo.architectures import yamnet
from modelzoo.graph import GraphError
from modelzoo.inputs.sounds import Sound, SoundError
from modelzoo.registry import packaged_cards
from modelzoo.weights import WeightsError

FILES = {"Yamnet256_esc10": "yamnet_256_64x96_esc10.h5", "MiniResnet_esc10": "miniresnet_1stacks_64x50_esc10.h5"}


@pytest.fixture(scope="module", params=FILES)
def net(request, shared_data):
    return dc.load(request.param, weights=shared_data / "weights" / FILES[request.param])


@pytest.fixture(scope="module")
def clips(shared_data):
    """Four clips of each class: by name the second of the twelve, and every third after it.

    The provenance states 38 and 39 of 40 and names no clips; of the three ways to take every third, this one gives both.
    """
    folders = sorted(path for path in (shared_data / "esc10").iterdir() if path.is_dir())
    return [(clip, index) for index, folder in enumerate(folders) for clip in sorted(folder.glob("*.ogg"))[1::3]]


def test_the_real_networks_answer_as_their_provenance_says(net, clips):
    paths, expected = [path for path, _ in clips], [index for _, index in clips]
    found = net.predict(paths, top=1)
    stated = {"Yamnet256_esc10": 38, "MiniResnet_esc10": 39}[net.name]
    assert (int((found.classes[:, 0] == expected).sum()), len(paths)) == (stated, 40)
    assert found.images[0] == paths[0].name


@pytest.mark.slow
def test_on_all_clips_they_answer_as_often(net, shared_data):
    folders = sorted(path for path in (shared_data / "esc10").iterdir() if path.is_dir())
    right = sum(
        int((net.predict(sorted(folder.glob("*.ogg")), top=1).classes[:, 0] == index).sum())
        for index, folder in enumerate(folders)
    )
    assert right == {"Yamnet256_esc10": 117, "MiniResnet_esc10": 114}[net.name]


def test_a_sound_is_answered_by_the_mean_over_its_patches(net, clips):
    path = clips[0][0]
    found, patches = net.predict(path, top=10), net.read(path)
    assert found.labels[0][0] == "chainsaw"
    each = net.predict(patches, top=10)
    assert len(each.classes) == len(patches) > 1
    np.testing.assert_allclose(found.logits[0], each.logits.mean(axis=0), rtol=1e-5, atol=1e-5)
    by_class = np.take_along_axis(each.probabilities, np.argsort(each.classes, axis=1), axis=1)
    np.testing.assert_allclose(found.probabilities[0], by_class.mean(axis=0)[found.classes[0]], rtol=1e-4, atol=1e-6)
    assert net.activations(path, net.landmarks[0]).shape[0] == len(patches)


def test_a_clip_in_memory_is_heard_as_the_file(net, clips):
    path = clips[16][0]
    sound = dc.load_sound(path)
    answers = [
        net.predict(source, top=1).logits for source in (path, str(path), sound, (sound.samples, sound.sr), [sound])
    ]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
    assert net.predict([sound, sound]).images == ("sound 0", "sound 1")


def test_the_network_built_here_is_the_one_in_the_file(net, shared_data, clips):
    spec = replace(net.input, audio=replace(net.input.audio, time_first=False))
    in_file = dc.load(shared_data / "weights" / FILES[net.name], input=spec)
    patches = net.read([path for path, _ in clips[::8]])
    np.testing.assert_allclose(in_file.predict(patches).logits, net.predict(patches).logits, rtol=1e-5, atol=1e-5)
    assert in_file.predict(clips[0][0], top=1).labels == (("0",),)


def test_a_gradient_reaches_the_spectrogram_place_by_place(net):
    values = tf.constant(np.random.default_rng(0).normal(-4, 2, (1, 64, net.input.width, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(values)
        [activations] = net.forward(values, [net.node(net.landmarks[0])])
        # In the network's own axes this is the place of a low band, late.
        late, low = (-2, 1) if net.input.audio.time_first else (1, -2)
        score = tf.reduce_sum(activations[0, late, low])
    gradient = np.asarray(tape.gradient(score, values))[0, :, :, 0]
    bands, frames = np.nonzero(gradient)
    assert np.isfinite(gradient).all()
    assert len(bands) > 0
    assert bands.max() < 10
    assert frames.min() > net.input.width - 12


def test_classes_have_their_names_in_alphabetical_order(net):
    assert [net.class_label(i) for i in (0, 1, 9)] == ["chainsaw", "clock tick", "sneezing"]
    assert net.class_index("crying_baby") == 3


def test_a_network_says_what_it_takes(net):
    bands, frames, values = {
        "Yamnet256_esc10": ("125 to 7500", "96 frames (0.96 s)", "-9.21034 to 5.5"),
        "MiniResnet_esc10": ("20 to 7500", "50 frames (1 s)", "-80 to 0"),
    }[net.name]
    assert f"64 mel bands from {bands} Hz x {frames} of sound at 16000 Hz, values {values}" in repr(net)
    row = dc.models().loc[net.name]
    assert (row["order"], row["weights"]) == ("mel", "none")


@pytest.mark.parametrize("name", FILES)
def test_without_weights_the_network_is_random_and_says_where_to_get_them(name):
    net = dc.load(name, weights=None)
    assert sum(int(np.prod(w.shape)) for w in net.model.trainable_weights) == net.card.parameters
    assert net.predict(Sound(np.zeros(16000, np.float32), 16000)).probabilities.shape == (1, 5)
    with pytest.raises(WeightsError, match=rf"load\('{name}', weights=PATH\)"):
        dc.load(name)


def test_weights_of_another_network_are_refused(shared_data):
    with pytest.raises(WeightsError, match="Yamnet256_esc10|yamnet256_esc10"):
        dc.load("Yamnet256_esc10", weights=shared_data / "weights" / FILES["MiniResnet_esc10"])


def test_a_picture_network_hears_nothing_and_a_sound_network_sees_nothing():
    net = dc.load("Yamnet256_esc10", weights=None)
    with pytest.raises(SoundError, match=r"an array of shape \(224, 224, 3\); expected a path, load_sound"):
        net.predict(np.zeros((224, 224, 3)))
    pictures = dc.load("EfficientNetLite0", weights=None)
    with pytest.raises(SoundError, match="EfficientNetLite0 takes pictures, its card has no audio frontend"):
        pictures.patches(Sound(np.zeros(16000, np.float32), 16000))


def test_axes_the_wrong_way_round_are_found_when_loading():
    card = packaged_cards()["Yamnet256_esc10"]
    model = yamnet.build(**card.options, input_shape=(96, 64, 1), classes=10)
    spec = replace(card.input, audio=replace(card.input.audio, time_first=False))
    with pytest.raises(GraphError, match=r"takes \(96, 64, 1\); expected \(64, 96, 1\).*time_first says the opposite"):
        dc.load(model, input=spec)


def test_all_fourteen_layers_have_as_many_weights_as_published():
    # "YAMNet ... uses 3.7M weights".
    model = yamnet.build(classes=521)
    assert round(model.count_params() / 1e6, 2) == 3.75
    with pytest.raises(ValueError, match="blocks is 15; expected 1 to 14"):
        yamnet.build(blocks=15)


def test_the_whole_yamnet_names_its_weights_as_its_file_does_and_hears_several_things_at_once():
    net = dc.load("YAMNet", weights=None)
    assert net.model.count_params() == 3_751_369
    file_names = {f"layer14/pointwise_conv/bn/{field}": np.zeros(1) for field in ("beta", "moving_mean")}
    found = yamnet.from_keras({**file_names, "logits/kernel": np.zeros(1), "layer1/conv/kernel": np.zeros(1)})
    assert list(found) == [
        "layer14.pointwise_conv.bn/beta", "layer14.pointwise_conv.bn/moving_mean", "logits/kernel", "layer1.conv/kernel"
    ]  # fmt: skip
    assert set(found) <= {f"{layer.name}/{v.name}" for layer in net.model.layers for v in layer.weights}
    assert net.class_label(0) == "Speech"
    answer = net.predict(np.zeros((1, 64, 96, 1), np.float32), top=521)
    assert answer.probabilities.sum() > 2
