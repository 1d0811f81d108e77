"""What the examples in docstrings take for granted: names, and files in the working folder.

The first page of the reference tells its reader the same. Pictures come with scikit-image, scikit-learn and matplotlib;
nothing is fetched.
"""

from __future__ import annotations

import functools
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SLOW", "lay_out", "names_used", "write_files"]

# Examples that take more than about two seconds, or draw and save a whole result: `make test-all` runs them.
SLOW: frozenset[str] = frozenset(
    {
        "diamond.attribution.ablated.Ablation",
        "diamond.attribution.channels",
        "diamond.attribution.described.Description",
        "diamond.attribution.flow",
        "diamond.attribution.flow.flow",
        "diamond.attribution.flowed.Flow",
        "diamond.attribution.grouped.Groups",
        "diamond.attribution.ranking.AttributionByLayer",
        "diamond.attribution.ranking.ChannelAttribution",
        "diamond.attribution.saliency.saliency",
        "diamond.attribution.saliency_map.SaliencyMap",
        "diamond.attribution.saliency_map.SaliencyMap.heatmaps",
        "diamond.attribution.saliency_map.SaliencyMap.randomisation",
        "diamond.attribution.semantic.SemanticMap",
        "diamond.attribution.spatial",
        "diamond.attribution.spatial.SpatialAttribution",
        "diamond.callbacks.training_atlas.TrainingAtlas",
        "diamond.callbacks.training_log.TrainingLog",
        "diamond.features.objectives.diversity",
        "diamond.features.objectives.group",
        "diamond.features.render.render",
        "diamond.features.rendering.Rendering",
        "diamond.features.search.RecipeSearch",
        "diamond.features.search.find_recipe",
        "diamond.features.sound_rendering.SoundRendering",
        "diamond.inspection.activations.activation_maps",
        "diamond.inspection.codes",
        "diamond.inspection.differentiated.WeightGradients",
        "diamond.inspection.differentiated.WeightGradients.volume",
        "diamond.inspection.embed.embed",
        "diamond.inspection.embedded.Embedding",
        "diamond.inspection.exemplified.Exemplars",
        "diamond.inspection.exemplified.Exemplars.keep",
        "diamond.inspection.filtered.Filters",
        "diamond.inspection.health_report.Health",
        "diamond.inspection.inversion.invert",
        "diamond.inspection.inverted.Inversion",
        "diamond.inspection.mapped.ActivationMaps",
        "diamond.inspection.matched.Correspondence",
        "diamond.inspection.ordered.OrderedMaps",
        "diamond.inspection.voxels.Volume",
        "diamond.occlusion.full",
        "diamond.occlusion.heard.SoundOcclusion",
        "diamond.occlusion.heard.SoundOcclusions",
        "diamond.occlusion.occlude.occlude",
        "diamond.occlusion.occluded.OcclusionMap",
        "diamond.occlusion.occluded.OcclusionMaps",
        "diamond.pregenerate.diverse.diverse",
        "diamond.pregenerate.portable",
        "diamond.pregenerate.report.PregenerationReport",
        "diamond.pregenerate.run.pregenerate",
        "diamond.pregenerate.status",
        "diamond.samples",
        "diamond.show.result.Result",
        "diamond.show.several.Several",
        "diamond.transfer.before_after.BeforeAfter",
        "diamond.transfer.before_after.before_and_after",
        "diamond.transfer.compare.compare",
        "diamond.transfer.comparison.Comparison",
        "diamond.transfer.comparison.Comparison.before_and_after",
        "diamond.transfer.cut_points.cut_points",
        "diamond.transfer.cut_report.CutReport",
        "diamond.transfer.cuts",
        "diamond.transfer.feed",
        "diamond.transfer.freeze_hints.FreezeHints",
        "diamond.transfer.freeze_hints.freeze_hints",
        "diamond.transfer.head_start",
        "diamond.transfer.scan",
        "diamond.transfer.train.train",
        "diamond.transfer.training.Training",
        "modelzoo.architectures.inception_v1",
        "modelzoo.architectures.inception_v2",
        "modelzoo.architectures.inception_v4",
        "modelzoo.architectures.keras_applications",
        "modelzoo.architectures.pnasnet",
        "modelzoo.architectures.resnet_v1_slim",
        "modelzoo.check",
        "modelzoo.check.check_network",
        "modelzoo.convert.convert",
        "modelzoo.inputs.frontends",
        "modelzoo.network",
        "modelzoo.value_range",
        "modelzoo.value_range.suggest_value_range",
        "spritemaps.merge.merge",
        "spritemaps.site",
        "spritemaps.site.site",
        "spritemaps.store.Store",
        "spritemaps.verify",
    }
)

