"""The explorer without any page: what it says, in which order, and what it makes of mistakes."""

import base64
import dataclasses
import io
import json
import threading

import keras
import numpy as np
import pytest
from PIL import Image

import diamond as dc
from diamond.explorer.choices import check_network
from diamond.explorer.session import MOST_BYTES, Session
from diamond.explorer.sprites import growing
from tests import tiny

PICTURE = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)
LONG_S = 120


@pytest.fixture(scope="module")
def net():
    return dc.load(tiny.linear_tail(), input=(0, 1))


class Page:
    """Keeps what it is told, and can answer at once."""

    def __init__(self, load, **asked):
        self.told, self.answer = [], {}
        self.session = Session(load, self.hear, **asked)
        self.session.receive({"do": "sprites", "on": False})

    def hear(self, message):
        json.dumps(message)
        self.told.append(message)
        answer = self.answer.pop(message["say"], None)
        if answer is not None:
            self.session.receive(answer)

    def after(self, **message):
        """Do something, and give what is said until all is done."""
        begun = len(self.told)
        if message:
            self.session.receive(message)
        else:
            self.session.start()
        assert self.session.wait(LONG_S)
        return self.told[begun:]

    def last(self, say):
        return [message for message in self.told if message["say"] == say][-1]


@pytest.fixture
def page(net):
    shown = Page(lambda: net, picture=PICTURE, layer="features")
    yield shown
    shown.session.close()


def says(told):
    """The kinds of messages in order, each once where it comes several times in a row; without what is worked on."""
    kinds = [message["say"] for message in told if message["say"] != "status"]
    return [kind for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]


def png(size=(9, 12)):
    file = io.BytesIO()
    Image.fromarray((np.random.default_rng(1).random((*size, 3)) * 255).astype(np.uint8)).save(file, "png")
    return file.getvalue()


