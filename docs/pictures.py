"""Make every picture of the documentation again, and the pages that stand in frames.

    python docs/pictures.py                    all of them, in about ten minutes on two cores
    python docs/pictures.py recipes occlusion  only these
    python docs/pictures.py --list

Each is made by the library, of EfficientNet-Lite0, of sprites that ship and of photos that come with scikit-image; the
sound is made here. What a function below returns is a figure, a picture or a page, and its name is that of the file.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("agg")

import matplotlib.pyplot as plt
import skimage.data
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.datasets import load_sample_image

import diamond as dc

FOLDER = Path(__file__).parent / "pictures"
WIDEST_PX = 1400
NETWORK = "EfficientNetLite0"
DIGITS = 400


@cache
def net() -> Any:
    """Load the network that all pictures are of."""
    return dc.load(NETWORK)


@cache
def cat() -> np.ndarray:
    """Give the cat at the network's own size, as ``(224, 224, 3)``."""
    return dc.image(skimage.data.chelsea(), 224)


@cache
def photos() -> tuple[np.ndarray, ...]:
    """Give six photos that come with scikit-image and scikit-learn, at the network's own size."""
    named = (getattr(skimage.data, name)() for name in ("chelsea", "coffee", "rocket", "astronaut"))
    more = (load_sample_image(name) for name in ("flower.jpg", "china.jpg"))
    return tuple(dc.image(picture, 224) for picture in (*named, *more))


