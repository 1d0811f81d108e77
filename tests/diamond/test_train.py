"""Training: what learns and what does not, what is kept, and how it goes on after an interruption."""

import json

import keras
import numpy as np
import pytest

import diamond as dc
from diamond.transfer.augment import augmented, augmented_sounds
from diamond.transfer.blocks import blocks, unfreeze
from diamond.transfer.feed import dataset, hold, split
from diamond.transfer.frozen import frozen_up_to, tail_from
from diamond.transfer.samples import SamplesError, read_samples
from modelzoo import UnknownLayerError
from modelzoo.labels import ClassError
from tests.diamond.test_attach import nested
from tests.diamond.test_cut_points import coloured
from tests.diamond.test_sound_occlusion import burst, ear


def student(cut="last", classes=("green", "red"), **options):
    keras.utils.set_random_seed(0)
    return dc.attach(nested(), cut, classes=classes, **options)


def _by_class(predictions):
    """Probabilities in the order of the classes."""
    found = np.empty_like(predictions.probabilities)
    np.put_along_axis(found, predictions.classes, predictions.probabilities, axis=1)
    return found


def words(labels):
    return np.array(["green", "red"])[labels]


def learn(net, n=60, **options):
    shown, labels = coloured(n)
    return dc.train(
        net, shown, words(labels), progress=False, **{"batch": 16, "epochs": 4, "rate": 0.05, "start": None, **options}
    )


def trained_and_not(net):
    weights = {weight.path: np.array(weight) for weight in net.model.weights}
    return lambda: {path for path, was in weights.items() if not np.array_equal(was, np.array(_weight(net, path)))}


def _weight(net, path):
    return next(weight for weight in net.model.weights if weight.path == path)


def test_a_head_learns_and_the_rest_stays():
    net = student()
    moved = trained_and_not(net)
    training = learn(net, epochs=12)
    assert {path.split("/")[0] for path in moved()} == {"head_norm", "head_logits"}
    assert training.epochs[training.best].validation_accuracy > 0.9
    assert (training.samples, training.validated) == (48, 12)
    assert training.classes == ("green", "red")
    shown, labels = coloured(20, seed=5)
    assert (net.predict(shown).classes[:, 0] == labels).mean() > 0.9


def test_unfrozen_blocks_learn_but_for_their_batch_norms():
    net = student(convolutions=(4,))
    assert [block.name for block in blocks(net)] == ["add", "last", "head_relu1", "head"]
    moved = trained_and_not(net)
    training = learn(net, epochs=1, unfreeze=9, fine_epochs=2, fine_rate=0.01, validation=None)
    assert [epoch.phase for epoch in training.epochs] == ["head", "blocks", "blocks"]
    assert [epoch.rate for epoch in training.epochs] == pytest.approx([0.05, 0.01, 0.01])
    assert training.best == 2
    assert {"shared/kernel", "last/kernel", "backbone.conv/kernel", "head_conv1/kernel"} <= moved()
    assert not any(path.startswith("backbone.bn") for path in moved())
    assert "Without validation nothing says when to stop" in training.notes[0]


def test_the_best_epoch_is_kept_and_training_stops_when_it_gets_no_better():
    net = student()
    # With such a rate it gets worse soon.
    training = learn(net, epochs=40, rate=3.0, patience=3)
    losses = [epoch.validation_loss for epoch in training.epochs]
    assert training.best == int(np.argmin(losses))
    assert len(losses) == training.best + 1 + 3
    shown, labels = coloured()
    _, judged = split(read_samples(shown, words(labels)), 0.2)
    net.model.compile(loss="sparse_categorical_crossentropy")
    found = net.model.evaluate(dataset(net, hold(net, judged, progress=False), shuffle=False), verbose=0)
    assert found == pytest.approx(losses[training.best], rel=1e-4)


