"""What both benchmarks measure a picture by: the same three numbers, whoever made it.

*Robust activation*: what a picture reaches of its channel after the layer's nonlinearity, as the mean over 32 small
shifts, turns and scalings that no optimiser drew; as a share of the most that any real photo reaches, unmoved, at the
network's own input size. The statistic of a texture is the mean over the layer's places, of a sprite the maximum; the
maximum of a ReLU6 is taken without its cap, which photos reach too, so that nothing could be told above it.

*Alive*: the picture reaches visibly more than a flat grey one does, by a twentieth of what the best photo adds to it.

*Fine detail*: the share of spectral energy above half the Nyquist frequency, relative to that of the photos at the
same size. Vague pictures have too little of it and noise too much.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import tensorflow as tf

import diamond as dc
from diamond.pregenerate.quality import ALIVE, STATISTICS, examiner, measured

SHARED = Path(__file__).parents[2] / "shared"
PHOTOS = SHARED / "data" / "photos"
CACHE = Path(platformdirs.user_cache_dir("diamond-cutter")) / "benchmarks"
WEIGHTS = {
    "EfficientNetLite0": None,
    "InceptionV1_caffe": "bvlc_googlenet.safetensors",
    "MobilenetV1_025": "mobilenet_v1_0.25_224.h5",
}
LANDMARKS = (
    *(("EfficientNetLite0", layer) for layer in ("block4_add", "block9_add", "block14_add")),
    *(("InceptionV1_caffe", f"inception_{layer}_output") for layer in ("4a", "4d", "5b")),
    *(("MobilenetV1_025", f"conv_pw_{layer}_relu") for layer in (6, 11, 13)),
)
CHUNK = 128


@dataclass(frozen=True)
class Standard:
    """What photos and a grey picture reach in a layer.

    Attributes
    ----------
    best
        ``(statistic, channel)``: the most of all photos; statistics in the order of `STATISTICS`.
    grey
        ``(statistic, channel)``: what a flat grey picture reaches.
    best_photo
        ``(statistic, channel)``: number of the photo.
    """

    best: np.ndarray
    grey: np.ndarray
    best_photo: np.ndarray


def load(network):
    """Load one of the measured networks with its real weights."""
    weights = WEIGHTS.get(network)
    return dc.load(network) if weights is None else dc.load(network, weights=SHARED / "data" / "weights" / weights)


def photos(size):
    """Read all photos at a size, ``(photo, size, size, 3)``, through a file outside the repository."""
    file = CACHE / f"photos-{size}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        read = np.stack([dc.image(path, size) for path in sorted(PHOTOS.glob("*.JPEG"))])
        np.save(file, np.round(read * 255).astype(np.uint8))
    return np.load(file).astype(np.float32) / 255


def chosen_channels(channels, count):
    """Spread `count` channels evenly over a layer's."""
    return np.unique(np.linspace(0, channels - 1, count).astype(int))


def statistics(net, layer, pictures):
    """Measure every channel of a layer, ``(statistic, picture, channel)``."""
    run = net.compiled(("benchmark", layer), lambda: measured(net, layer))
    parts = [run(tf.constant(pictures[i : i + CHUNK])).numpy() for i in range(0, len(pictures), CHUNK)]
    return np.concatenate(parts, axis=1)


def standard(net, layer):
    """Measure the photos, or read what was measured before."""
    file = CACHE / f"standard-2-{net.fingerprint(layer)[:16]}.npz"
    if not file.exists():
        side = net.input.height or 224
        of_photos = statistics(net, layer, photos(side))
        of_grey = statistics(net, layer, np.full((1, side, side, 3), 0.5, np.float32))[:, 0]
        np.savez(file, best=of_photos.max(1), grey=of_grey, best_photo=of_photos.argmax(1))
    with np.load(file) as kept:
        return Standard(**{name: kept[name] for name in kept.files})


def robust(net, layer, images, channels, statistic):
    """Measure each picture's own channel, ``(picture,)``: the mean over the transforms."""
    n, *size, _ = images.shape
    examine = examiner(net, layer, statistic=statistic, width=min(n, CHUNK), size=tuple(size))
    parts = [examine(images[i : i + CHUNK], channels[i : i + CHUNK]) for i in range(0, n, CHUNK)]
    return np.concatenate(parts)


def fine_detail(images):
    """Give the share of spectral energy above half the Nyquist frequency, ``(picture,)``."""
    height, width = images.shape[1:3]
    # Photos do not join up at their edges as Fourier images do; the window makes both alike.
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    grey = images.mean(axis=-1)
    mean = (grey * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    energy = np.abs(np.fft.fft2((grey - mean) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    return energy[:, frequency > 0.25].sum(axis=1) / np.maximum(energy.sum(axis=(1, 2)), 1e-12)


def photo_detail(size):
    """Give the photos' own `fine_detail` at a size: the median."""
    return float(np.median(fine_detail(photos(size))))


@dataclass(frozen=True)
class Verdict:
    """The three numbers of a row of pictures, one a channel.

    Attributes
    ----------
    share
        ``(picture,)`` robust activation as a share of the best photo's; nan where no photo excites the channel.
    exceeds
        ``(picture,)`` whether it is more than the best photo's.
    alive
        ``(picture,)``.
    detail
        ``(picture,)`` fine detail relative to the photos'.
    """

    share: np.ndarray
    exceeds: np.ndarray
    alive: np.ndarray
    detail: np.ndarray

    @property
    def detail_of_row(self):
        """The row's fine detail: the median of its pictures."""
        return float(np.median(self.detail))

    @property
    def natural(self):
        """Whether fine detail lies within half to twice the photos' own."""
        return 0.5 <= self.detail_of_row <= 2.0


def robust_at_best(net, layer, images, channels, statistic, shown=None):
    """Measure as `robust`, also at the side in pixels at which a tool showed its pictures; give the better of both."""
    reached = robust(net, layer, images, channels, statistic)
    if shown in (None, images.shape[1]):
        return reached
    resized = tf.clip_by_value(tf.image.resize(images, (shown, shown), method="bicubic", antialias=True), 0.0, 1.0)
    return np.maximum(reached, robust(net, layer, resized.numpy(), channels, statistic))


def judge(net, layer, images, channels, statistic, shown=None):
    """Judge pictures ``(picture, height, width, 3)`` in [0, 1] of the given channels of a layer.

    `shown` is as in `robust_at_best`: a picture drawn to be enlarged is judged enlarged where that is better for it.
    """
    kept = standard(net, layer)
    which = STATISTICS.index(statistic)
    best, grey = kept.best[which, channels], kept.grey[which, channels]
    reached = robust_at_best(net, layer, images, channels, statistic, shown)
    # A sum without nonlinearity may be negative on every photo; a share of that says nothing.
    share = np.where(best > 0, reached / np.where(best > 0, best, 1.0), np.nan)
    alive = reached - grey > ALIVE * np.abs(best - grey)
    detail = fine_detail(images) / photo_detail(images.shape[1])
    return Verdict(share, reached > best, alive, detail)
