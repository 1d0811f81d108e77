"""Networks side by side: counted right, matched by name, asked in batches, and told what is wrong with the data."""

import dataclasses
import tracemalloc

import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import binomtest

import diamond as dc
from diamond.transfer.answers import ask, match_classes
from diamond.transfer.samples import SamplesError, read_samples
from modelzoo.labels import ClassError
from tests import tiny
from tests.diamond.test_sound_occlusion import FRONTEND, burst, ear

COLOURS = ("blue", "green", "red")


def eye(kernel, classes=None, name="eye", *, size=6, activation="softmax"):
    """Logits are the mean colour, times a kernel ``(3, output)``."""
    kernel = np.asarray(kernel, np.float32)
    image = keras.Input((size, size, 3), name="image")
    x = layers.Conv2D(3, 1, use_bias=False, name="look")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dense(kernel.shape[1], use_bias=False, activation=activation, name="answer")(x)
    model = tiny.constant(
        keras.Model(image, x, name=name), {"look/kernel": np.eye(3)[None, None], "answer/kernel": kernel}
    )
    return called(dc.load(model, input=(0, 1)), classes)


def called(net, classes):
    """Give a network class names, as a student has them."""
    output = dataclasses.replace(net.card.output, classes=None if classes is None else tuple(classes))
    return dataclasses.replace(net, card=dataclasses.replace(net.card, output=output))


# Of colours that are names in this order: red, green, blue.
RGB = np.eye(3) * 8


def sees_all(name="sees_all"):
    return eye(RGB, ("red", "green", "blue"), name)


def no_blue(name="no_blue"):
    """Takes blue for green."""
    return eye([[8, 0, 0], [0, 8, 0], [0, 8, 0]], ("red", "green", "blue"), name)


def pictures(words, size=6, seed=0):
    """One colour each, with a little noise."""
    rng = np.random.default_rng(seed)
    shown = 0.1 * rng.random((len(words), size, size, 3), dtype=np.float32)
    for picture, word in zip(shown, words, strict=True):
        picture[..., ("red", "green", "blue").index(word)] += 0.6
    return list(shown)


WORDS = ["red"] * 8 + ["green"] * 6 + ["blue"] * 6


@pytest.fixture(scope="module")
def found():
    return dc.compare([sees_all(), no_blue()], pictures(WORDS), WORDS, progress=False)


def test_accuracies_are_counted_and_classes_matched_by_name(found):
    assert found.classes == COLOURS
    assert found.counts == (6, 6, 8)
    assert [one.accuracy for one in found.networks] == [1.0, 0.7]
    # Recalls 0, 1 and 1; the others' rows are all right.
    assert [one.balanced for one in found.networks] == pytest.approx([1.0, 2 / 3])
    assert found.confusion[1].tolist() == [[0, 6, 0, 0], [0, 6, 0, 0], [0, 0, 8, 0]]
    for one, hits in zip(found.networks, (20, 14), strict=True):
        expected = binomtest(hits, 20).proportion_ci(method="wilson")
        assert one.accuracy_interval == pytest.approx((expected.low, expected.high))
    assert found.answers.shape == found.confidences.shape == (2, 20)


def test_probabilities_are_those_that_predict_gives(found):
    shown = np.stack(pictures(WORDS))
    predicted = no_blue().predict(shown, top=1)
    assert found.confidences[1] == pytest.approx(predicted.probabilities[:, 0], abs=1e-6)
    shares = np.exp(predicted.logits) / np.exp(predicted.logits).sum(axis=1, keepdims=True)
    true = shares[np.arange(20), [("red", "green", "blue").index(word) for word in WORDS]]
    assert found.true_probabilities[1] == pytest.approx(true, rel=1e-4)
    assert found.networks[1].nll == pytest.approx(-np.log(true).mean(), rel=1e-4)
    one_hot = np.eye(3)[[("red", "green", "blue").index(word) for word in WORDS]]
    assert found.networks[1].brier == pytest.approx(((shares - one_hot) ** 2).sum(axis=1).mean(), rel=1e-4)


