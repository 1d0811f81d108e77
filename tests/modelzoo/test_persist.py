"""A network in a folder: all of it comes back, and nothing half of it."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from modelzoo import CardError
from modelzoo.weights.errors import WeightsError
from tests.diamond.test_attach import nested, pictures


@pytest.fixture
def student():
    return dc.attach(nested(), "last", classes=["cat", "dog"], convolutions=(4,))


def test_a_student_comes_back_as_it_was(student, tmp_path):
    assert dc.save(student, tmp_path / "pets") == str(tmp_path / "pets")
    assert sorted(path.name for path in (tmp_path / "pets").iterdir()) == ["card.toml", "model.keras"]
    back = dc.load(tmp_path / "pets")
    assert back.name == student.name
    assert back.classes.names == ("cat", "dog")
    assert back.landmarks == student.landmarks
    assert back.input == student.input
    np.testing.assert_array_equal(back.predict(pictures()).logits, student.predict(pictures()).logits)
    assert [layer.trainable for layer in back.model.layers] == [layer.trainable for layer in student.model.layers]
    assert back.fingerprint("last") == student.fingerprint("last")
    assert dc.load(str(tmp_path / "pets")).weights == str(tmp_path / "pets")


def test_reports_lie_beside_it(student, tmp_path):
    shown = pictures(20)
    report = dc.cut_points(nested(), shown, np.arange(20) % 2, latency=False, progress=False)
    training = dc.train(student, shown, np.array(["cat", "dog"])[np.arange(20) % 2], epochs=1, progress=False)
    dc.save(student, tmp_path / "pets", reports=[report, training, training])
    names = sorted(path.name for path in (tmp_path / "pets").iterdir())
    assert names == ["card.toml", "cut_report.html", "model.keras", "training.html", "training_2.html"]
    assert training.sentence in (tmp_path / "pets" / "training.html").read_text()


def test_what_is_there_is_replaced_only_where_one_says_so(student, tmp_path):
    dc.save(student, tmp_path / "pets")
    with pytest.raises(FileExistsError, match="is there already; choose another name, or say overwrite=True"):
        dc.save(student, tmp_path / "pets")
    dc.save(dc.attach(nested(), "add", classes=3), tmp_path / "pets", overwrite=True)
    assert dc.load(tmp_path / "pets").output_size == 3
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_a_network_goes_to_an_address_and_comes_back(student, tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path))
    assert dc.save(student, "memory://drive/pets") == "memory://drive/pets"
    with pytest.raises(FileExistsError, match="memory://drive/pets is there already"):
        dc.save(student, "memory://drive/pets")
    back = dc.load("memory://drive/pets")
    np.testing.assert_array_equal(back.predict(pictures()).logits, student.predict(pictures()).logits)
    other = dc.attach(nested(), "add", classes=3)
    dc.save(other, "memory://drive/pets", overwrite=True)
    assert dc.load("memory://drive/pets").output_size == 3
    with pytest.raises(FileNotFoundError, match=r"no network at memory://drive/lost: there is no card.toml"):
        dc.load("memory://drive/lost")


def test_what_is_broken_is_told(student, tmp_path):
    dc.save(student, tmp_path / "pets")
    model = tmp_path / "pets" / "model.keras"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="model.keras"):
        dc.load(tmp_path / "pets")
    (tmp_path / "pets" / "card.toml").write_text("name = 3")
    with pytest.raises(CardError, match="card.toml"):
        dc.load(tmp_path / "pets")


def test_code_is_not_saved(tmp_path):
    image = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda values: values * 2, name="twice")(image)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3)(x))), name="with_code"))
    with pytest.raises(CardError, match="with_code holds code, in the Lambda layer 'twice'"):
        dc.save(net, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_network_is_kept_with_its_card(tmp_path):
    net = dc.load("MobilenetV1_025", weights=None)
    dc.save(net, tmp_path / "net")
    back = dc.load(tmp_path / "net")
    assert back.classes[285] == "Egyptian cat"
    assert back.card.paper == net.card.paper
    assert back.landmarks == net.landmarks
