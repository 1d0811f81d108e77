"""Whole networks into a store: which layers, by which recipe, how good, and tried again where it did not work."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diamond as dc
from diamond.features.recipes import read_recipe
from diamond.pregenerate import choice, freeze
from diamond.pregenerate.costs import Cost, Rates, fit_rates, layer_costs
from diamond.pregenerate.quality import at_rest, examiner, photo_bests
from diamond.pregenerate.schedule import check_shard
from spritemaps import Store, StoreError
from tests import tiny

QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=16, steps=4)


def small():
    return dc.load(tiny.nested(), input=(0, 1))


def render(net, store, **how):
    return dc.pregenerate(net, **{"recipe": QUICK, "store": store, "progress": False, "retries": 0, **how})


def contents(store):
    return {
        path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()
    }


def photo(folder, name, value):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), value, np.uint8)).save(folder / name)


def test_named_layers_are_rendered_and_found_afterwards(tmp_path):
    net = small()
    report = render(net, tmp_path, layers=["backbone/block/conv", "backbone/wide"], batch=3)
    assert [(row.layer, row.state, row.done, row.channels) for row in report.layers] == [
        ("backbone/block/conv", "finished", 4, 4),
        ("backbone/wide", "finished", 6, 6),
    ]
    # Four channels in two batches of two, six in two of three.
    assert (report.batches, report.complete, report.stopped) == (4, True, "")
    assert [row.image_steps for row in report.layers] == [16, 24]
    again = render(net, tmp_path, layers=["backbone/block/conv", "backbone/wide"], batch=3)
    assert (again.batches, again.complete) == (0, True)
    assert dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path).channels == (0, 1, 2, 3, 4, 5)


def test_layers_that_are_not_there_are_named(tmp_path):
    with pytest.raises(KeyError, match="did you mean 'backbone/wide'"):
        render(small(), tmp_path, layers=["backbone/wid"])
    with pytest.raises(ValueError, match="nested names no landmarks; say which layers"):
        render(dataclasses.replace(small(), card=dataclasses.replace(small().card, landmarks=())), tmp_path)
    with pytest.raises(RuntimeError, match="no channel 9 in 'backbone/wide'; its 6 channels run from 0 to 5"):
        render(small(), tmp_path, layers="backbone/wide", channels=[9])
    with pytest.raises(ValueError, match="no engine 'slurm'; expected 'local' or 'ray'"):
        render(small(), tmp_path, layers="backbone/wide", engine="slurm")
    assert not any(tmp_path.iterdir())


def test_all_layers_come_after_the_landmarks_each_picture_once(tmp_path):
    net = dc.load(tiny.one_filter(), input=(0, 1))
    landmarks = [layer.name for layer in choice.chosen_layers(net)]
    names = [layer.name for layer in choice.chosen_layers(net, all_layers=True)]
    assert names[: len(landmarks)] == landmarks
    assert sorted(names) == ["answer", "mean", "sum"]
    assert len({net.fingerprint(name) for name in names}) == 3


def test_channels_asked_for_come_first_and_the_rest_finishes_the_layer(tmp_path):
    net = small()
    report = render(net, tmp_path, layers="backbone/wide", channels=[5, 2], batch=2)
    assert [(row.state, row.done) for row in report.layers] == [("unfinished", 2)]
    [job] = Store(tmp_path).unfinished()
    assert job.so_far().channels == (2, 5)
    assert job.spec.batches == ((5, 2), (0, 1), (3, 4))
    assert render(net, tmp_path, layers="backbone/wide", batch=2).batches == 2
    assert Store(tmp_path).unfinished() == ()


def test_shallow_layers_are_textures_and_deep_ones_sprites():
    net = dc.load("EfficientNetLite0", weights=None)
    assert [
        choice.recipe_for(net.layers[name], net.input)
        for name in ("block2_add", "block4_add", "block7_add", "head_relu")
    ] == [
        "texture",
        "texture",
        "sprite",
        "sprite",
    ]


def test_a_layer_that_takes_one_size_only_is_rendered_at_the_networks_own(tmp_path):
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((20, 20, 3))
    x = keras.layers.Conv2D(2, 3, activation="relu", name="conv")(image)
    model = keras.Model(image, keras.layers.Dense(3, name="dense")(keras.layers.Flatten()(x)), name="flat")
    report = render(dc.load(model, input=(0, 1)), tmp_path, layers=["conv", "dense"])
    assert [(row.layer, row.tile_px) for row in report.layers] == [("conv", 16), ("dense", 20)]


def test_batches_are_as_even_as_can_be():
    assert [freeze.width_for(n) for n in (1, 24, 32, 33, 40, 112, 528, 1280)] == [1, 24, 32, 17, 20, 28, 32, 32]
    assert [freeze.retry_width(n, 28) for n in (1, 2, 3, 5, 17, 28)] == [1, 2, 4, 8, 28, 28]


def test_a_job_freezes_all_that_decides_a_byte(tmp_path):
    render(small(), tmp_path, layers="backbone/wide", channels=[0], batch=2, retries=2)
    [job] = Store(tmp_path).unfinished()
    frozen = json.loads((job.folder / "job.json").read_bytes())
    assert set(frozen["settings"]) == {"batch", "device", "dtype", "statistic", "threads", "xla"}
    assert [rung["seed"] for rung in frozen["ladder"]] == [0, 1, 2]
    assert [rung["recipe"]["steps"] for rung in frozen["ladder"]] == [4, 4, 8]
    assert set(frozen["versions"]) == {"diamond-cutter", "keras", "numpy", "tensorflow"}


def test_the_last_rung_is_the_phase_recipe_asking_the_same():
    last = freeze.ladder_of(read_recipe("sprite"), seed=7, retries=3)[-1]
    assert (last["recipe_name"], last["seed"]) == ("phase", 10)
    assert [ask[0] for ask in last["recipe"]["asks"]] == [a[0] for a in read_recipe("sprite").asks if a[0] != "alpha"]
    with pytest.raises(ValueError, match="4 retries; expected 0 to 3"):
        freeze.ladder_of(QUICK, seed=0, retries=4)


def test_robust_activation_of_a_flat_picture_is_what_it_reaches_unmoved():
    # White: 3 - 1 = 2 at every place; what moves in from beyond the edge is grey, 0.5, and a little less.
    net = dc.load(tiny.one_filter(), input=(0, 1))
    examine = examiner(net, "sum", statistic="max", width=3, size=(16, 16))
    np.testing.assert_allclose(examine(np.ones((2, 16, 16, 3), np.float32), [0, 0]), [2.0, 2.0], rtol=1e-5)
    np.testing.assert_allclose(at_rest(net, "sum", statistic="mean", size=(16, 16)), [0.5], rtol=1e-6)
    with pytest.raises(ValueError, match="4 pictures; this examiner takes 3 at once"):
        examine(np.ones((4, 16, 16, 3), np.float32), [0] * 4)


def test_robust_activation_does_not_depend_on_how_many_are_measured():
    net = small()
    pictures = np.random.default_rng(0).random((3, 16, 16, 3), dtype=np.float32)
    examine = examiner(net, "backbone/wide", statistic="mean", width=4, size=(16, 16))
    together = examine(pictures, [0, 3, 5])
    alone = [examine(pictures[i : i + 1], [c])[0] for i, c in enumerate([0, 3, 5])]
    np.testing.assert_array_equal(together, alone)


def test_the_best_photo_of_each_channel_is_named(tmp_path):
    photo(tmp_path / "photos", "white.png", 255)
    photo(tmp_path / "photos", "black.png", 0)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    net = dc.load(tiny.one_filter(), input=(0, 1))
    files = sorted((tmp_path / "photos").iterdir())
    with pytest.warns(UserWarning, match=r"broken\.png is passed over"):
        [bests] = photo_bests(net, [net.layers["sum"]], ["mean"], files)
    assert [bests.names[i] for i in bests.which] == ["white.png"]
    np.testing.assert_allclose(bests.best, [2.0])


def test_photos_stand_beside_the_sprites_and_set_the_bar(tmp_path):
    photo(tmp_path / "photos", "white.png", 255)
    net = dc.load(tiny.one_filter(), input=(0, 1))
    recipe = dataclasses.replace(QUICK, steps=24)
    report = render(net, tmp_path / "s", layers="sum", photos=tmp_path / "photos", retries=1, recipe=recipe)
    [record] = Store(tmp_path / "s").layers()[0].records
    assert (record.photo, record.photo_best) == ("white.png", 2.0)
    # No picture is as white as the photo when grey moves in from beyond its edge: it was tried once more.
    assert record.robust < 2.0
    assert (record.attempts, report.layers[0].retried) == (2, 1)
    assert report.layers[0].quality == pytest.approx(record.robust / 2.0)


def test_a_dead_channel_is_tried_as_often_as_the_ladder_says_and_never_again(tmp_path):
    model = tiny.one_filter()
    tiny.constant(model, {"sum/bias": -50.0})
    net = dc.load(model, input=(0, 1))
    report = render(net, tmp_path, layers="sum", retries=3)
    [record] = Store(tmp_path).layers()[0].records
    assert (record.alive, record.attempts, record.kept) == (False, 4, 1)
    assert (report.batches, report.layers[0].dead, report.layers[0].retried) == (4, 1, 1)
    assert render(net, tmp_path, layers="sum", retries=3).batches == 0
    ladder = Store(tmp_path).layers()[0].manifest.ladder
    assert [rung["recipe_name"] for rung in ladder] == ["quick", "quick", "quick", "phase"]
    assert "dead after 4 attempts" in Store(tmp_path).layers()[0].save(tmp_path / "page.html").read_text()


def test_what_was_begun_goes_on_as_it_was_begun_and_says_so(tmp_path):
    net = small()
    render(net, tmp_path / "s", layers="backbone/wide", channels=[0], batch=2)
    photo(tmp_path / "photos", "white.png", 255)
    again = render(net, tmp_path / "s", layers="backbone/wide", batch=3, retries=1, photos=tmp_path / "photos")
    assert again.notes == (
        "backbone/wide was begun without photos, and goes on so",
        "backbone/wide was begun with 0 retries, and goes on so",
        "backbone/wide was begun with batch 2, and goes on so",
    )
    assert Store(tmp_path / "s").layers()[0].records[0].photo is None


def test_another_seed_is_refused_before_anything_is_rendered(tmp_path):
    render(small(), tmp_path, layers="backbone/wide")
    with pytest.raises(StoreError, match="finished with seed 0, and 5 was asked for"):
        render(small(), tmp_path, layers="backbone/wide", seed=5)


def test_a_budget_that_is_spent_leaves_the_store_as_it_was(tmp_path):
    report = render(small(), tmp_path, layers="backbone/wide", budget=-1.0)
    assert (report.stopped, report.batches) == ("the budget is spent; the same call goes on", 0)
    assert contents(tmp_path) == {}
    assert render(small(), tmp_path, layers="backbone/wide", budget=600.0).complete


def test_shards_together_make_what_one_run_makes(tmp_path):
    net = small()
    how = {"layers": ["backbone/wide"], "batch": 2, "retries": 1}
    render(net, tmp_path / "whole", **how)
    done = [render(net, tmp_path / "parts", shard=f"{i}/2", **how) for i in (1, 2)]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    # Three batches of first attempts; the shard that comes last does the later ones too, and finishes the layer.
    assert [report.complete for report in done] == [False, True]
    assert done[0].batches == 2


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", (1, 2, 3)])
def test_a_shard_that_cannot_be_is_refused(shard):
    with pytest.raises(ValueError, match="expected i/n with i from 1 to n"):
        check_shard(shard)


def test_a_plan_prices_what_is_left_and_writes_nothing(tmp_path):
    net = small()
    plan = render(net, tmp_path, layers=["backbone/block/conv", "backbone/wide"], batch=2, plan_only=True)
    assert not any(tmp_path.iterdir())
    assert [(row.state, row.image_steps) for row in plan.layers] == [("planned", 16), ("planned", 24)]
    assert plan.forecast_s > 0
    # 16 px a side, 0.58 bytes a pixel.
    assert [row.forecast_bytes for row in plan.layers] == [594, 891]
    render(net, tmp_path, layers="backbone/wide", channels=[0, 1], batch=2)
    render(net, tmp_path, layers="backbone/block/conv")
    after = render(net, tmp_path, layers=["backbone/block/conv", "backbone/wide"], batch=2, plan_only=True)
    assert [(row.state, row.done, row.image_steps) for row in after.layers] == [
        ("finished", 4, 0),
        ("unfinished", 2, 16),
    ]
    assert after.layers[0].forecast_s == 0


def test_costs_count_multiplications_and_values_on_the_canvas():
    net = dc.load(tiny.one_filter(), input=(0, 1))
    # 4 x 4 places of 3 x 1 multiplications; the convolution and its ReLU give 16 values each.
    assert layer_costs(net, [net.layers["sum"]], 4) == {"sum": Cost(macs=48.0, values=32.0, nodes=3)}
    assert layer_costs(net, [net.layers["sum"]], 8)["sum"].macs == 192.0


def test_rates_are_found_again_from_what_they_made():
    rates = Rates(s_per_mac=2e-11, s_per_value=1e-8, s_per_picture=1e-3, s_per_node=0.1)
    costs = [Cost(1e7, 5e5, 10), Cost(2e8, 1e6, 40), Cost(6e8, 4e6, 90)]
    found = fit_rates(costs, [rates.step_s(c) for c in costs], [rates.compile_s(c) for c in costs])
    np.testing.assert_allclose(found, rates, rtol=1e-6)
    one = fit_rates(costs[:1], [0.5], [3.0])
    assert one.step_s(costs[0]) == pytest.approx(0.5)
    assert all(rate >= 0 for rate in fit_rates(costs, [1.0, 0.5, 0.2], [1.0, 1.0, 1.0]))


def test_a_report_is_a_table_a_figure_and_a_page(tmp_path):
    report = render(small(), tmp_path / "s", layers="backbone/wide")
    assert report.to_dataframe()[["layer", "done", "state"]].values.tolist() == [["backbone/wide", 6, "finished"]]
    assert f"6 of 6 channels in 1 layer, {report.layers[0].dead} dead, 0 retried" in str(report)
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert report.save(tmp_path / f"report{suffix}").stat().st_size > 100
    with np.load(tmp_path / "report.npz") as arrays:
        assert arrays["done"].tolist() == [6]
    assert "<iframe" in report._repr_html_()
    assert Path(tmp_path / "report.html").read_text().count(">backbone/wide<") == 1
