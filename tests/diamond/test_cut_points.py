"""Where to cut: the middle for digits, nothing for shuffled labels, and told what is wrong with the data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import diamond as dc
from diamond.transfer.samples import SamplesError
from tests.diamond.test_transfer_scan import CUTS, residual


def coloured(n=60, seed=0):
    """Pictures whose classes are told by their redness, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    shown = rng.random((n, 12, 10, 3), dtype=np.float32) * 0.5
    shown[..., 0] += 0.25 * labels[:, None, None]
    return shown, labels


@pytest.fixture(scope="module")
def report():
    shown, labels = coloured()
    return dc.cut_points(residual(), shown, np.array(["green", "red"])[labels], layers=CUTS, progress=False)


def test_the_cheapest_cut_that_cannot_be_told_from_the_best_is_recommended(report):
    assert [cut.layer for cut in report.cuts] == ["stem", "sum", "last", "pool"]
    assert report.cuts[0].accuracy > 0.95
    assert report.recommended == "stem"
    assert "stem" in report.tied
    assert report.sentence.startswith("Cut residual at stem: ")
    assert (report.classes, report.counts) == (("green", "red"), (30, 30))
    assert report.chance == 0.5
    assert len(report.cuts[0].accuracies) == report.folds * report.repeats == 20


def test_a_report_is_a_table_a_figure_a_page_and_arrays(report, tmp_path):
    table = report.to_dataframe()
    assert table["layer"].tolist() == ["stem", "sum", "last", "pool"]
    assert table["recommended"].tolist() == [True, False, False, False]
    assert (table["multiply_adds"].diff()[1:] >= 0).all()
    assert (table["latency_s"] > 0).all()
    assert len(report.plot().axes[0].containers) == 4
    page = report.save(tmp_path / "cuts.html").read_text()
    assert report.sentence in page
    assert page.count("<tr") == 5
    for suffix in (".png", ".csv", ".npz"):
        assert report.save(tmp_path / f"cuts{suffix}").stat().st_size > 100
    assert repr(report).count("\n") >= 5


def test_shuffled_labels_recommend_nothing():
    shown, labels = coloured()
    found = dc.cut_points(
        residual(), shown, np.random.default_rng(1).permutation(labels), latency=False, progress=False
    )
    assert found.recommended is None
    assert len(found.tied) == 2
    assert "indistinguishable, and none is recommended" in found.sentence


def test_two_equal_classes_beside_a_third_do_not_name_a_winner():
    shown, _ = coloured(90, seed=2)
    found = dc.cut_points(residual(), shown, np.arange(90) // 2 % 2, latency=False, progress=False)
    assert found.choice.is_tie


def test_groups_stay_together():
    rng = np.random.default_rng(0)
    films = np.repeat(np.arange(12), 6)
    # A film's frames are alike; its class is a toss of a coin.
    shown = rng.random((12, 12, 10, 3), dtype=np.float32)[films] + 0.01 * rng.random((72, 12, 10, 3), dtype=np.float32)
    shown = shown.clip(0, 1)
    labels = (np.arange(12) % 2)[films]
    leaking = dc.cut_points(residual(), shown, labels, latency=False, progress=False)
    apart = dc.cut_points(residual(), shown, labels, groups=films, latency=False, progress=False)
    assert max(cut.knn for cut in leaking.cuts) > 0.95
    assert max(cut.knn for cut in apart.cuts) < 0.9


def test_few_empty_and_unbalanced_classes_are_told(tmp_path):
    from PIL import Image

    for name, n in (("a", 60), ("b", 5), ("c", 1), ("none", 0)):
        (tmp_path / name).mkdir()
        for i in range(n):
            colour = np.random.default_rng(i).integers(0, 255, (12, 10, 3)).astype(np.uint8)
            Image.fromarray(colour).save(tmp_path / name / f"{i}.png")
    found = dc.cut_points(residual(), tmp_path, latency=False, progress=False)
    assert found.counts == (60, 5, 1, 0)
    told = " ".join(found.notes)
    for words in ("No sample of none", "Fewer samples than folds: c (1)", "As few as 1 samples", "Unbalanced, 60 to 1"):
        assert words in told
    with pytest.raises(SamplesError, match="these samples cannot be split"):
        dc.cut_points(residual(), coloured(4)[0], ["a", "a", "a", "b"], progress=False)


def test_the_command_writes_the_report(tmp_path):
    from PIL import Image
    from typer.testing import CliRunner

    from diamond.cli import app

    shown, labels = coloured(20)
    for i, (picture, label) in enumerate(zip(shown, labels, strict=True)):
        folder = tmp_path / "data" / ("green", "red")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(folder / f"{i}.png")
    residual().model.save(tmp_path / "residual.keras")
    out = tmp_path / "cuts.html"
    done = CliRunner().invoke(
        app,
        ["cut", str(tmp_path / "residual.keras"), str(tmp_path / "data"), "--layers", "stem,last", "--no-latency",
         "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "written" in done.output
    assert "Cut residual at stem" in out.read_text()
    wrong = CliRunner().invoke(app, ["cut", "residual.keras", "nowhere", "--out", "cuts.pdf"])
    assert wrong.exit_code != 0
    assert "expected a name that ends in .html" in wrong.output


@pytest.mark.slow
def test_for_handwritten_digits_the_middle_wins():
    """1,797 digits of scikit-learn through EfficientNet-Lite0: the curve rises, peaks before the end, and falls."""
    digits = load_digits()
    shown = np.repeat((digits.images / 16)[..., None], 3, axis=-1).astype(np.float32)
    net = dc.load("EfficientNetLite0")
    found = dc.cut_points(net, [dc.image(one, 224) for one in shown[:600]], digits.target[:600], latency=False)
    accuracy = [cut.accuracy for cut in found.cuts]
    best = int(np.argmax(accuracy))
    assert 1 < best < len(accuracy) - 2
    assert accuracy[best] > 0.95
    assert accuracy[-1] < accuracy[best] - 0.005
    assert accuracy[0] < accuracy[best] - 0.05
    assert found.recommended != found.cuts[-1].layer