@cache
def cup() -> np.ndarray:
    """Give a cup on its saucer at the network's own size: a thing with something around it."""
    return dc.image(skimage.data.coffee(), 224, crop=0.875)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Give handwritten digits of scikit-learn in colour, and what each is."""
    from sklearn.datasets import load_digits

    read = load_digits()
    chosen = np.random.default_rng(0).permutation(len(read.images))[:DIGITS]
    pictures = (read.images[chosen] / 16).repeat(8, 1).repeat(8, 2)
    return np.stack([pictures] * 3, axis=-1).astype(np.float32), read.target[chosen]


def value_range() -> Figure:
    """Show what one network says of one photo, read with the right value range and with wrong ones."""
    right = net().input
    shown = {
        f"as the card says: {right.value_range[0]:.2f} to {right.value_range[1]:g}": right,
        "0 to 255": (0.0, 255.0),
        "0 to 1": (0.0, 1.0),
        "upside down: 1 to -1": (1.0, -1.0),
    }
    figure, axes = plt.subplots(2, len(shown), figsize=(13, 5.2), height_ratios=(1.25, 1), layout="constrained")
    for column, (words, spec) in zip(axes.T, shown.items(), strict=True):
        asked = dc.load(net().model, input=spec)
        said = asked.predict(skimage.data.chelsea(), top=3)
        named = [net().class_label(int(index)) for index in said.classes[0]]
        drawn = dc.render(asked, dc.channel("block9_add", 71), recipe="texture", progress=False)
        column[0].imshow(drawn.images[0])
        column[0].set_title(words, fontsize=11)
        column[0].set_axis_off()
        right_answer = ["#2a6fb0" if "cat" in name or name == "tabby" else "#8a8a8a" for name in named]
        column[1].barh(named[::-1], said.probabilities[0][::-1], color=right_answer[::-1])
        column[1].set_xlim(0, 1)
        column[1].set_xlabel("probability")
    axes[0, 0].text(
        -0.06, 0.5, "channel 71, rendered", transform=axes[0, 0].transAxes, rotation=90, va="center", ha="right"
    )
    return figure


def receptive_fields() -> Figure:
    """Frame what the cell in the middle of each of six layers can see."""
    names = ("stem_relu", "block2_add", "block4_add", "block7_add", "block9_add", "block14_add")
    figure, axes = plt.subplots(1, len(names), figsize=(14, 3.1), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        layer = net().layers[name]
        axis.imshow(cat())
        high, wide = (int(side) for side in layer.output_shape[1:3])
        stride, sees = layer.stride_px[0], round(layer.receptive_field_px[0])
        middle = (high // 2 + 0.5) * stride, (wide // 2 + 0.5) * stride
        for side, colour in ((sees, "#ff8c1a"), (stride, "#ffffff")):
            corner = middle[1] - side / 2, middle[0] - side / 2
            axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="black", linewidth=3.4))
            axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=1.8))
        axis.set(xlim=(0, 224), ylim=(224, 0), xticks=(), yticks=())
        axis.set_title(f"{name}\n{high} x {wide} cells, {layer.channels} channels\nsees {sees} px", fontsize=10)
    return figure


def channel_and_sprite() -> Figure:
    """Show one channel: where it answers in a photo, its sprite, and its place among all of the layer."""
    sprites = dc.spritemap(net(), "block9_add")
    figure, axes = plt.subplots(1, 4, figsize=(14, 4), width_ratios=(1, 1, 1, 1.25), layout="constrained")
    whole = np.concatenate(
        [
            np.concatenate([sprites[i] if i < 112 else np.full_like(sprites[0], 255) for i in range(k, k + 11)], axis=1)
            for k in range(0, 121, 11)
        ]
    )
    tile = sprites[0].shape[0]
    answer = net().activations(cat(), "block9_add")[0, :, :, 71]
    shown = (
        (cat(), "the photo"),
        (answer, "channel 71 of block9_add:\nits 14 x 14 answers"),
        (sprites[71], "its sprite: what excites it"),
        (whole, "the spritemap: all 112 channels,\nrow by row"),
    )
    for axis, (picture, words) in zip(axes, shown, strict=True):
        axis.imshow(picture, cmap="magma")
        axis.set_title(words, fontsize=11)
        axis.set_axis_off()
    row, column = divmod(71, 11)
    axes[3].add_patch(
        Rectangle((column * tile, row * tile), tile, tile, fill=False, edgecolor="#ff8c1a", linewidth=2.5)
    )
    return figure


def recipes() -> Figure:
    """Draw four channels with each of three recipes."""
    channels = (11, 24, 40, 71)
    names = ("texture", "sprite", "phase")
    figure, axes = plt.subplots(len(names), 4, figsize=(8.6, 6.6), layout="constrained")
    for row, name in zip(axes, names, strict=True):
        recipe = read_recipe(name)
        drawn = dc.render(net(), [recipe.objective("block9_add", i) for i in channels], recipe=recipe, progress=False)
        for axis, picture, i in zip(row, drawn.images, channels, strict=True):
            axis.imshow(picture)
            axis.set(xticks=(), yticks=())
            if name == names[0]:
                axis.set_title(f"channel {i}", fontsize=11)
        row[0].set_ylabel(name, fontsize=12)
    return figure


def read_recipe(name: str) -> Any:
    """Find a recipe by its name."""
    from diamond.features.recipes import read_recipe

    return read_recipe(name)


def objectives() -> Figure:
    """Draw one picture for each of six kinds of objective."""
    layer = "block9_add"
    vector = np.zeros(112)
    vector[[11, 71]] = 1.0
    shown = {
        "channel": dc.channel(layer, 71),
        "neuron": dc.neuron(layer, 71),
        "direction of 11 and 71": dc.direction(layer, vector),
        "deepdream": dc.deepdream(layer),
        "logit of Egyptian cat": dc.logit("Egyptian cat"),
        "logit less roughness": dc.logit("Egyptian cat") - 10.0 * dc.total_variation(),
    }
    figure, axes = plt.subplots(1, len(shown), figsize=(14, 2.8), layout="constrained")
    for axis, (words, objective) in zip(axes, shown.items(), strict=True):
        axis.imshow(dc.render(net(), objective, progress=False).images[0])
        axis.set_title(words, fontsize=11)
        axis.set_axis_off()
    return figure


def rendered() -> Figure:
    """Draw three channels of block14_add, as the journey does."""
    return dc.render(net(), [dc.channel("block14_add", i) for i in (26, 89, 110)], progress=False).plot()


def diverse() -> Figure:
    """Draw one channel four times, kept apart."""
    asked = [dc.channel("block9_add", 24) + dc.diversity("block9_add")] * 4
    drawn = dc.render(net(), asked, progress=False)
    figure, axes = plt.subplots(1, len(asked), figsize=(10, 2.8), layout="constrained")
    for axis, picture in zip(axes, drawn.images, strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
    return figure


def attribution() -> Figure:
    """Name the channels of two layers that speak for the cat."""
    return dc.channel_attribution(net(), cat(), ["block9_add", "block14_add"], top=8, progress=False).plot()


def attribution_against() -> Figure:
    """Name the channels that speak for one class and for the other."""
    return dc.channel_attribution(
        net(), cat(), "block9_add", positive="Egyptian cat", negative="tabby", top=8, progress=False
    ).plot()


def groups() -> Figure:
    """Show groups of channels that fire together."""
    return dc.groups(net(), list(photos()[:3]), "block9_add", k=5, progress=False).plot()


def flow() -> Figure:
    """Show how channels carry from layer to layer."""
    return dc.flow(net(), cat(), ["block7_add", "block10_add", "block14_add"], top=4).plot()


def ablation() -> Figure:
    """Show what the score really loses without each channel."""
    return dc.ablate(net(), cat(), "block9_add", top=10, progress=False).plot()


def semantic_map() -> Figure:
    """Show the semantic map as a figure."""
    return dc.semantic_map(net(), cat(), "block9_add").plot("sprites")


def heatmap() -> Figure:
    """Show where the last layer looks."""
    return dc.spatial_attribution(net(), cat(), "head_relu").plot()


def occlusion() -> Figure:
    """Cover a photo with windows of three sizes and two fills."""
    grey = cup().mean(axis=-1)
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.2), layout="constrained")
    for row, fill in zip(axes, ("mean", "blur"), strict=True):
        row[0].imshow(cup())
        row[0].set_title("the photo" if fill == "mean" else "")
        row[0].set_ylabel(f'fill="{fill}"', fontsize=12)
        for axis, window in zip(row[1:], (16, 32, 64), strict=True):
            found = dc.occlude(net(), cup(), target="espresso", window=window, stride=8, fill=fill, progress=False)
            heat = found.heatmap
            most = float(np.abs(heat).max())
            axis.imshow(grey, cmap="gray")
            drawn = axis.imshow(heat, cmap="PuOr_r", vmin=-most, vmax=most, alpha=0.72)
            axis.set_title(f"windows of {window} px" if fill == "mean" else "")
            figure.colorbar(drawn, ax=axis, shrink=0.8, label="logit lost")
        for axis in row:
            axis.set(xticks=(), yticks=())
    return figure


def saliency() -> Figure:
    """Show several gradient methods side by side."""
    chosen = ["gradient", "grad_cam", "guided_backpropagation"]
    return dc.saliency(net(), cat(), method=chosen, progress=False).plot()


def sound() -> Figure:
    """Show which seconds and which frequencies make a music tagger's answer."""
    ear = dc.load("MusicnnVGG_MTT")
    return dc.occlude(ear, plucked_then_drums(), shape="time", window=0.5, stride=0.25, progress=False).plot()