def test_a_pair_is_tested_by_the_samples_that_one_alone_has_right(found):
    [pair] = found.pairs_found
    assert (pair.only_first, pair.only_second) == (6, 0)
    assert pair.difference == pytest.approx(0.3)
    # 2 / 2^6.
    assert pair.p == pair.p_holm == pytest.approx(0.03125)
    assert pair.differ
    assert found.sentence == "sees_all has 100.0% of 20 samples right (83.9% to 100.0%); it is better than no_blue."
    table = found.pairs
    assert table.loc[0, ["first", "second", "only_first_right"]].tolist() == ["sees_all", "no_blue", 6]


def test_rates_tell_what_is_answered_to_each_class(found):
    rates = found.rates.set_index(["network", "class", "answer"])
    assert rates.loc[("no_blue", "blue", "green"), ["count", "of", "rate"]].tolist() == [6, 6, 1.0]
    never = rates.loc[("no_blue", "blue", "blue")]
    assert (never["count"], never["right"]) == (0, True)
    assert (never["low"], never["high"]) == pytest.approx((0.0, 0.3903), abs=1e-4)
    assert len(rates) == 3 + 4


def test_disagreements_come_with_small_pictures_and_answers(found):
    assert found.disagreeing == len(found.disagreements) == 6
    first = found.disagreements[0]
    assert (first.label, first.answers, first.right) == ("blue", ("blue", "green"), (True, False))
    assert found.thumbnails.dtype == np.uint8
    assert found.thumbnails.shape == (6, 112, 112, 3)
    sure = [min(one.probabilities) for one in found.disagreements]
    assert sure == sorted(sure, reverse=True)
    # Blue is blue.
    assert found.thumbnails[0].mean(axis=(0, 1)).argmax() == 2


def test_size_and_work_are_counted(found):
    table = found.to_dataframe()
    assert table["parameters"].tolist() == [9 + 9] * 2
    assert table["bytes"].tolist() == [72] * 2
    # 36 places of 3 x 3, and 3 x 3.
    assert table["multiply_adds"].tolist() == [36 * 9 + 9] * 2
    assert (table["latency_s"] > 0).all()


def test_a_comparison_is_a_table_figures_a_page_and_arrays(found, tmp_path):
    page = found.save(tmp_path / "found.html").read_text()
    assert found.sentence in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for word in ("Which differences are real", "What is mixed up with what", "Where they disagree", "Wilson"):
        assert word in page
    # Both begin with the same convolution.
    assert [(one.layer, one.same) for one in found.changes] == [("look", True)]
    assert "1 of 1 compute the same in both: frozen" in page
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"found{suffix}").stat().st_size > 100
    with np.load(tmp_path / "found.npz") as arrays:
        assert arrays["confusion"].shape == (2, 3, 4)
    for view in ("summary", "rates", "confusion", "disagreements"):
        assert len(found.plot(view).axes) > 0
    with pytest.raises(ValueError, match="no view 'pie'; expected summary, rates"):
        found.plot("pie")
    assert "no_blue" in repr(found)
    assert found._repr_html_().startswith("<iframe")


def test_a_network_beside_itself_is_no_better():
    found = dc.compare([no_blue(), no_blue()], pictures(WORDS), WORDS, latency=False, progress=False)
    assert found.names == ("no_blue", "no_blue (2)")
    [pair] = found.pairs_found
    assert (pair.p, pair.difference, pair.differ) == (1.0, 0.0, False)
    assert pair.interval[0] == pytest.approx(-pair.interval[1])
    assert (found.disagreeing, found.thumbnails.shape) == (0, (0, 112, 112, 3))
    assert "it cannot be told from" in found.sentence
    assert "agree on every sample" in found._page()
    # Both have all their layers, and they compute the same.
    assert [one.same for one in found.changes] == [True] * len(found.changes)
    assert len(found.plot("disagreements").axes) == 1


def test_one_network_alone_is_measured_too():
    found = dc.compare(no_blue(), pictures(WORDS), WORDS, names=["mine"], latency=False, progress=False)
    assert found.names == ("mine",)
    assert found.pairs.empty
    assert found.sentence == "mine has 70.0% of 20 samples right (48.1% to 85.5%)."
    assert "Which differences" not in found._page()
    assert found.to_dataframe()["latency_s"].isna().all()
    found.plot()