def upload(page, content, *, name="cat.png", pieces=1):
    """Send a file as the page does; give what is said."""
    begun, step = len(page.told), -(-len(content) // pieces) or 1
    for at in range(pieces):
        part = base64.b64encode(content[at * step : (at + 1) * step]).decode()
        page.session.receive({"do": "picture", "name": name, "upload": "1", "at": at, "of": pieces, "content": part})
    assert page.session.wait(LONG_S)
    return page.told[begun:]


def test_the_quickest_answer_comes_first(page):
    told = page.after()
    order = ["examples", "network", "picture", "turn", "predictions", "question", "channels", "map", "occlusion"]
    assert says(told) == order
    assert told[-1] == {"say": "status", "words": "Done", "busy": False}
    assert all(message["busy"] for message in told[:-1] if message["say"] == "status")


def test_the_numbers_are_those_of_the_library(page, net):
    page.after()
    predicted = net.predict(PICTURE, top=4)
    first = int(predicted.classes[0, 0])
    assert [row["index"] for row in page.last("predictions")["rows"]] == predicted.classes[0].tolist()
    assert page.last("question")["positive"] == {"index": first, "label": str(first)}
    found = dc.channel_attribution(net, PICTURE, "features", positive=first)
    rows = page.last("channels")["rows"]
    assert [row["channel"] for row in rows] == found.channels.tolist()
    assert [row["score"] for row in rows] == pytest.approx(found.scores.tolist(), rel=1e-6)
    assert page.last("occlusion")["maps"][0]["logit"] == pytest.approx(float(predicted.logits[0, first]), rel=1e-5)
    assert "<canvas" in page.last("map")["document"]
    assert f"dc.semantic_map(net, photo, 'features', positive={first})" in page.last("question")["python"]


def test_occlusion_comes_coarse_first_and_ends_exact(page, net):
    small = keras.Input((64, 64, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.Conv2D(2, 3, name="c")(small))
    wide = dc.load(keras.Model(small, keras.layers.Dense(2)(x), name="wide"), input=(0, 1))
    shown = Page(lambda: wide, picture=np.random.default_rng(2).random((64, 64, 3), dtype=np.float32))
    stages = [message for message in shown.after() if message["say"] == "occlusion"]
    measured = [stage["measured"] for stage in stages]
    assert len(stages) > 2
    assert measured == sorted(measured)
    assert [stage["done"] for stage in stages] == [False] * (len(stages) - 1) + [True]
    assert measured[-1] == stages[-1]["windows"]
    shown.session.close()


def test_another_layer_asks_for_channels_and_map_anew_and_keeps_the_occlusion(page):
    page.after()
    before = page.last("occlusion")
    told = page.after(do="ask", layer="conv")
    assert says(told) == ["turn", "predictions", "question", "channels", "map", "occlusion"]
    assert [message for message in told if message["say"] == "occlusion"] == [before]
    assert page.last("channels")["layer"] == "conv"


def test_a_class_by_name_by_index_and_against_another(page, net):
    page.after()
    page.after(do="ask", positive="2", negative=1)
    question = page.last("question")
    assert (question["positive"]["index"], question["negative"]["index"]) == (2, 1)
    assert len(page.last("occlusion")["maps"]) == 2
    found = dc.channel_attribution(net, PICTURE, "features", positive=2, negative=1)
    assert [row["channel"] for row in page.last("channels")["opposed"]] == found.opposed.tolist()
    page.after(do="ask", negative="others")
    assert page.last("question")["negative"] == {"index": "others", "label": "all others"}
    told = page.after(do="ask", positive=None)
    assert page.last("question")["positive"] is None
    assert page.last("question")["negative"] is None
    troubles = {m["panel"]: m["words"] for m in told if m["say"] == "trouble"}
    assert troubles == {"occlusion": "Occlusion asks what a class loses; choose a class."}


def test_a_new_choice_ends_the_work_under_way(page):
    page.answer["channels"] = {"do": "ask", "layer": "conv"}
    told = page.after()
    turn = [i for i, message in enumerate(told) if message["say"] == "turn"][1]
    assert [message["layer"] for message in told if message["say"] == "map"] == ["conv"]
    assert [message["layer"] for message in told if message["say"] == "channels"] == ["features", "conv"]
    assert says(told[turn:]) == ["turn", "predictions", "question", "channels", "map", "occlusion"]
    assert told[-1]["words"] == "Done"


def test_of_many_choices_in_a_row_the_last_one_counts(page):
    page.after()
    for _ in range(10):
        page.session.receive({"do": "ask", "layer": "conv"})
        page.session.receive({"do": "ask", "layer": "features", "positive": 3})
    assert page.session.wait(LONG_S)
    assert (page.last("map")["layer"], page.last("question")["positive"]["index"]) == ("features", 3)
    assert page.last("status")["words"] == "Done"


def test_a_picture_arrives_in_pieces(page, net):
    page.after()
    content = png()
    upload(page, content, pieces=5)
    shown = page.last("picture")
    assert (shown["name"], shown["height"], shown["width"]) == ("cat.png", 8, 6)
    expected = net.predict(Image.open(io.BytesIO(content)), top=4)
    assert [row["index"] for row in page.last("predictions")["rows"]] == expected.classes[0].tolist()


def test_a_picture_that_was_chosen_before_the_network_is_there_is_shown_when_it_is(net):
    go = threading.Event()
    shown = Page(lambda: go.wait(LONG_S) and net, layer="features")
    shown.session.start()
    shown.session.receive(
        {
            "do": "picture",
            "name": "early.png",
            "upload": "1",
            "at": 0,
            "of": 1,
            "content": base64.b64encode(png()).decode(),
        }
    )
    go.set()
    assert shown.session.wait(LONG_S)
    assert [message["name"] for message in shown.told if message["say"] == "picture"] == ["early.png"]
    shown.session.close()


def test_a_new_picture_is_asked_about_its_own_first_class(page):
    page.after()
    page.after(do="ask", positive=3, negative=1)
    upload(page, png())
    question = page.last("question")
    assert question["positive"]["index"] == page.last("predictions")["rows"][0]["index"]
    assert question["negative"] is None


@pytest.mark.parametrize(
    ("message", "panel", "words"),
    [
        (
            {"do": "address", "address": "ftp://example.org/cat.jpg"},
            "picture",
            "expected one that begins with https://",
        ),
        ({"do": "address", "address": "/etc/hostname"}, "picture", "expected one that begins with https://"),
        ({"do": "address", "address": "http://127.0.0.1:9/cat.jpg"}, "picture", "127.0.0.1:9"),
        ({"do": "example", "name": "dog"}, "picture", "no example 'dog'"),
        ({"do": "ask", "positive": "tabby"}, "class", "'tabby'"),
        ({"do": "ask", "positive": 4}, "class", "4"),
        ({"do": "ask", "positive": 1, "negative": 1}, "class", "cannot be held against itself"),
        ({"do": "ask", "positive": [1]}, "class", "is no class"),
        ({"do": "ask", "layer": "featurs"}, "layer", "'features'"),
        ({"do": "dance"}, "picture", "'dance'"),
        ({"do": "picture", "upload": "1", "at": 0, "of": 1, "content": "no base64"}, "picture", "did not arrive whole"),
        ({"do": "picture"}, "picture", "did not arrive whole"),
        ({"do": ["ask"]}, "picture", "asked for ['ask']"),
    ],
    ids=[
        "ftp",
        "path",
        "nobody",
        "example",
        "class",
        "index",
        "itself",
        "list",
        "layer",
        "do",
        "base64",
        "empty",
        "kind",
    ],
)
def test_a_mistake_is_told_in_words_and_what_is_shown_stays(page, message, panel, words):
    page.after()
    told = page.after(**message)
    [trouble] = [each for each in told if each["say"] == "trouble"]
    assert trouble["panel"] == panel
    assert words in trouble["words"]
    assert "Traceback" not in trouble["words"]
    assert "turn" not in says(told)
    assert says(page.after(do="ask", layer="conv"))[-1] == "occlusion"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7 a document", "cat.png is no picture that can be read here (19 bytes)"),
        (b"", "cat.png is no picture that can be read here (empty)"),
        (png()[:200], "cat.png"),
    ],
    ids=["document", "empty", "half"],
)
def test_a_file_that_is_no_picture_is_told_and_the_picture_before_stays(page, content, words):
    page.after()
    told = upload(page, content)
    assert words in next(message for message in told if message["say"] == "trouble")["words"]
    assert page.last("picture")["name"] == "picture"
    assert says(upload(page, png()))[-1] == "occlusion"