def plucked_then_drums(sr: int = 16000) -> tuple[np.ndarray, int]:
    """Make plucked strings (Karplus and Strong 1983) for three seconds, then beats of noise for three."""
    rng = np.random.default_rng(0)
    made = np.zeros(6 * sr, np.float32)
    for i, hz in enumerate((196, 247, 294, 392, 294, 247)):
        string = rng.uniform(-1, 1, round(sr / hz))
        for start in range(i * sr // 2, min((i + 2) * sr // 2, 3 * sr), len(string)):
            string = 0.996 * (string + np.roll(string, 1)) / 2
            made[start : start + len(string)][: 3 * sr - start] += 0.5 * string[: 3 * sr - start]
    for start in range(3 * sr, 6 * sr, sr // 4):
        made[start : start + sr // 8] += 0.8 * rng.normal(size=sr // 8) * np.exp(-np.arange(sr // 8) / (0.02 * sr))
    return np.clip(made, -1, 1), sr


@cache
def cut_report() -> Any:
    """Measure where to cut for digits."""
    return dc.cut_points(net(), *digits(), latency=False, progress=False)


def cut_points() -> Figure:
    """Show accuracy against cost, cut by cut."""
    return cut_report().plot()


@cache
def students() -> tuple[Any, Any, Any]:
    """Train a student at the recommended cut and one at the last layer, on the first 300 digits."""
    pictures, labels = digits()
    made = []
    for name, cut in (("recommended", cut_report().recommended), ("last_layer", net().pre_output_layer)):
        student = dc.attach(net(), cut, classes=cut_report().classes, name=name)
        training = dc.train(student, pictures[:300], labels[:300], epochs=8, augment=False, progress=False)
        made.append((student, training))
    return made[0][0], made[1][0], made[0][1]


def training() -> Figure:
    """Show the training of a student."""
    return students()[2].plot()


def comparison() -> Figure:
    """Compare the two students on digits that neither has seen."""
    pictures, labels = digits()
    asked = students()[:2]
    return dc.compare(asked, pictures[300:], labels[300:], latency=False, progress=False).plot()


def health() -> Figure:
    """Look over the network's layers."""
    return dc.health(net(), list(photos()), layers=net().landmarks, progress=False).plot()


def filters() -> Figure:
    """Show the first filters."""
    return dc.filters(net(), "stem_conv").plot()


def strip() -> Figure:
    """Show the photo through the layers."""
    chosen = ["stem_relu", "block2_add", "block4_add", "block7_add", "block9_add", "block14_add"]
    return dc.activation_maps(net(), cat(), chosen, progress=False).plot()


def exemplars() -> Figure:
    """Show which parts of photos excite two channels most."""
    return dc.exemplars(net(), list(photos()), "block9_add", [71, 25], top=4, progress=False).plot()


def inversion() -> Figure:
    """Show what four layers still know of the cat."""
    return dc.invert(net(), cat(), ["stem_relu", "block4_add", "block9_add", "block14_add"], progress=False).plot()


def pregenerated() -> Image.Image:
    """Give the sprites of a layer that ships, in one picture."""
    sprites = dc.spritemap(net(), "block14_add")
    rows = [np.concatenate([sprites[i] for i in range(k, k + 16)], axis=1) for k in range(0, 64, 16)]
    return Image.fromarray(np.concatenate(rows)).resize((1280, 320), Image.Resampling.LANCZOS)


def live_map() -> str:
    """Give the page of a semantic map, to hover over."""
    return page_of(dc.semantic_map(net(), skimage.data.chelsea(), "block9_add"))


def live_occlusion() -> str:
    """Give the page of an occlusion map."""
    return page_of(dc.occlude(net(), skimage.data.coffee(), window=32, stride=8, progress=False))


def live_channels() -> str:
    """Give the page of top channels, of one class against another."""
    return page_of(dc.channel_attribution(net(), skimage.data.chelsea(), ["block9_add", "block14_add"], progress=False))


def page_of(result: Any) -> str:
    """Give a result's page as a document."""
    with tempfile.TemporaryDirectory() as folder:
        return result.save(Path(folder) / "page.html").read_text()


MADE: tuple[Callable[[], Any], ...] = (
    value_range,
    receptive_fields,
    channel_and_sprite,
    recipes,
    objectives,
    rendered,
    diverse,
    pregenerated,
    attribution,
    attribution_against,
    groups,
    flow,
    ablation,
    semantic_map,
    heatmap,
    occlusion,
    saliency,
    sound,
    cut_points,
    training,
    comparison,
    health,
    filters,
    strip,
    exemplars,
    inversion,
    live_map,
    live_occlusion,
    live_channels,
)


def write(name: str, made: Figure | Image.Image | str) -> Path:
    """Write a figure or picture as WebP, a page as it is."""
    name = name.replace("_", "-")
    if isinstance(made, str):
        path = FOLDER / f"{name}.html"
        path.write_text(made)
        return path
    if isinstance(made, Figure):
        held = io.BytesIO()
        made.savefig(held, format="png", dpi=120, facecolor="white", bbox_inches="tight")
        plt.close(made)
        made = Image.open(held).convert("RGB")
    if made.width > WIDEST_PX:
        made = made.resize((WIDEST_PX, round(made.height * WIDEST_PX / made.width)), Image.Resampling.LANCZOS)
    path = FOLDER / f"{name}.webp"
    made.save(path, quality=80, method=6)
    return path


def main() -> None:
    """Make those that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {function.__name__: function for function in MADE}
    parser.add_argument("names", nargs="*", metavar="NAME", help="which to make; all without")
    parser.add_argument("--list", action="store_true", help="only name what there is")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in known]
    if given.list or unknown:
        parser.exit(2 if unknown else 0, f"{', '.join(known)}\n")
    for name in given.names or known:
        start = time.perf_counter()
        path = write(name, known[name]())
        print(f"{path.name:28} {path.stat().st_size / 1000:7.0f} kB {time.perf_counter() - start:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