def test_three_networks_are_corrected_for_each_other():
    nets = [sees_all(), no_blue(), no_blue("third")]
    found = dc.compare(nets, pictures(WORDS), WORDS, latency=False, progress=False)
    assert [(pair.first, pair.second) for pair in found.pairs_found] == [(0, 1), (0, 2), (1, 2)]
    assert [pair.p for pair in found.pairs_found] == [0.03125, 0.03125, 1.0]
    assert [pair.p_holm for pair in found.pairs_found] == [0.09375, 0.09375, 1.0]
    assert "cannot be told from no_blue and third" in found.sentence
    assert "Holm" in found._page()


def test_answers_outside_the_datas_classes_count_as_other():
    wide = eye([[8, 0, 0, 0], [0, 8, 0, 0], [0, 0, 4, 9]], ("Red", "green", "blue", "navy"), "wide")
    found = dc.compare([wide, sees_all()], pictures(WORDS), WORDS, latency=False, progress=False)
    assert found.confusion[0].tolist() == [[0, 0, 0, 6], [0, 6, 0, 0], [0, 0, 8, 0]]
    assert found.networks[0].others == 6
    assert found.disagreements[0].answers == ("navy", "blue")
    assert any("wide 30%" in note for note in found.notes)
    assert ">other<" in found._page()


def test_classes_are_matched_in_any_spelling_by_number_and_in_order():
    samples = read_samples(pictures(["red", "blue"]), ["deep_blue", "Scarlet red"])
    named = eye(RGB, ("scarlet red", "green", "deep blue"))
    assert match_classes(named, samples).tolist() == [0, 2]
    numbers = read_samples(pictures(["red", "blue"]), [2, 0])
    assert match_classes(named, numbers).tolist() == [0, 2]
    assert match_classes(eye(RGB), numbers).tolist() == [0, 2]
    # Words and no names: in the order of the classes, where they are as many.
    words = read_samples(pictures(COLOURS), COLOURS)
    assert match_classes(eye(RGB), words).tolist() == [0, 1, 2]
    background = dataclasses.replace(named.card.output, first_class=1, size=4)
    shifted = dataclasses.replace(named, card=dataclasses.replace(named.card, output=background))
    assert match_classes(shifted, numbers).tolist() == [1, 3]


def test_numbers_are_called_by_the_networks_names():
    found = dc.compare(sees_all(), pictures(["red", "blue"]), [0, 2], latency=False, progress=False)
    assert found.classes == ("red", "blue")
    assert found.networks[0].accuracy == 1.0
    turned = eye(RGB[::-1], ("blue", "green", "red"), "turned")
    with pytest.raises(ClassError, match="the number 0 is 'red' to sees_all, 'blue' to turned; give names"):
        dc.compare([sees_all(), turned], pictures(["red", "blue"]), [0, 2], progress=False)
    both = dc.compare([sees_all(), turned], pictures(WORDS), WORDS, latency=False, progress=False)
    assert [one.accuracy for one in both.networks] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("classes", "labels", "told"),
    [
        (("red", "green", "blue"), ["red", "bleu"], "asked about 'bleu', a class of the data: .*did you mean 'blue'"),
        (None, ["red", "blue"], r"3 outputs without names, and the data 2 classes \(blue, red\); expected as many"),
        (None, [0, 7], "3 outputs without names, and the data a class '7'; expected numbers from 0 to 2"),
        (("red", "green", "blue"), ["Red", "red"], "'Red' and 'red' of the data are one class to eye, 'red'"),
    ],
    ids=["unknown", "count", "number", "twice"],
)
def test_classes_that_do_not_match_are_told(classes, labels, told):
    with pytest.raises(ClassError, match=told):
        dc.compare(eye(RGB, classes), pictures(["red", "blue"]), labels, progress=False)


def test_one_output_tells_two_classes_apart():
    for activation in ("sigmoid", None):
        single = eye([[-9], [0], [9]], ("red", "blue"), activation=activation)
        words = ["red", "blue", "blue"]
        found = dc.compare(single, pictures(words), words, latency=False, progress=False)
        assert found.networks[0].accuracy == 1.0
        assert (found.confidences > 0.9).all()
        assert found.networks[0].others == 0


def test_of_equal_probabilities_the_first_is_the_answer():
    even = eye(np.zeros((3, 3)), ("red", "green", "blue"))
    found = dc.compare(even, pictures(WORDS), WORDS, latency=False, progress=False)
    assert found.networks[0].accuracy == 8 / 20
    assert found.confidences == pytest.approx(np.full((1, 20), 1 / 3))


