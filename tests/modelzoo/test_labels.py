"""Class names: what a person types becomes the index the network answers with."""

import json
import subprocess
import sys

import numpy as np
import pytest

from modelzoo.labels import ClassError, Classes, label_sets, read_classes


@pytest.fixture(scope="module")
def imagenet():
    return read_classes("imagenet")


def test_imagenet_has_1000_classes_in_the_order_of_the_challenge(imagenet):
    assert len(imagenet) == len(imagenet.names) == len(imagenet.wordnet_ids) == 1000
    assert [imagenet[i] for i in (0, 285, 967, 999)] == ["tench", "Egyptian cat", "espresso", "toilet tissue"]
    assert imagenet.wordnet_ids[285] == "n02124075"


def test_the_packaged_list_is_the_one_beside_the_repository(imagenet, shared_data):
    pairs = json.loads((shared_data / "imagenet_classes.json").read_text())
    assert list(zip(imagenet.wordnet_ids, imagenet.names, strict=True)) == [tuple(pair) for pair in pairs]


@pytest.mark.parametrize(
    "label", ["Egyptian cat", "Egyptian_cat", "egyptian cat", " EGYPTIAN  cat ", "n02124075", 285, np.int64(285)]
)
def test_a_class_is_found_by_every_spelling(imagenet, label):
    assert imagenet.index(label) == 285


def test_every_wordnet_id_and_every_name_but_two_lead_back_to_their_index(imagenet):
    assert [imagenet.index(wordnet_id) for wordnet_id in imagenet.wordnet_ids] == list(range(1000))
    alone = [i for i, name in enumerate(imagenet.names) if imagenet.names.count(name) == 1]
    assert len(alone) == 996
    assert [imagenet.index(imagenet[i]) for i in alone] == alone


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("crane", ["134", "n02012849", "517", "n03126707"]),
        ("Crane", ["134", "517"]),
        ("maillot", ["638", "n03710637", "639", "n03710721"]),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_both_indices(imagenet, name, told):
    with pytest.raises(ClassError) as error:
        imagenet.index(name)
    assert all(word in str(error.value) for word in told)


def test_the_dog_and_the_garment_differ_by_their_capital(imagenet):
    assert imagenet.index("Cardigan") == 264
    assert imagenet.index("cardigan") == 474
    with pytest.raises(ClassError, match=r"264.*474"):
        imagenet.index("CARDIGAN")


def test_hyphens_may_be_blanks(imagenet):
    assert imagenet.index("jack o' lantern") == imagenet.index("jack-o'-lantern") == 607


def test_an_unknown_label_names_the_nearest(imagenet):
    with pytest.raises(ClassError, match="'tabby'"):
        imagenet.index("taby")
    with pytest.raises(ClassError, match="no class 'cat' among 1000; did you mean 'tiger cat'"):
        imagenet.index("cat")
    with pytest.raises(ClassError, match="n02124075"):
        imagenet.index("n0212407")
    with pytest.raises(ClassError, match="no class '' among 1000"):
        imagenet.index("")


@pytest.mark.parametrize("index", [-1, 1000, 10**30])
def test_an_index_out_of_range_names_the_range(imagenet, index):
    with pytest.raises(ClassError, match="0 to 999"):
        imagenet.index(index)
    with pytest.raises(ClassError, match="0 to 999"):
        imagenet[index]


def test_a_number_as_text_and_a_truth_value_are_refused(imagenet):
    with pytest.raises(ClassError, match="give the number 285"):
        imagenet.index("285")
    with pytest.raises(ClassError, match="True was given"):
        imagenet.index(True)
    with pytest.raises(ClassError, match="float"):
        imagenet.index(285.0)


def test_an_unknown_label_set_names_the_valid_ones():
    assert "imagenet" in label_sets()
    with pytest.raises(ClassError, match="no label set 'imagnet'; there is .*'esc10', 'imagenet', 'imagenet_devkit'"):
        read_classes("imagnet")
    with pytest.raises(ClassError, match="no label set"):
        read_classes("../cards")


def test_a_list_of_ones_own():
    classes = Classes.from_names(["oak_tree", "birch", "7"])
    assert list(classes) == ["oak tree", "birch", "7"]
    assert classes.index("Oak tree") == 0
    assert classes.index("7") == 2
    assert classes.wordnet_ids == ()
    with pytest.raises(ClassError, match=r"'a' names 2 classes: 0 'a' and 1 'a'; ask for one by its index$"):
        Classes.from_names(["a", "a"]).index("a")


@pytest.mark.parametrize("names", [[], ["a", ""], ["a", 3], "cat"])
def test_a_list_that_is_none_is_refused(names):
    with pytest.raises(ClassError):
        Classes.from_names(names)


def test_names_and_ids_must_be_as_many():
    with pytest.raises(ClassError, match="1 WordNet ids for 2 names"):
        Classes(("a", "b"), ("n1",))


def test_equal_lists_are_equal_and_hash_alike():
    assert Classes.from_names(["a", "b"]) == Classes.from_names(["a", "b"])
    assert len({Classes.from_names(["a"]), Classes.from_names(["a"])}) == 1


def test_class_names_need_no_tensorflow():
    code = "import sys, modelzoo.labels as m; m.read_classes('imagenet'); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
