"""One word for whether weights are here, and the next step."""

import subprocess
import sys

import pytest

from modelzoo.cards import Card, InputSpec, OutputSpec, WeightSource
from modelzoo.readiness import MEANINGS, next_step, weights_state
from modelzoo.registry import cards

ADDRESS = "https://example.org/net"


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def card(*sources):
    return Card("Net", "Net", InputSpec(224, 224), OutputSpec("answer", 10, "features"), weights=sources)


def download(**fields):
    return WeightSource(kind="download", licence="MIT", url=ADDRESS + fields.pop("suffix", ".h5"), **fields)


KERAS = download(format="keras")
CHECKPOINT = download(format="tf_checkpoint", suffix=".tar.gz", member="model.ckpt.index")
WHEEL = WeightSource(kind="wheel", format="torch_state", licence="MIT", package="no_such_package.models", path="a.pth")
GONE = WeightSource(kind="file", format="keras", licence="MIT", path="/nowhere/model.keras")


@pytest.mark.parametrize(
    ("sources", "word", "step"),
    [
        ((KERAS,), "downloadable", 'dc.load("Net") fetches it'),
        ((CHECKPOINT,), "convertible", 'dc.load("Net") fetches and converts it'),
        ((CHECKPOINT, KERAS), "downloadable", 'dc.load("Net") fetches it'),
        ((WHEEL,), "installable", "pip install no_such_package"),
        ((WHEEL, CHECKPOINT), "convertible", 'dc.load("Net") fetches and converts it'),
        ((GONE,), "missing", "diamond convert FILE --overwrite, or remove its folder"),
        ((), "none", 'dc.load("Net", weights=FILE)'),
        ((download(format="keras", without_top=True),), "downloadable, no classifier", 'dc.load("Net") fetches it'),
        (
            (download(format="keras", without_top=True), CHECKPOINT),
            "convertible",
            'dc.load("Net") fetches and converts it',
        ),
    ],
)
def test_the_best_source_gives_the_word(sources, word, step):
    assert (weights_state(card(*sources)), next_step(card(*sources))) == (word, step)
    assert word.partition(",")[0] in MEANINGS


def test_a_file_that_is_here_is_ready(tmp_path):
    path = tmp_path / "model.keras"
    path.touch()
    here = card(WeightSource(kind="file", format="keras", licence="MIT", path=str(path)))
    assert (weights_state(here), next_step(here)) == ("ready", "diamond check Net")


def test_every_network_of_the_issue_is_listed_with_a_word():
    names = "InceptionV1 InceptionV2 InceptionV3 InceptionV4 NasnetLarge NasnetMobile PnasnetLarge PnasnetMobile VGG16 "
    names += "VGG19 ResnetV1_50 ResnetV1_101 ResnetV1_152 InceptionResnetV2 MobilenetV1_025 MobilenetV1_050 AlexNet "
    names += "EfficientNetLite0 EfficientNetLite1 EfficientNetLite2 InceptionV1_caffe"
    words = {name: weights_state(cards()[name]) for name in names.split()}
    assert len(words) == 21
    assert set(words.values()) <= {"ready", "downloadable", "convertible", "installable"}
    assert words["EfficientNetLite0"] == "ready"


def test_saying_so_imports_no_tensorflow():
    code = "import sys, modelzoo.registry as r; r.models(); print([m for m in sys.modules if m == 'tensorflow'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