def test_nan_is_named():
    kernel = RGB.copy()
    kernel[0, 0] = np.nan
    with pytest.raises(ValueError, match="broken gives NaN or infinity for picture 0"):
        dc.compare(eye(kernel, COLOURS, "broken"), pictures(WORDS), WORDS, progress=False)


def test_bad_calls_are_told(tmp_path):
    shown = pictures(WORDS)
    with pytest.raises(ValueError, match="no network to compare"):
        dc.compare([], shown, WORDS)
    with pytest.raises(TypeError, match="str 'EfficientNetLite0' is no network"):
        dc.compare(["EfficientNetLite0"], shown, WORDS)
    with pytest.raises(ValueError, match="expected a name for each of 1 networks"):
        dc.compare(sees_all(), shown, WORDS, names=["a", "b"])
    with pytest.raises(ValueError, match="a name of its own"):
        dc.compare([sees_all(), no_blue()], shown, WORDS, names=["a", "a"])
    with pytest.raises(ValueError, match="level is 95"):
        dc.compare(sees_all(), shown, WORDS, level=95)
    with pytest.raises(SamplesError, match="20 inputs and 2 labels"):
        dc.compare(sees_all(), shown, ["a", "b"])
    with pytest.raises(ValueError, match=r"sees_all \(pictures\), ear \(sounds\)"):
        dc.compare([sees_all(), ear()], shown, WORDS)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        dc.compare(sees_all(), tmp_path / "nowhere")


def folders(root, counts, *, broken=()):
    from PIL import Image

    for name, n in counts.items():
        (root / name).mkdir(parents=True)
        for i, picture in enumerate(pictures([name] * n) if n else []):
            Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(root / name / f"{i}.png")
    for path in broken:
        (root / path).write_bytes(b"no picture")
    return root


def test_a_class_without_samples_and_files_that_are_no_pictures_are_told(tmp_path):
    root = folders(tmp_path, {"red": 7, "blue": 3, "green": 0}, broken=["red/x.png"])
    with pytest.warns(UserWarning, match="skipped 1 of 11"):
        found = dc.compare([sees_all(), no_blue()], root, latency=False, progress=False)
    assert found.counts == (3, 0, 7)
    assert len(found) == 10
    assert len(found.skipped) == 1
    # The mean over red and blue: green is left out.
    assert [one.balanced for one in found.networks] == [1.0, 0.5]
    assert found.notes[0] == "No sample of green: left out of the balanced accuracy."
    assert found.notes[1].startswith("Only 10 samples")
    rates = found.rates.set_index(["network", "class", "answer"])
    assert np.isnan(rates.loc[("sees_all", "green", "green"), "rate"])
    found._page()
    # A class the network does not know is no matter where no sample has it.
    (tmp_path / "green").rename(tmp_path / "purple")
    with pytest.warns(UserWarning, match="skipped"):
        assert dc.compare(sees_all(), root, latency=False, progress=False).networks[0].accuracy == 1.0


def test_networks_of_other_sizes_see_the_same_samples(tmp_path):
    root = folders(tmp_path, {"red": 4, "blue": 4})
    found = dc.compare(
        [sees_all(), eye(RGB, ("red", "green", "blue"), "large", size=16)], root, latency=False, progress=False
    )
    assert [one.accuracy for one in found.networks] == [1.0, 1.0]
    assert found.networks[1].multiply_adds > found.networks[0].multiply_adds


def test_a_student_is_compared_with_another_from_the_same_base():
    base = eye(RGB, name="base")
    before = dc.attach(base, "look", classes=("red", "green", "blue"), name="before")
    after = dc.attach(base, "look", classes=("red", "green", "blue"), name="after")
    for student, kernel in ((before, np.zeros((3, 3))), (after, RGB)):
        weights = next(weight for weight in student.model.weights if weight.shape == (3, 3))
        weights.assign(kernel)
    found = dc.compare([before, after], pictures(WORDS), WORDS, progress=False)
    # With no weights all are alike, and the first class, red, is the answer.
    assert found.networks[0].accuracy == 8 / 20
    assert found.networks[1].accuracy == 1.0
    assert [one.same for one in found.changes] == [True] * len(found.changes)
    assert len(found.changes) > 0


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_batches_change_no_answer(batch):
    samples = read_samples(pictures(WORDS), WORDS)
    net = no_blue()
    whole = ask(net, samples, match_classes(net, samples), batch=20, progress=False)
    parts = ask(net, samples, match_classes(net, samples), batch=batch, progress=False)
    assert parts.answers.tolist() == whole.answers.tolist()
    assert parts.true == pytest.approx(whole.true, abs=1e-7)


