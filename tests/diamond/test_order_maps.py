"""Orders: a shuffled known order is found again, by each method where it can be, and what cannot be ordered is told."""

import numpy as np
import pytest

import diamond as dc
from diamond.inspection import seriation
from tests import tiny

RNG = np.random.default_rng(7)


def shuffled(stack: np.ndarray, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(stack.shape[-1])
    return stack[..., order], order


def wandering(n: int = 40, height: int = 6, width: int = 50) -> np.ndarray:
    """A bump that wanders from the left to the right, whole at both ends, a channel a step: ``(height, width, n)``."""
    middles = np.linspace(12, width - 13, n)
    bump = np.exp(-np.square((np.arange(width)[:, None] - middles) / 5.0))
    return np.repeat(bump[None], height, axis=0).astype(np.float32)


def growing(n: int = 30) -> np.ndarray:
    """One pattern, stronger from channel to channel, and a little noise."""
    pattern = RNG.random((5, 7, 1))
    return (pattern * np.linspace(0.5, 4, n) + 0.001 * RNG.random((5, 7, n))).astype(np.float32)


def is_up_to_reversal(found: np.ndarray) -> bool:
    steps = np.diff(found)
    return bool((steps == 1).all() or (steps == -1).all())


@pytest.mark.parametrize("method", ["spectral", "leaves"])
def test_similarity_finds_a_shuffled_wandering_bump_again(method):
    stack, order = shuffled(wandering())
    found = dc.order_maps(stack, method=method)
    assert is_up_to_reversal(order[found.permutation])
    assert is_up_to_reversal(order[found.order])
    assert found.ordered.shape == (6, 50, 40)
    assert found.steps[1] < 0.2 * found.steps[2]
    assert found.gain > 0.8


def test_the_first_component_finds_growing_maps_again_the_strongest_last():
    stack, order = shuffled(growing())
    found = dc.order_maps(stack, method="pca")
    assert order[found.permutation].tolist() == list(range(30))
    assert found.ordered[..., -1].sum() > found.ordered[..., 0].sum()


def test_each_row_has_its_own_order():
    n = 24
    base = np.linspace(1, 5, n)
    stack = np.empty((4, 3, n), np.float32)
    orders = [np.random.default_rng(row).permutation(n) for row in range(4)]
    for row, order in enumerate(orders):
        stack[row] = np.array([1.0, 2.0, 0.5])[:, None] * base[order]
    found = dc.order_maps(stack, method="pca_rows")
    assert found.permutation.shape == (4, n)
    for row, order in enumerate(orders):
        assert is_up_to_reversal(order[found.permutation[row]])
    assert found.steps[1] == pytest.approx(4 / 23 * 3.5 / 3, rel=1e-3)


def test_rows_of_opposite_sign_are_turned_alike():
    base = np.linspace(1, 5, 9, dtype=np.float32)
    stack = np.stack([np.outer([1.0, 1.0], base), np.zeros((2, 9)), np.outer([-1.0, -1.0], base)])
    found = dc.order_maps(stack, method="pca_rows")
    assert found.permutation[0].tolist() == list(range(9))
    assert found.permutation[2].tolist() == list(range(9))


def test_k_means_brings_planted_groups_together():
    kinds = np.eye(3)[:, :, None] * 5
    groups = np.repeat(np.arange(3), 8)
    stack = np.repeat(kinds[:, groups].transpose(2, 0, 1), 4, axis=0) + 0.01 * RNG.random((4, 3, 24))
    mixed, order = shuffled(stack.astype(np.float32))
    found = dc.order_maps(mixed, method="kmeans", clusters=3, row=2)
    kinds_in_order = groups[order][found.permutation]
    assert (np.diff(kinds_in_order) != 0).sum() == 2
    assert found.clusters.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert found.row == 2
    assert "k-means on row 2 (counted from 0): 3 clusters." in found.notes
    again = dc.order_maps(mixed, method="kmeans", clusters=3, row=2)
    assert again.permutation.tolist() == found.permutation.tolist()


def test_fewer_different_maps_than_clusters():
    stack = np.repeat(np.array([1.0, 2.0], np.float32), 5)[None, None].repeat(2, axis=1)
    found = dc.order_maps(stack, method="kmeans", clusters=8)
    assert sorted(set(found.clusters.tolist())) == [0, 1]


def test_a_random_order_gains_nothing_and_any_two_channels_are_counted():
    stack = np.array([0.0, 1.0, 3.0], np.float32)[None, None]
    found = dc.order_maps(stack, method="pca")
    assert found.steps == pytest.approx(((1 + 2) / 2, (1 + 2) / 2, (1 + 3 + 2) / 3))
    noise = RNG.random((20, 20, 60)).astype(np.float32)
    assert dc.order_maps(noise, method="pca").steps[0] == pytest.approx(
        dc.order_maps(noise, method="pca").steps[2], rel=0.02
    )


def test_maps_without_shape_stand_at_the_end():
    stack = wandering(10)
    stack[..., 3] = 0.0
    stack[..., 7] = 2.5
    found = dc.order_maps(stack)
    assert found.method == "leaves"
    assert found.permutation[-2:].tolist() == [3, 7]
    assert "2 of the 10 maps have one value everywhere" in found.notes[0]
    every = dc.order_maps(np.zeros((3, 3, 5)))
    assert every.permutation.tolist() == [0, 1, 2, 3, 4]
    assert every.sentence == "All maps are the same; every order is as good."


@pytest.mark.parametrize("method", ["spectral", "leaves", "pca", "pca_rows", "kmeans"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_channels_have_an_order_too(method, n):
    found = dc.order_maps(wandering(5)[..., :n], method=method)
    assert sorted(np.atleast_2d(found.permutation)[0].tolist()) == list(range(n))
    assert found.plot() is not None
    assert "<h1>" in found._page()


def test_correlation_of_maps():
    found = seriation.correlations(np.array([[0.0, 1.0], [0.0, 5.0], [3.0, 1.0], [2.0, 2.0]]))
    assert found.round(6).tolist() == [[1, 1, -1, 0], [1, 1, -1, 0], [-1, -1, 1, 0], [0, 0, 0, 0]]


def test_the_maps_of_a_network_keep_their_channels_numbers():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    maps = dc.activation_maps(net, RNG.random((8, 6, 3), dtype=np.float32), "features", channels=[4, 1, 3])
    found = dc.order_maps(maps)
    assert sorted(found.order.tolist()) == [1, 3, 4]
    assert found.name == "linear_tail features, picture 0"
    table = found.to_dataframe()
    assert table.columns.tolist() == ["place", "channel"]
    rows = dc.order_maps(maps, method="pca_rows").to_dataframe()
    assert len(rows) == 8 * 3
    both = dc.activation_maps(net, RNG.random((8, 6, 3), dtype=np.float32), ["conv", "features"], channels=[0, 1, 2])
    assert dc.order_maps(both, layer="conv").maps.shape == (8, 6, 3)
    with pytest.raises(ValueError, match="maps of 2 layers were given"):
        dc.order_maps(both)


@pytest.mark.parametrize(
    ("maps", "options", "error", "words"),
    [
        ((2, 2, 3), {"method": "spectrl"}, ValueError, "did you mean 'spectral'"),
        ((2, 2, 3), {"clusters": 0}, ValueError, "clusters is 0"),
        ((2, 2, 3), {"row": 2}, IndexError, "row 2 is out of range: the maps have rows 0 to 1"),
        (
            (2, 3),
            {},
            ValueError,
            r"expected numbers \(height, width, channel\) or activation maps, found shape \(2, 3\)",
        ),
        ((2, 2, 0), {}, ValueError, "no maps: the shape is"),
        ((1, 1, 2501), {"method": "leaves"}, ValueError, "too many for 'leaves'"),
    ],
    ids=["method", "clusters", "row", "shape", "none", "leaves"],
)
def test_what_cannot_be_ordered_is_told(maps, options, error, words):
    values = np.repeat(np.arange(2.0), 2).reshape(2, 2, 1) * np.ones(maps[-1]) if maps[:2] == (2, 2) else np.ones(maps)
    values = np.random.default_rng(0).random((2, 1, maps[-1])) if maps[-1] > 2500 else values
    with pytest.raises(error, match=words):
        dc.order_maps(values, **options)


def test_numbers_that_are_none_are_told_by_channel():
    stack = wandering(4)
    stack[2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 4 maps hold NaN or infinite values, the first channel 1"):
        dc.order_maps(stack)
    with pytest.raises(ValueError, match="found str"):
        dc.order_maps("maps.npz")


@pytest.mark.parametrize("method", ["spectral", "kmeans", "pca_rows"])
def test_the_page_and_the_files(browser, tmp_path, method):
    stack, _ = shuffled(wandering())
    found = dc.order_maps(stack, method=method)
    asked, shown = [], browser.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark").new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(found.save(tmp_path / "order.html").as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert shown.locator(".tile").count() == 40
    assert shown.locator(".pair img").count() == (4 if method == "pca_rows" else 6)
    sizes = shown.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert all(natural == 40 and width > 100 for natural, width in sizes)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"order{suffix}").stat().st_size > 0
    assert np.load(tmp_path / "order.npz")["ordered"].shape == (6, 50, 40)
    assert found._repr_html_().startswith("<iframe")


@pytest.mark.slow
def test_real_maps_in_order_are_nearer_than_chance(shared_data):
    net = dc.load("EfficientNetLite0")
    maps = dc.activation_maps(net, sorted((shared_data / "photos").iterdir())[0], "block9_add")
    gains = {
        method: dc.order_maps(maps, method=method).gain
        for method in ("spectral", "leaves", "pca", "pca_rows", "kmeans")
    }
    assert all(gain > 0 for gain in gains.values())
    given = dc.order_maps(maps).steps
    assert given[0] == pytest.approx(given[2], rel=0.1)
