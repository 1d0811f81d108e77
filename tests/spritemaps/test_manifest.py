import json
from dataclasses import replace

import numpy as np
import pytest

from spritemaps.manifest import ChannelRecord, Manifest, ManifestError, NewerSchemaError, Page

MANIFEST = Manifest(
    network="InceptionV1",
    layer="mixed4d",
    channels=3,
    tile_px=64,
    recipe_name="sprite",
    recipe_hash="feedbeef",
    fingerprint="0123456789abcdef",
    seed=7,
    recipe={"steps": 512, "rates": (0.05, 0.1)},
    versions={"keras": "3.15.0"},
    records=(ChannelRecord(0, 0.1), ChannelRecord(1, 1e-07, True, 2), ChannelRecord(2, 0.0, False, 3)),
    pages=(Page("atlas-0.webp", 0, 2, 0, 2, "ab" * 32, 1234),),
)


def changed(**changes):
    content = json.loads(MANIFEST.to_bytes())
    content.update(changes)
    return json.dumps(content).encode()


def test_a_manifest_survives_json():
    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST
    assert Manifest.from_bytes(MANIFEST.to_bytes()).to_bytes() == MANIFEST.to_bytes()
    assert MANIFEST.recipe == {"steps": 512, "rates": [0.05, 0.1]}


def test_its_json_is_sorted_and_ends_with_a_line():
    text = MANIFEST.to_bytes().decode()
    content = json.loads(text)
    assert text.endswith("}\n")
    assert list(content) == sorted(content)
    assert (content["schema_version"], content["grid_side"]) == (1, 2)
    assert content["records"][1] == {"activation": 1e-07, "alive": True, "attempts": 2, "channel": 1}


def test_numbers_from_numpy_are_kept_as_plain_numbers():
    record = ChannelRecord(np.int64(3), np.float32(0.5), np.bool_(True), np.int32(2))
    assert repr(record) == "ChannelRecord(channel=3, activation=0.5, alive=True, attempts=2)"


def test_a_newer_schema_says_to_upgrade():
    with pytest.raises(NewerSchemaError, match=r"schema version 2, and this diamond-cutter reads up to 1; upgrade it"):
        Manifest.from_bytes(changed(schema_version=2, unheard_of=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chanels": 3}, "unknown field 'chanels'; did you mean 'channels'?"),
        ({"channels": "3"}, "channels is '3'; expected a whole number"),
        ({"channels": True}, "channels is True; expected a whole number"),
        ({"channels": 4}, "3 records and 1 pages do not make up 4 channels in a grid of 2 x 2"),
        ({"grid_side": 3}, "grid_side is 3; expected 2"),
        ({"schema_version": 0}, "schema_version is 0; expected 1"),
        ({"fingerprint": "NOPE"}, "fingerprint is 'NOPE'; expected 8 or more of the digits 0-9 and a-f"),
        ({"layer": ""}, "layer is ''; expected a string that is not empty"),
        ({"records": []}, "0 records and 1 pages do not make up 3 channels"),
        ({"records": [{"channel": 0}]}, r"records\[0\] lacks the field 'activation'"),
        ({"records": [7]}, r"records\[0\] is 7; expected a JSON object"),
        ({"pages": []}, "3 records and 0 pages do not make up 3 channels"),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes, message):
    with pytest.raises(ManifestError, match=f"here.json.*{message}"):
        Manifest.from_bytes(changed(**changes), origin="here.json")


@pytest.mark.parametrize("name", ["../atlas-0.webp", "/etc/passwd", "atlas-0.png"])
def test_a_page_is_a_file_beside_the_manifest(name):
    page = {**json.loads(MANIFEST.to_bytes())["pages"][0], "file": name}
    with pytest.raises(ManifestError, match=r"expected a name like 'atlas-0.webp'"):
        Manifest.from_bytes(changed(pages=[page]))


def test_what_is_no_json_is_refused():
    with pytest.raises(ManifestError, match="not a JSON file"):
        Manifest.from_bytes(MANIFEST.to_bytes()[:-20])
    with pytest.raises(ManifestError, match="NaN is no JSON number"):
        Manifest.from_bytes(MANIFEST.to_bytes().replace(b"1e-07", b"NaN"))


def test_an_activation_is_finite():
    with pytest.raises(ManifestError, match="channel 3 reached the activation nan; expected a finite number"):
        ChannelRecord(3, float("nan"))


def test_records_are_of_the_layer_and_in_order():
    with pytest.raises(ManifestError, match="a record of channel 3, but the layer has channels 0 to 2"):
        replace(MANIFEST, records=(ChannelRecord(3, 0.0),))
    with pytest.raises(ManifestError, match="not in channel order"):
        replace(MANIFEST, records=MANIFEST.records[::-1])


def test_a_recipe_is_plain_json():
    with pytest.raises(ManifestError, match="recipe is not plain JSON"):
        replace(MANIFEST, recipe={"steps": object()})


def test_quality_is_kept_and_left_out_where_there_is_none():
    measured = ChannelRecord(0, 0.1, attempts=3, kept=2, robust=1.5, photo_best=2.0, photo="n01.JPEG")
    ladder = ({"recipe_name": "sprite", "seed": 7}, {"recipe_name": "sprite", "seed": 8})
    manifest = replace(MANIFEST, records=(measured, *MANIFEST.records[1:]), ladder=ladder)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    content = json.loads(manifest.to_bytes())
    assert content["records"][0] == {
        "activation": 0.1,
        "alive": True,
        "attempts": 3,
        "channel": 0,
        "kept": 2,
        "photo": "n01.JPEG",
        "photo_best": 2.0,
        "robust": 1.5,
    }
    assert list(content["records"][1]) == ["activation", "alive", "attempts", "channel"]
    assert "ladder" not in json.loads(MANIFEST.to_bytes())


def test_a_channel_is_below_the_bar_where_it_is_dead_or_a_photo_excites_it_more():
    assert ChannelRecord(0, 0.0, alive=False).below_bar
    assert ChannelRecord(0, 1.0, robust=1.5, photo_best=2.0).below_bar
    assert not ChannelRecord(0, 1.0, robust=2.0, photo_best=2.0).below_bar
    assert not ChannelRecord(0, 1.0, robust=0.1).below_bar
    assert not ChannelRecord(0, 1.0).below_bar


def test_the_attempt_that_was_kept_is_one_of_those_made():
    with pytest.raises(ManifestError, match="channel 3 kept attempt 2 of 1"):
        ChannelRecord(3, 0.0, kept=2)
    with pytest.raises(ManifestError, match="channel 3 reached the robust inf; expected a finite number"):
        ChannelRecord(3, 0.0, robust=float("inf"))
