"""Questions that need the pictures more than once: the same answers whether they are held, or a folder is read again."""

import numpy as np
import pytest

import diamond as dc
from diamond.attribution import passes
from tests import tiny
from tests.diamond.test_attribution_streams import photos

QUESTIONS = {
    "channels": lambda net, images: dc.ablate(net, images, "features", positive=0, fill="mean", top=3),
    "cells": lambda net, images: dc.ablate(net, images, "features", positive=0, fill="mean", cells="top", top=3),
    "groups": lambda net, images: dc.groups(net, images, "features", k=2, positive=0),
    "words": lambda net, images: dc.describe(net, images, "features", top=3),
}


@pytest.fixture
def net():
    return dc.load(tiny.linear_tail(), input=(0, 1))


def arrays(found):
    return {name: array for name, array in found._arrays().items() if name != "pictures"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_folder_that_is_read_again_gives_what_held_pictures_give(question, net, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", 40)
    held = QUESTIONS[question](net, folder)
    monkeypatch.setattr(passes, "HELD_BYTES", 0)
    again = QUESTIONS[question](net, folder)
    assert held.images == again.images
    assert len(held.images) == 40
    for name, array in arrays(held).items():
        np.testing.assert_array_equal(array, arrays(again)[name])
    assert repr(held) == repr(again)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_broken_file_is_told_once_skipped_and_counted(question, net, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "HELD_BYTES", 0)
    folder = photos(tmp_path / "photos", 5)
    (folder / "one" / "1.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped 1 of 5 pictures: one/1.png: empty") as told:
        found = QUESTIONS[question](net, folder)
    assert len(told) == 1
    assert found.images == ("one/3.png", "two/0.png", "two/2.png", "two/4.png")
    assert [reason.partition(":")[0] for reason in found.skipped] == ["one/1.png"]
    assert "1 skipped: not readable" in found._repr_html_()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_generator_is_held_and_only_the_first_few_pictures_are_kept(question, net):
    rng = np.random.default_rng(0)
    pictures = rng.random((20, 8, 6, 3)).astype(np.float32)
    found = QUESTIONS[question](net, (picture for picture in pictures))
    whole = QUESTIONS[question](net, pictures)
    for name, array in arrays(found).items():
        np.testing.assert_array_equal(array, arrays(whole)[name])
    assert found.pictures.shape == (6, 8, 6, 3)
    assert "and 14 more" in found._repr_html_()
    assert found.plot() is not None


def test_places_are_drawn_evenly_from_all_pictures(monkeypatch):
    from diamond.attribution import groups

    monkeypatch.setattr(groups, "MOST_PLACES", 60)
    some = groups._Sample(0)
    for i in range(10):
        some.add(np.full((2, 10, 10, 1), i, np.float32))
    counts = np.bincount(some.cells[:, 0].astype(int), minlength=10)
    assert some.cells.shape == (60, 1)
    assert counts.min() >= 1
    assert counts.max() <= 14
    assert (np.diff(some.cells[:, 0]) >= 0).all()


def test_groups_of_more_pictures_than_are_asked_about_are_refused(net):
    pictures = np.random.default_rng(0).random((3, 8, 6, 3)).astype(np.float32)
    found = dc.groups(net, pictures, "features", k=2)
    with pytest.raises(ValueError, match="the groups are of 3 pictures at 'features'; expected 2 at 'features'"):
        dc.ablate(net, pictures[:2], "features", groups=found)


def test_exemplars_of_a_network_with_another_input(tmp_path):
    from tests.diamond.test_attribution_identities import two_inputs

    folder = photos(tmp_path / "photos", 3)
    (folder / "one" / "1.png").write_bytes(b"")
    net = dc.load(two_inputs(), input=(0, 1))
    other = np.array([[100, 0], [1, 0], [2, 0]], np.float32)
    with pytest.warns(UserWarning, match="skipped 1 of 3"):
        found = dc.exemplars(net, folder, "both", [2], given={"other": other}, top=2)
    assert found.images == (("two/2.png", "two/0.png"),)
    np.testing.assert_allclose(found.values, [[2.0, 1.0]])