@pytest.mark.parametrize("augment", [True, False])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(augment, tmp_path):
    class KilledError(Exception):
        pass

    class Killer(keras.callbacks.Callback):
        def __init__(self, after):
            super().__init__()
            self.after = after

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == self.after:
                raise KilledError

    options = {"start": "probe", "augment": augment, "epochs": 4, "unfreeze": 1, "fine_epochs": 3, "rate": 0.02}
    whole = student()
    expected = learn(whole, **options)
    for after in (1, 3, 6):
        with pytest.raises(KilledError):
            learn(student(), folder=tmp_path, callbacks=[Killer(after)], **options)
    going_on = student()
    found = learn(going_on, folder=tmp_path, **options)
    assert [epoch.phase for epoch in found.epochs] == ["probe"] + ["head"] * 4 + ["blocks"] * 3
    np.testing.assert_allclose([e.loss for e in found.epochs], [e.loss for e in expected.epochs], rtol=1e-4)
    assert found.best == expected.best
    for one, other in zip(going_on.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    again = learn(student(), folder=tmp_path, **options)
    assert again.epochs == found.epochs
    with pytest.raises(SamplesError, match=r"holds another training: rates \[0.02, 0.0001\], now \[0.03, 0.0001\]"):
        learn(student(), folder=tmp_path, **{**options, "rate": 0.03})


def test_a_linear_head_begins_as_a_probe():
    net = student()
    shown, labels = coloured(60)
    training = learn(net, start="probe", epochs=1, rate=1e-6)
    probe, after = training.epochs
    assert probe.phase == "probe"
    assert probe.validation_accuracy > 0.9
    assert probe.validation_loss < 0.5
    assert after.validation_loss == pytest.approx(probe.validation_loss, rel=0.2)
    assert training.to_dataframe()["epoch"].tolist() == [0, 1]
    assert ("the probe it began with" in training.sentence) == (training.best == 0)
    # What scikit-learn says of the same features.
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    from diamond.transfer.scores import ALPHAS

    fresh = student()
    learn(fresh, start="probe", epochs=1, rate=1e-9, validation=None)
    features = StandardScaler().fit_transform(fresh.activations(shown, "head_pool"))
    expected = RidgeClassifierCV(ALPHAS, class_weight="balanced").fit(features, labels).predict(features)
    assert (fresh.predict(shown).classes[:, 0] == expected).mean() > 0.96


def test_a_head_that_has_learned_or_is_not_linear_stays():
    net = student()
    learn(net, epochs=2)
    again = learn(net, start="probe", epochs=0, unfreeze=1, fine_epochs=1, validation=None)
    assert [epoch.phase for epoch in again.epochs] == ["blocks"]
    deep = learn(student(convolutions=(4,)), start="probe", epochs=1)
    assert [epoch.phase for epoch in deep.epochs] == ["head"]


def test_three_classes_begin_as_a_probe_too():
    shown, labels = coloured(60)
    names = np.where(np.arange(60) < 20, "dark", words(labels))
    shown = np.where((np.arange(60) < 20)[:, None, None, None], shown * 0.2, shown).astype(np.float32)
    net = student(classes=("dark", "green", "red"))
    training = dc.train(net, shown, names, epochs=1, rate=1e-6, progress=False)
    assert training.epochs[0].validation_accuracy > 0.8


def test_tensorboard_has_its_logs(tmp_path):
    learn(student(), epochs=1, folder=tmp_path, tensorboard=True)
    assert list((tmp_path / "tensorboard" / "head").rglob("events*"))
    assert json.loads((tmp_path / "story.json").read_text())["finished"] == ["head"]


def test_what_is_frozen_is_computed_once_where_pictures_stay_the_same():
    net = student(convolutions=(4,))
    assert frozen_up_to(net).address == "last"
    unfreeze(net, ["last"])
    assert frozen_up_to(net).address == "add"
    shown, _ = coloured(4)
    tail = tail_from(net, net.node("add"))
    np.testing.assert_allclose(
        tail.predict(net.activations(shown, "add"), verbose=0), _by_class(net.predict(shown)), atol=1e-5
    )
    inside = tail.get_layer("last")
    assert inside is net.model.get_layer("last")


def test_both_ways_of_training_a_head_agree():
    # No dropout and nothing random: one sees pictures, the other what the frozen part makes of them.
    def same(pictures, key):
        return pictures

    one, other = student(), student()
    slow, fast = learn(one, augment=same), learn(other, augment=False)
    np.testing.assert_allclose([e.loss for e in slow.epochs], [e.loss for e in fast.epochs], rtol=1e-3)


def test_a_training_is_a_table_a_figure_and_a_page(tmp_path):
    training = learn(student(), epochs=2, unfreeze=1, fine_epochs=1)
    table = training.to_dataframe()
    assert table["phase"].tolist() == ["head", "head", "blocks"]
    assert table["kept"].sum() == 1
    assert "it keeps the weights of epoch" in training.sentence
    assert training.sentence in training.save(tmp_path / "training.html").read_text()
    for suffix in (".png", ".csv", ".npz"):
        assert training.save(tmp_path / f"training{suffix}").stat().st_size > 100


def test_rare_classes_weigh_as_much_as_common_ones():
    shown, labels = coloured(80)
    rows = np.flatnonzero((labels == 0) | (np.arange(80) < 12))
    net = student()
    training = dc.train(
        net,
        shown[rows],
        words(labels[rows]),
        epochs=40,
        rate=0.05,
        batch=16,
        validation=None,
        augment=False,
        progress=False,
    )
    asked, expected = coloured(40, seed=3)
    right = net.predict(asked).classes[:, 0] == expected
    assert right[expected == 1].mean() > 0.8
    assert any("Fewer than 10 samples of red (6)" in note for note in training.notes)


def test_classes_are_found_by_their_names_whatever_their_order():
    net = student(classes=("red", "green"))
    learn(net, epochs=10)
    shown, labels = coloured(20, seed=5)
    said = [row[0] for row in net.predict(shown).labels]
    assert np.mean(np.array(said) == words(labels)) > 0.9
    with pytest.raises(ClassError, match="no class 'rad' among 2; did you mean 'red'"):
        dc.train(net, shown, np.array(["green", "rad"])[labels], progress=False)
    with pytest.raises(SamplesError, match="3 classes .* for the 2 outputs"):
        dc.train(student(classes=2), shown, np.arange(20) % 3, progress=False)


def test_a_validation_set_of_its_own_and_groups():
    shown, labels = coloured(40)
    judged = (coloured(10, seed=1)[0], words(coloured(10, seed=1)[1]))
    training = dc.train(student(), shown, words(labels), validation=judged, epochs=1, progress=False)
    assert (training.samples, training.validated) == (40, 10)
    films = np.arange(40) // 4
    learned, asked = split(read_samples(shown, labels, groups=films), 0.25, seed=2)
    assert not set(learned.groups) & set(asked.groups)
    assert len(asked) in (8, 12)
    one = read_samples(list(shown[:3]), ["a", "b", "b"])
    with pytest.raises(SamplesError, match="one part would be empty"):
        split(one, 0.1)


def test_sounds_are_learned_by_their_patches():
    net = dc.attach(ear(), ear().landmarks[-1], classes=["high", "low"])
    sounds = [burst(hz=hz) for hz in (300, 320, 340, 1500, 1600, 1700)]
    training = dc.train(net, sounds, ["low"] * 3 + ["high"] * 3, epochs=2, validation=None, progress=False, batch=4)
    assert training.samples == 6


def test_changed_pictures_stay_pictures_and_depend_on_the_seed_alone():
    shown = coloured(8)[0]
    one, same, other = (augmented(shown, seed).numpy() for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.05
    assert one.shape == shown.shape
    assert one.min() >= 0
    assert one.max() <= 1
    # Small changes: a picture is more like itself than like the others.
    smooth = np.linspace(0, 1, 20, dtype=np.float32)[None, :, None, None] * np.ones((4, 20, 20, 3), np.float32)
    assert np.abs(augmented(smooth, (0, 3)).numpy().mean(axis=(1, 2, 3)) - 0.5).max() < 0.25
    spectrograms = np.random.default_rng(0).random((4, 40, 50, 1)).astype(np.float32)
    masked = augmented_sounds(spectrograms, (0, 1)).numpy()
    changed = (masked != spectrograms).mean(axis=(1, 2, 3))
    assert (changed < 0.4).all()
    assert changed.max() > 0


def test_pictures_beyond_memory_lie_on_the_disk():
    net = student()
    shown, labels = coloured(20)
    samples = read_samples(shown, words(labels))
    near, far = hold(net, samples, progress=False), hold(net, samples, most_bytes=1, progress=False)
    assert isinstance(far.values, np.memmap)
    np.testing.assert_array_equal(near.values, far.values)
    assert near.values.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0, fine_epochs None, unfreeze 0; expected epochs of 1 or more"),
        ({"rate": 0}, "rate is 0, fine_rate 0.0001; expected more than 0"),
        ({"tensorboard": True}, "tensorboard=True and no folder"),
        ({"class_weights": "equal"}, "class_weights is 'equal'; expected 'balanced'"),
        ({"validation": 1.5}, "validation is 1.5; expected a share between 0 and 1"),
        ({"start": "noise"}, "start is 'noise'; expected 'probe', or None"),
        ({"unfreeze": -1}, "unfreeze is -1; expected 0 or more"),
    ],
)
def test_what_cannot_be_trained_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        learn(student(), **{"epochs": 1, **options})


