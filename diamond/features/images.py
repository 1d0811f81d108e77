"""What is optimised in place of pixels: the parametrisations of an image.

Gradient ascent on pixels ends in noise that excites the network and tells a person nothing. On the Fourier spectrum of
the image, each frequency scaled by how strong it is in natural pictures, the same ascent moves all scales at the same
pace and the noise never comes up::

    >>> spectrum = fourier_noise((128, 128), streams)
    >>> pictures = fourier_pictures(spectrum, (128, 128), decay=1.0)

A spectrum is *drawn* once, from a stream of random numbers an image, and *developed* into pictures at every step.

Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.features.color import recolour

__all__ = ["fourier_noise", "fourier_pictures"]

Size = tuple[int, int]
# Lucid divides its pictures by 4 to start near grey, where the sigmoid is steep.
CONTRAST = 0.25


def fourier_noise(size: Size, streams: Sequence[np.random.Generator], *, deviation: float = 0.01) -> np.ndarray:
    """Draw a faint random spectrum for each stream.

    Returns
    -------
    float32 array
        ``(batch, 3, height, width // 2 + 1, 2)``: planes of decorrelated colour, real and imaginary part last.
    """
    height, width = size
    shape = (3, height, width // 2 + 1, 2)
    return np.stack([stream.standard_normal(shape, dtype=np.float32) * np.float32(deviation) for stream in streams])


def fourier_pictures(spectrum: Any, size: Size, *, decay: float) -> Any:
    """Develop spectra into pictures.

    Parameters
    ----------
    spectrum
        ``(batch, 3, height, width // 2 + 1, 2)``.
    size
        ``(height, width)`` of the pictures, in pixels.
    decay
        Power of the fall of amplitude with frequency: 1 for natural pictures, more for smoother ones.

    Returns
    -------
    tensor
        ``(batch, height, width, 3)``, RGB in (0, 1).
    """
    scaled = spectrum * tf.constant(amplitudes(size, decay)[..., None])
    planes = tf.signal.irfft2d(tf.complex(scaled[..., 0], scaled[..., 1]), fft_length=size)
    return recolour(CONTRAST * planes)


def amplitudes(size: Size, decay: float) -> np.ndarray:
    """Amplitude of each frequency, ``(height, width // 2 + 1)``; 1 / frequency for a decay of 1, the mean kept finite."""
    height, width = size
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    lowest = 1.0 / max(height, width)
    scale: np.ndarray = np.sqrt(height * width) / np.maximum(frequencies, lowest) ** decay
    return scale.astype(np.float32)