def test_a_file_beyond_the_limit_is_refused_while_it_arrives(page):
    page.after()
    part = base64.b64encode(bytes(8 * 2**20)).decode()
    for at in range(6):
        page.session.receive({"do": "picture", "name": "big.png", "upload": "2", "at": at, "of": 9, "content": part})
    assert f"big.png is larger than {MOST_BYTES // 2**20} MB" in page.last("trouble")["words"]


def test_a_path_is_read_where_the_page_is_the_users_own_notebook(net, tmp_path):
    (tmp_path / "own.png").write_bytes(png())
    shown = Page(lambda: net, picture=PICTURE, layer="features", paths=True)
    shown.after()
    shown.after(do="address", address=str(tmp_path / "own.png"))
    assert shown.last("picture")["name"] == "own.png"
    shown.session.close()


def test_a_page_that_is_opened_again_is_told_all_that_is_shown(page):
    page.after()
    page.after(do="ask", layer="conv")
    told = page.after(do="hello")
    assert {"network", "examples", "picture", "predictions", "question", "channels", "map", "occlusion"} <= set(
        says(told)
    )
    assert len([message for message in told if message["say"] == "map"]) == 1


def test_a_layer_without_places_has_channels_and_says_why_it_has_no_map(page):
    page.after()
    told = page.after(do="ask", layer="pool")
    troubles = {m["panel"]: m["words"] for m in told if m["say"] == "trouble"}
    assert list(troubles) == ["map"]
    assert "pool has no height and width" in troubles["map"]
    assert "features" in troubles["map"]


