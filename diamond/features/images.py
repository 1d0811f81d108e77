"""What is optimised in place of pixels: the parametrisations of an image.

Gradient ascent on pixels ends in noise that excites the network and tells a person nothing. On the Fourier spectrum of
the image, each frequency scaled by how strong it is in natural pictures, the same ascent moves all scales at the same
pace and the noise never comes up::

        image = Fourier()
        state = image.draw((128, 128), 3, streams)           # once, from a stream of random numbers an image
        planes = image.develop(state, (128, 128), 3)         # at every step; (batch, 3, 128, 128)

A *state* is a tuple of arrays, the batch first: what the optimiser changes. *Planes* are decorrelated colour (see
`diamond.features.color`), one plane of a spectrogram, and last, where there is one, the alpha channel.

Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill 2017); Mordvintsev et al., "Differentiable Image
Parameterizations" (Distill 2018); Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
Constrained Optimization" (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from diamond.features import kinds

__all__ = ["Cppn", "Fourier", "Laplacian", "Phase", "Pixels", "Shared", "image_from_dict", "image_to_dict"]

Size = tuple[int, int]
State = tuple[Any, ...]
Streams = Sequence[np.random.Generator]
# Lucid divides its pictures by 4 to start near grey, where the sigmoid is steep.
CONTRAST = 0.25


class Parametrisation(Protocol):
    """A way to hold an image."""

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw a faint random state for each stream, as float32 arrays ``(batch, ...)``."""
        ...

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Turn a state into planes ``(batch, planes, height, width)``; zero is mid-grey."""
        ...

    def __hash__(self) -> int:
        """Go with equality: what is compiled for one is used for all that equal it."""
        ...


@dataclass(frozen=True)
class Fourier:
    """The spectrum of the image, with amplitudes that fall with frequency as they do in natural pictures.

    Attributes
    ----------
    deviation
        Standard deviation of the first, faint noise.
    decay
        Power of the fall of amplitude with frequency: 1 for natural pictures, more for smoother ones.
    decay_across
        The same along the second axis alone, for spectrograms, whose axes are no lengths; as `decay` where None.
    alpha_decay
        How much faster the alpha channel falls off, where there is one.
    blur_px
        Standard deviation of a Gaussian blur that lies over the spectrum: what is finer than this hardly moves.
    most_detail
        About the largest share of energy above half the Nyquist frequency; what is more is turned down. Photos
        have about 0.05, and most networks ask for far more than that. No bound where None.
    """

    deviation: float = 0.01
    decay: float = 1.0
    decay_across: float | None = None
    alpha_decay: float = 0.0
    blur_px: float = 0.0
    most_detail: float | None = None

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw ``(batch, planes, height, width // 2 + 1, 2)``, real and imaginary part last."""
        shape = (planes, size[0], size[1] // 2 + 1, 2)
        return (_normal(shape, streams, self.deviation),)

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Scale the spectrum and transform it back."""
        scale = np.stack([amplitudes(size, self.decay, self.decay_across) * _blur(size, self.blur_px)] * planes)
        if planes in (2, 4):
            # The alpha channel is an outline, not a drawing: its detail falls off once more.
            scale[-1] *= amplitudes(size, self.alpha_decay) / amplitudes(size, self.alpha_decay)[0, 0]
        scaled = state[0] * tf.constant(scale[..., None])
        if self.most_detail is not None:
            scaled *= _turned_down(tf.stop_gradient(scaled[:, 0]), size, self.most_detail)
        return CONTRAST * tf.signal.irfft2d(tf.complex(scaled[..., 0], scaled[..., 1]), fft_length=size)


@dataclass(frozen=True)
class Phase:
    """The phase of the spectrum alone, its magnitude held at that of natural pictures (MACO, Fel et al. 2023).

    Attributes
    ----------
    decay
        Of the magnitude: photos fall off close to 1 / frequency.
    contrast
        Standard deviation of the finished planes.
    """

    decay: float = 1.0
    contrast: float = 1.0

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw phases ``(batch, planes, height, width // 2 + 1)``."""
        return (_normal((planes, size[0], size[1] // 2 + 1), streams, 1.0),)

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Give the phases their magnitude, transform back, and fix mean and contrast."""
        mean, variance = tf.nn.moments(state[0], axes=[2, 3], keepdims=True)
        angle = (state[0] - mean) * tf.math.rsqrt(variance + 1e-5)
        magnitude = amplitudes(size, self.decay, None)
        magnitude[0, 0] = 0.0
        spectrum = tf.complex(tf.cos(angle), tf.sin(angle)) * tf.constant(magnitude, tf.complex64)
        image = tf.signal.irfft2d(spectrum, fft_length=size)
        mean, variance = tf.nn.moments(image, axes=[2, 3], keepdims=True)
        # The second and third plane of decorrelated colour are weaker in photos: a fifth and a tenth of the first.
        strength = tf.constant([1.0, 0.5, 0.3, 1.0][:planes], tf.float32)[:, None, None]
        return self.contrast * strength * (image - mean) * tf.math.rsqrt(variance + 1e-5)


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves: what the others are held against."""

    deviation: float = 0.01

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw ``(batch, planes, height, width)``."""
        return (_normal((planes, *size), streams, self.deviation),)

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Give the pixels."""
        return state[0]


@dataclass(frozen=True)
class Laplacian:
    """A pyramid of images, each half the size of the last, enlarged and summed."""

    levels: int = 4
    deviation: float = 0.1

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw one array a level, ``(batch, planes, height / 2**level, width / 2**level)``."""
        sizes = [(max(1, size[0] >> level), max(1, size[1] >> level)) for level in range(self.levels)]
        return tuple(_normal((planes, *at), streams, self.deviation) for at in sizes)

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Enlarge each level bilinearly and sum."""
        return CONTRAST * tf.add_n([_enlarged(level, size) for level in state])


@dataclass(frozen=True)
class Cppn:
    """A small network from a pixel's coordinates to its colour: light, shade and lines, at any resolution.

    Attributes
    ----------
    width, layers
        Units a layer, and hidden layers.
    """

    width: int = 24
    layers: int = 6

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw one matrix a layer, ``(batch, inputs, outputs)``; the last is zero, so that the image begins grey."""
        widths = [2, *[self.width] * self.layers]
        # Each hidden unit is used twice, as its arc tangent and as its square.
        inputs = [widths[0], *[2 * width for width in widths[1:]]]
        hidden = [
            _normal((n, width), streams, float(np.sqrt(1.0 / n))) for n, width in zip(inputs, widths[1:], strict=False)
        ]
        last = np.zeros((len(streams), inputs[-1], planes), np.float32)
        return (*hidden, last)

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Run the coordinates through the layers."""
        rows = np.linspace(-np.sqrt(3), np.sqrt(3), size[0], dtype=np.float32)
        columns = np.linspace(-np.sqrt(3), np.sqrt(3), size[1], dtype=np.float32)
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(1, -1, 2)
        x = tf.tile(tf.constant(places), [tf.shape(state[0])[0], 1, 1])
        for weights in state[:-1]:
            bent = tf.atan(tf.matmul(x, weights))
            # Both halves are brought to mean 0 and deviation 1 for a normal input.
            x = tf.concat([bent / 0.67, (bent**2 - 0.45) / 0.396], axis=-1)
        colours = tf.matmul(x, state[-1])
        return tf.transpose(tf.reshape(colours, [-1, *size, planes]), [0, 3, 1, 2])


@dataclass(frozen=True)
class Shared:
    """Fourier images with a coarse part in common: what they share they show in the same place.

    Attributes
    ----------
    own
        Each image's own part.
    parts
        The coarse part is drawn on a canvas this many times smaller.
    """

    own: Fourier = field(default_factory=Fourier)
    parts: int = 8

    def draw(self, size: Size, planes: int, streams: Streams) -> State:
        """Draw each image's own spectrum and its share in the common one."""
        return (*self.own.draw(size, planes, streams), *self.own.draw(self._coarse(size), planes, streams))

    def develop(self, state: State, size: Size, planes: int) -> Any:
        """Add to each image the mean of all shares, enlarged."""
        common = tf.reduce_mean(state[1], axis=0, keepdims=True)
        coarse = self.own.develop((common,), self._coarse(size), planes)
        return self.own.develop(state[:1], size, planes) + _enlarged(coarse, size)

    def _coarse(self, size: Size) -> Size:
        return max(2, size[0] // self.parts), max(2, size[1] // self.parts)


_KINDS: dict[str, Any] = {
    "fourier": Fourier,
    "phase": Phase,
    "pixels": Pixels,
    "laplacian": Laplacian,
    "cppn": Cppn,
    "shared": Shared,
}


def image_from_dict(content: Mapping[str, Any]) -> Parametrisation:
    """Read a parametrisation as a recipe writes it: ``{"kind": "fourier", "decay": 1.0}``.

    Raises
    ------
    ValueError
        For a kind that is not there.
    """
    arguments = dict(content)
    if isinstance(arguments.get("own"), Mapping):
        arguments["own"] = image_from_dict(arguments["own"])
    image: Parametrisation = kinds.read(_KINDS, arguments, "parametrisation")
    return image


def image_to_dict(image: Parametrisation) -> dict[str, Any]:
    """Write a parametrisation as `image_from_dict` reads it."""
    values = kinds.write(_KINDS, image)
    return values | ({"own": image_to_dict(values["own"])} if "own" in values else {})


def amplitudes(size: Size, decay: float, decay_across: float | None = None) -> np.ndarray:
    """Amplitude of each frequency, ``(height, width // 2 + 1)``: 1 / frequency**decay, the mean kept finite."""
    height, width = size
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    lowest = 1.0 / max(height, width)
    if decay_across is None:
        fall = np.maximum(np.hypot(down, across), lowest) ** decay
    else:
        fall = np.maximum(np.abs(down), 1 / height) ** decay * np.maximum(across, 1 / width) ** decay_across
    scale: np.ndarray = np.sqrt(height * width) / fall
    return scale.astype(np.float32)


def _blur(size: Size, deviation_px: float) -> np.ndarray:
    """What a Gaussian blur leaves of each frequency, ``(height, width // 2 + 1)``."""
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    left: np.ndarray = np.exp(-2 * (np.pi * deviation_px) ** 2 * (down**2 + across**2))
    return left.astype(np.float32)


def _turned_down(spectrum: Any, size: Size, most: float) -> Any:
    """What to leave of each frequency so that what is fine has at most the given share of the energy.

    `spectrum` is that of the first plane, light and shade, ``(batch, height, width // 2 + 1, 2)``; what is given fits
    ``(batch, planes, height, width // 2 + 1, 2)``.
    """
    down, across = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    frequency = np.hypot(down, across)
    # Half of the columns are not kept, being mirrored in the other half.
    counted = np.where((across > 0) & (across < 0.5), 2.0, 1.0) * (frequency > 0)
    fine = np.stack([counted * (frequency <= 0.25), counted * (frequency > 0.25)]).astype(np.float32)
    energy = tf.einsum("bhwp,chw->bc", tf.square(spectrum), tf.constant(fine))
    gain = tf.sqrt(most / (1 - most) * energy[:, 0] / (energy[:, 1] + 1e-12))
    # A sudden step in the spectrum would ring in the picture.
    touched = tf.constant(np.clip((frequency - 0.2) / 0.1, 0, 1), tf.float32)
    left = 1 - touched * (1 - tf.minimum(gain, 1.0)[:, None, None])
    return left[:, None, :, :, None]


def _normal(shape: tuple[int, ...], streams: Streams, deviation: float) -> np.ndarray:
    return np.stack([stream.standard_normal(shape, dtype=np.float32) * np.float32(deviation) for stream in streams])


def _enlarged(planes: Any, size: Size) -> Any:
    pixels = tf.transpose(planes, [0, 2, 3, 1])
    return tf.transpose(tf.image.resize(pixels, size, method="bilinear"), [0, 3, 1, 2])