def test_of_a_sound_the_probabilities_are_the_mean_over_its_patches():
    hears = called(ear(), ("low", "high"))
    sounds = [burst(1.2, hz) for hz in (300, 3000, 3000)]
    found = dc.compare(hears, sounds, ["low", "high", "high"], progress=False)
    predicted = hears.predict(sounds, top=2)
    assert found.answers.shape == (1, 3)
    of_true = [
        predicted.probabilities[i][predicted.classes[i] == {"low": 0, "high": 1}[word]].item()
        for i, word in enumerate(["low", "high", "high"])
    ]
    assert found.true_probabilities[0] == pytest.approx(of_true, abs=1e-6)
    assert FRONTEND.patch_s < 1.2
    assert found.networks[0].latency_s > 0
    two = dc.compare(
        [hears, called(ear(), ("high", "low"))], sounds, ["low", "high", "high"], latency=False, progress=False
    )
    assert two.disagreeing == 3
    assert two.thumbnails.shape == (3, 112, 112, 3)


def test_ten_thousand_samples_take_the_memory_of_a_batch():

    samples = read_samples(pictures(["red"]), ["red"])
    many = dataclasses.replace(
        samples, sources=[pictures(["red"])[0]] * 10_000, labels=np.zeros(10_000, np.int64), names=("one",) * 10_000
    )
    net = sees_all()
    outputs = match_classes(net, samples)
    ask(net, samples, outputs, batch=256, progress=False)
    tracemalloc.start()
    found = ask(net, many, outputs, batch=256, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.rows) == 10_000
    assert peak < 8_000_000


def test_the_command_writes_the_comparison(tmp_path):
    from typer.testing import CliRunner

    from diamond.cli import app

    root = folders(tmp_path / "data", {"blue": 4, "green": 4, "red": 4})
    for net in (eye(RGB[:, ::-1], name="a"), eye(np.zeros((3, 3)), name="b")):
        net.model.save(tmp_path / f"{net.name}.keras")
    out = tmp_path / "found.html"
    done = CliRunner().invoke(
        app,
        ["compare", str(tmp_path / "a.keras"), str(tmp_path / "b.keras"), "--data", str(root), "--no-latency",
         "--names", "good, none", "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "good has 100.0% of 12 samples right" in done.output
    assert "good has 100.0% of 12 samples right" in out.read_text()
    helped = CliRunner().invoke(app, ["compare", "--help"])
    assert "diamond compare student/ EfficientNetLite0 --data" in " ".join(helped.output.split())
    wrong = CliRunner().invoke(app, ["compare", "a", "--data", "nowhere", "--out", "x.pdf"])
    assert wrong.exit_code == 1
    assert "ends in .html" in wrong.output


@pytest.mark.slow
def test_networks_of_the_zoo_on_photos_of_imagenet(shared_data):
    """200 photos, one a class: three networks by WordNet ids, the large ones better than the small one."""
    paths = sorted((shared_data / "photos").glob("*.JPEG"))
    labels = [path.name.split("_")[1] for path in paths]
    weights = shared_data / "weights"
    nets = [
        dc.load("EfficientNetLite0"),
        dc.load("MobilenetV1_025", weights=weights / "mobilenet_v1_0.25_224.h5"),
        dc.load("InceptionV1_caffe", weights=weights / "bvlc_googlenet.safetensors"),
    ]
    found = dc.compare(nets, paths, labels, latency=False, progress=False)
    accuracies = [one.accuracy for one in found.networks]
    assert accuracies == pytest.approx([0.89, 0.615, 0.785], abs=0.03)
    assert [pair.differ for pair in found.pairs_found] == [True, True, True]
    assert found.classes[0] == "tench"
    assert found.changes == ()