def test_every_layer_of_a_network_can_be_chosen(page, net):
    page.after()
    for layer in page.last("network")["layers"]:
        told = page.after(do="ask", layer=layer["name"])
        assert told[-1]["words"] == "Done"
        assert says(told)[0] == "turn"


def test_a_network_without_a_classifier_shows_what_is_active(net):
    bare = dataclasses.replace(net, trained_to="features")
    shown = Page(lambda: bare, picture=PICTURE, layer="features")
    told = shown.after()
    assert "predictions" not in says(told)
    assert shown.last("network")["classes"] == []
    assert shown.last("channels")["measure"].startswith("mean activation")
    assert [m["panel"] for m in told if m["say"] == "trouble"] == ["occlusion"]
    shown.session.close()


def test_a_network_that_cannot_be_loaded_is_told():
    def load():
        raise ValueError("no network 'Nope'")

    shown = Page(load)
    told = shown.after()
    assert told[-1] == {"say": "broken", "words": "no network 'Nope'"}
    assert isinstance(shown.session.failed, ValueError)
    shown.session.receive({"do": "example", "name": "coffee"})
    shown.session.receive({"do": "ask", "layer": "conv"})
    assert shown.session.wait(LONG_S)
    shown.session.close()


def test_networks_that_a_picture_alone_does_not_fill_are_refused(net):
    both = [keras.Input((4, 4, 3), name=name) for name in ("left", "right")]
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate(name="joined")(both))
    with pytest.raises(ValueError, match="has 2 inputs"):
        check_network(dc.load(keras.Model(both, keras.layers.Dense(2)(x), name="twins"), input=(0, 1)))
    with pytest.raises(ValueError, match="takes sounds, and the explorer shows pictures"):
        check_network(dc.load("VGGish", weights=None))


def test_a_network_of_any_size_is_shown_no_huge_pictures():
    any_size = keras.Input((None, None, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(keras.layers.Conv2D(2, 3, name="c")(any_size))
    free = dc.load(keras.Model(any_size, keras.layers.Dense(2)(x), name="free"), input=(0, 1))
    shown = Page(lambda: free, picture=np.zeros((600, 1200, 3), np.float32))
    shown.after()
    assert (shown.last("picture")["height"], shown.last("picture")["width"]) == (256, 512)
    shown.session.close()


def test_closing_ends_the_work_and_says_no_more(page):
    page.answer["channels"] = None
    page.session.start()
    page.session.close()
    told = len(page.told)
    page.session.receive({"do": "ask", "layer": "conv"})
    page.session.receive({"do": "hello"})
    assert len([message for message in page.told[told:] if message["say"] in ("map", "channels")]) == 0


def test_outside_a_notebook_it_says_what_to_do(net):
    with pytest.raises(RuntimeError, match="in a terminal: diamond explore my_network, after dc.save"):
        dc.explore(net)
    with pytest.raises(KeyError, match="features"):
        dc.explore(net, layer="featurs")
    with pytest.raises(ValueError, match="held against no class"):
        dc.explore(net, positive=None, negative=1)


@pytest.mark.slow
def test_sprites_that_no_store_has_grow_and_take_their_places():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    shown = Page(lambda: net, picture=PICTURE, layer="features")
    shown.after()
    assert all(row["sprite"] is None for row in shown.last("channels")["rows"])
    looks = [message for message in shown.after(do="sprites", on=True) if message["say"] == "sprites"]
    assert len(looks) >= 4
    assert looks[-1]["done"] == looks[-1]["of"] == 5
    assert set().union(*(look["tiles"] for look in looks)) == set("01234")
    assert shown.told[-2]["say"] == "map"
    assert "tile drawn" in shown.told[-2]["document"]
    # What was rendered is there at once the next time.
    shown.after(do="ask", positive=2)
    assert all(row["sprite"].startswith("data:image/webp") for row in shown.last("channels")["rows"])
    shown.session.close()


@pytest.mark.slow
def test_rendering_stops_at_the_next_step(net):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 20

    looks = list(growing(net, "features", [0, 1, 2], stop=stop))
    assert looks == []
    assert len(asked) == 21