CLASSES = ("brick", "grass", "gravel")
RATE = 16000


def write_files(folder: Path) -> None:
    """Write ``cat.jpg``, ``coffee.jpg``, ``photos/``, ``cats/``, ``textures/train/``, ``textures/val/``, ``song.wav``."""
    import soundfile
    from PIL import Image

    shown = _photos()
    for place in ("photos", "cats"):
        (folder / place).mkdir()
    for name, pixels in shown.items():
        Image.fromarray(pixels).save(folder / "photos" / f"{name}.jpg", quality=95)
    for name in ("cat", "coffee"):
        shutil.copy(folder / "photos" / f"{name}.jpg", folder / f"{name}.jpg")
    for i, pixels in enumerate((shown["cat"], shown["cat"][:, ::-1], shown["cat"][:250, 80:400])):
        Image.fromarray(pixels).save(folder / "cats" / f"cat.{i}.jpg", quality=95)
    for part, rows in (("train", range(3)), ("val", range(3, 4))):
        for name in CLASSES:
            place = folder / "textures" / part / name
            place.mkdir(parents=True)
            pixels = _texture(name)
            for row in rows:
                for column in range(4):
                    tile = pixels[row * 128 : row * 128 + 128, column * 128 : column * 128 + 128]
                    Image.fromarray(tile).save(place / f"{row}{column}.png")
    soundfile.write(folder / "song.wav", _plucked(), RATE)


def lay_out(files: Path, folder: Path) -> None:
    """Lay the files into the working folder of one example, as links."""
    for path in files.iterdir():
        (folder / path.name).symlink_to(path)


def names_used(source: str) -> dict[str, Any]:
    """Give the names that an example uses and nobody defines in it, and seed what is random."""
    if "keras" in sys.modules:
        _keras().utils.set_random_seed(0)
    return {name: make() for name, make in _NAMES.items() if re.search(rf"(?<![.\w]){name}\b(?!\s*=[^=])", source)}


def _photos() -> dict[str, np.ndarray]:
    import skimage
    from matplotlib import cbook
    from PIL import Image
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        hopper = np.asarray(Image.open(file).convert("RGB"))
    return {
        "astronaut": skimage.data.astronaut(),
        "cat": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "flower": flower,
        "hopper": hopper,
        "motorcycle": skimage.data.stereo_motorcycle()[0],
        "rocket": skimage.data.rocket(),
        "temple": china,
    }


def _texture(name: str) -> np.ndarray:
    import skimage

    return getattr(skimage.data, name)()


def _plucked() -> np.ndarray:
    """Six plucked strings, half a second each (Karplus and Strong 1983)."""
    rng = np.random.default_rng(0)
    sound = np.zeros(3 * RATE, np.float32)
    for i, hz in enumerate((196, 247, 294, 392, 294, 247)):
        string = rng.uniform(-1, 1, RATE // hz)
        for t in range(RATE // 2):
            sound[i * RATE // 2 + t] = 0.4 * string[t % len(string)]
            string[t % len(string)] = 0.498 * (string[t % len(string)] + string[(t + 1) % len(string)])
    return sound


def _diamond() -> Any:
    import diamond

    return diamond


def _keras() -> Any:
    import keras

    return keras


@functools.cache
def _photo() -> np.ndarray:
    return _diamond().image(_photos()["cat"])


@functools.cache
def _net() -> Any:
    return _diamond().load("EfficientNetLite0")


@functools.cache
def _ear() -> Any:
    return _diamond().load("Yamnet256_esc10", weights=None)


def _student() -> Any:
    return _diamond().attach(_net(), "block4_add", classes=CLASSES, name="student")


def _small() -> Any:
    layers = _keras().layers
    parts = [layers.Input((32, 32, 3)), layers.Conv2D(4, 3, activation="relu", name="edges"), layers.MaxPooling2D()]
    parts += [layers.Conv2D(6, 3, activation="relu", name="parts"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return _diamond().load(_keras().Sequential(parts, name="small"))


_NAMES = {
    "dc": _diamond,
    "np": lambda: np,
    "keras": _keras,
    "Path": lambda: Path,
    "net": _net,
    "photo": _photo,
    "student": _student,
    "ear": _ear,
    "small": _small,
}
