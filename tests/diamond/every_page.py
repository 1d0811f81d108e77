"""One page of every kind that the library makes, of networks so small that all of them take seconds.

The names that a user gives (classes, files, networks) are hostile or of other scripts: what is shown of them must be
text, in its own direction, and nothing else.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from PIL import Image

import diamond as dc
from diamond.attribution.randomisation import randomise
from diamond.attribution.report import write_report
from diamond.features.recipes import Recipe
from diamond.pregenerate.report import LayerReport
from diamond.show.pages import page
from modelzoo.network import Network
from spritemaps import Store
from tests.diamond.test_sound_occlusion import burst, ear
from tests.diamond.test_training_atlas import trained
from tests.spritemaps.sprites import finished

# In file names too, so without a slash; what runs would leave a mark on the window.
HOSTILE = "<img src=x onerror=window.broken=1>\"'&"
CLASSES = (HOSTILE, "猫と柴犬", "قط صغير (1)", "🐕 dog", "a very long name of a class " * 4)
SIZE = 16
QUICK = Recipe("texture", size_px=16, steps=1)
PICTURE = (SIZE, SIZE, 3)


def network(name: str = HOSTILE, seed: int = 0) -> Network:
    """Two convolutions and a dense layer that tells five classes apart."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(PICTURE, name="image")
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="first")(image)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    net = dc.load(keras.Model(image, layers.Dense(5, name="answer")(x), name="net"), input=(0, 1))
    output = dataclasses.replace(net.card.output, classes=CLASSES)
    return dataclasses.replace(net, card=dataclasses.replace(net.card, name=name, title=name, output=output))


def every_page(folder: Path) -> Iterator[tuple[str, Any]]:
    """Give ``(name, result or document)`` for each kind of page; files are made under `folder`."""
    net = network()
    pictures = np.random.default_rng(0).random((6, *PICTURE), dtype=np.float32)
    files = []
    for i, picture in enumerate(pictures):
        files.append(folder / f"{i} {HOSTILE}.png")
        Image.fromarray((255 * picture).astype(np.uint8)).save(files[-1])
    photo, labels = files[0], [CLASSES[i % 3] for i in range(6)]
    for layer, channels in (("first", 5), ("second", 8)):
        finished(folder / "store", network="net", layer=layer, channels=channels, fingerprint=net.fingerprint(layer))
    store = Store(folder / "store")
    quiet = {"progress": False}

    predicted = net.predict(files[:2])
    yield "predictions", predicted
    yield "layers", net.layers
    yield "spritemap", dc.spritemap(net, "second", store=store)
    rows = dc.channel_attribution(net, files[:2], ["first", "second"], top=4, store=store)
    yield "attribution", dc.channel_attribution(net, photo, "second", negative="top2", top=4)
    yield "attribution by layer", rows
    where = dc.spatial_attribution(net, photo, "second")
    yield "heatmap", where
    yield "semantic map", dc.semantic_map(net, photo, "second", negative="top2", others=files[1:3], store=store)
    yield "semantic map without sprites", dc.semantic_map(net, photo, "second", positive=None)
    write_report(net, files[:2], folder / "report.html", layers=["second"], store=store, say=lambda _: None)
    yield "report", (folder / "report.html").read_text(encoding="utf-8")
    groups = dc.groups(net, files[:2], "second", 3, store=store, **quiet)
    yield "groups", groups
    yield "flow", dc.flow(net, photo, ["first", "second"], top=3, store=store)
    yield "ablation", dc.ablate(net, files[:2], "second", top=4, store=store, **quiet)
    yield "words", dc.describe(net, files, "second", [0, 1, 2], classes=3, store=store, **quiet)
    seen = dc.saliency(net, files[:2], negative="top2", method=["gradient", "grad_cam"], layer="second", **quiet)
    yield "saliency", seen
    yield "randomisation", randomise(seen, net, depths=2)
    made = dc.render(net, [dc.channel("second", i) for i in range(2)], recipe=QUICK, **quiet)
    yield "rendering", made
    yield "occlusion", dc.occlude(net, files[:2], target=["top1", "top2"], window=8, stride=8, **quiet)
    yield "occlusion of one", dc.occlude(net, photo, window=8, stride=8, **quiet)

    maps = dc.activation_maps(net, photo, "second", over=files, store=store, **quiet)
    yield "activation maps", maps
    yield "activation maps of all layers", dc.activation_maps(net, photo, ["first", "second"], **quiet)
    yield "ordered maps", dc.order_maps(maps)
    yield "volume", dc.volume(maps)
    yield "exemplars", dc.exemplars(net, files, "second", [0, 1], top=3, least=1, store=store, **quiet)
    embedded = dc.embed(net, files, "second", labels=labels, **quiet)
    yield "embedding", embedded
    yield "neighbours", embedded.neighbours(photo, 3)
    yield "correspondence", dc.correspond(net, photo, files[1], "second")
    yield "health", dc.health(net, files, **quiet)
    yield "inversion", dc.invert(net, photo, "second", steps=2, copies=2, **quiet)
    yield "filters", dc.filters(net, "first", store=store)
    yield "filters that read others", dc.filters(net, "second", store=store)
    yield "weight gradients", dc.weight_gradients(net, files[:2], "second", similar=1, dissimilar=2, **quiet)

    student = dc.attach(net, "second", classes=CLASSES[:3], name="student")
    yield "training", dc.train(student, files, labels, epochs=1, batch=4, validation=0.5, start=None, **quiet)
    yield "freeze hints", dc.freeze_hints(student, files, labels, **quiet)
    yield "comparison", dc.compare([net, network("另一个", 1)], list(pictures), labels, latency=False, **quiet)
    before_and_after = dc.before_and_after(net, network("另一个", 1), files, "second", top=2, recipe=QUICK, **quiet)
    yield "before and after", before_and_after
    yield "training atlas", trained().history
    shown = np.concatenate([pictures] * 4)
    yield "cuts", dc.cut_points(net, shown, labels * 4, layers=["first", "second"], latency=False, **quiet)

    heard = ear()
    yield "sound rendering", dc.render(heard, [dc.channel("logits", 0)], steps=2, **quiet)
    sounds = dc.occlude(heard, [burst(0.4)], window=0.1, stride=0.1, shape="time", **quiet)
    yield "sound occlusions", sounds
    yield "sound occlusion", sounds[0]
    row = LayerReport("second", "sprite", 16, 8, "unfinished", done=4, dead=1, retried=1, quality=0.5)
    yield "pregeneration", dc.PregenerationReport(HOSTILE, "store", (row,), notes=("A note.",))
    yield "demo", page("demo.html", title="demo", network=repr(net), name=net.name, predictions=predicted,
        rows=rows, fresh=made, heatmap=where, seconds=1.0)  # fmt: skip