def test_an_unknown_block_and_a_loss_without_bounds_are_told():
    with pytest.raises(UnknownLayerError, match="no block 'lost'; did you mean 'last'"):
        learn(student(), epochs=1, unfreeze=["lost"])
    with pytest.raises(FloatingPointError, match="the loss of epoch .* a lower rate than"):
        learn(student("add", convolutions=(4,)), epochs=30, rate=1e30, validation=None)


def test_hints_say_which_block_wants_to_change():
    net = student()
    shown, labels = coloured(60)
    before = dc.freeze_hints(net, shown, words(labels), progress=False)
    assert "its head has not learned yet" in before.sentence
    learn(net, epochs=6)
    weights = net.model.get_weights()
    hints = dc.freeze_hints(net, shown, words(labels), progress=False)
    assert all(np.array_equal(a, b) for a, b in zip(weights, net.model.get_weights(), strict=True))
    assert hints.blocks == tuple(block.name for block in blocks(net) if block.name != "head")
    assert hints.frozen.all()
    assert set(hints.wanting) <= set(hints.blocks)
    assert "would gain most from learning" in hints.sentence
    assert hints.to_dataframe()["relative"].max() == pytest.approx(hints.relative.max())


def test_the_gradient_of_a_hint_is_that_of_the_mean_loss():
    import tensorflow as tf

    net = student()
    shown, labels = coloured(10)
    hints = dc.freeze_hints(net, shown, words(labels), batch=3, progress=False)
    held = hold(net, read_samples(shown, words(labels)), progress=False)
    kernel = net.model.get_layer("last")
    with tf.GradientTape() as tape:
        variables = [kernel.kernel.value, kernel.bias.value]
        for each in variables:
            tape.watch(each)
        given = net.model(net.preprocess(held.values.astype(np.float32) / 255), training=False)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, given))
    expected = np.sqrt(sum(float(tf.reduce_sum(each**2)) for each in tape.gradient(loss, variables)))
    assert hints.gradients[list(hints.blocks).index("last")] == pytest.approx(expected, rel=1e-3)


def test_hints_are_a_figure_and_a_page(tmp_path):
    shown, labels = coloured(20)
    hints = dc.freeze_hints(student(), shown, words(labels), progress=False)
    assert hints.save(tmp_path / "hints.html").read_text().count("<tr") == 1 + len(hints.blocks)
    for suffix in (".png", ".csv", ".npz"):
        assert hints.save(tmp_path / f"hints{suffix}").stat().st_size > 100
