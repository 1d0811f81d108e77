"""`diamond convert` and `diamond check`, as typed."""

import keras
import pytest
from keras import layers
from typer.testing import CliRunner

from diamond.cli import app
from modelzoo.registry import cards

RUN = CliRunner()


@pytest.fixture(autouse=True)
def zoo(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "zoo"


@pytest.fixture
def file(tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    keras.Model(image, layers.Dense(5, activation="softmax", name="answer")(x)).save(tmp_path / "net.keras")
    return str(tmp_path / "net.keras")


def test_convert_then_models_layers_and_check(file, zoo):
    done = RUN.invoke(app, ["convert", file, "--name", "Mine", "--input-size", "16", "--value-range", "-1", "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["Mine: 5 outputs, RGB, values -1 .. 1", f"written: {zoo / 'Mine'}"]
    assert "Mine" in RUN.invoke(app, ["models"]).stdout
    assert "conv" in RUN.invoke(app, ["layers", "mine"]).stdout
    checked = RUN.invoke(app, ["check", "Mine"])
    assert checked.exit_code == 1
    assert "These look random" in checked.stdout


def test_convert_without_a_range_says_it_is_a_guess(file):
    done = RUN.invoke(app, ["convert", file, "--name", "Mine"])
    assert done.exit_code == 0, done.output
    assert "a guess: diamond check says more" in done.stdout


@pytest.mark.parametrize(
    ("options", "told", "per_channel"),
    [
        (
            ["--channel-order", "BGR", "--mean", "104", "117", "123"],
            "BGR, values -123 .. 151",
            ((255.0, -104.0), (255.0, -117.0), (255.0, -123.0)),
        ),
        (["--mean", "123.68", "116.779", "103.939"], "RGB, values -123.68 .. 151.061", None),
        (["--channel-order", "BGR", "--value-range", "-1", "1"], "BGR, values -1 .. 1", ((2.0, -1.0),) * 3),
    ],
)
def test_convert_takes_the_order_of_channels_and_their_means(options, told, per_channel, file):
    done = RUN.invoke(app, ["convert", file, "--name", "Mine", *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"Mine: 5 outputs, {told}"
    spec = cards()["Mine"].input
    assert not spec.assumed
    assert per_channel is None or spec.per_channel == per_channel


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--channel-order", "GBR", "--mean", "1", "2", "3"], "channel_order is 'GBR'; expected one of RGB, BGR"),
        (["--channel-order", "BGR"], "--channel-order BGR needs --value-range or --mean"),
        (["--mean", "1", "2", "3", "--value-range", "0", "1"], "give one of them"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(options, told, file, zoo):
    done = RUN.invoke(app, ["convert", file, "--name", "Mine", *options])
    assert done.exit_code == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not zoo.exists()


@pytest.mark.slow
def test_check_names_the_cat_and_exits_0():
    done = RUN.invoke(app, ["check", "EfficientNetLite0"])
    assert done.exit_code == 0
    assert done.stdout.startswith("chelsea  Egyptian cat (285)")
    assert "look trained" in done.stdout


def test_a_broken_network_is_listed_with_what_is_wrong(zoo):
    (zoo / "Bad").mkdir(parents=True)
    (zoo / "Bad" / "card.toml").write_text("name = 1 2")
    done = RUN.invoke(app, ["models", "--json"])
    assert done.exit_code == 0
    assert "not a TOML file" in done.stdout


def test_an_error_is_one_line(file):
    done = RUN.invoke(app, ["convert", file, "--name", "VGG16"])
    assert done.exit_code == 1
    assert done.stderr.strip() == "diamond: the zoo has a network 'VGG16'; call yours otherwise than 'VGG16'"


@pytest.mark.parametrize("command", ["convert", "check"])
def test_help_has_an_example(command):
    assert f"Example: diamond {command}" in RUN.invoke(app, [command, "--help"]).stdout
