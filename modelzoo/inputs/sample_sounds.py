"""A sound that every installation has, because it is made by a formula.

    >>> plucked_then_beaten().duration_s
    6.0

It is what a network is asked about where nobody gave a sound.
"""

from __future__ import annotations

import numpy as np

from modelzoo.inputs.sounds import Sound

__all__ = ["plucked_then_beaten"]

SR = 16000
STRINGS_HZ = (196, 247, 294, 392, 294, 247)
BEATS_A_SECOND = 4


def plucked_then_beaten() -> Sound:
    """Pluck strings for three seconds, two a second; then beat noise for three, four times a second.

    Karplus and Strong, "Digital Synthesis of Plucked-String and Drum Timbres" (Computer Music Journal, 1983): a loop of
    noise, each value replaced by the mean of it and the next.
    """
    rng = np.random.default_rng(0)
    samples = np.zeros(6 * SR, np.float32)
    for i, hz in enumerate(STRINGS_HZ):
        string, heard = rng.uniform(-1, 1, SR // hz), np.zeros(SR // 2)
        for t in range(len(heard)):
            at = t % len(string)
            heard[t] = string[at]
            string[at] = 0.498 * (string[at] + string[(t + 1) % len(string)])
        samples[i * SR // 2 : (i + 1) * SR // 2] += 0.4 * heard
    each = SR // BEATS_A_SECOND
    for begin in range(3 * SR, 6 * SR, each):
        fading = np.exp(-np.arange(each // 2) / 300)
        samples[begin : begin + each // 2] += 0.5 * rng.normal(size=each // 2) * fading
    return Sound(samples.clip(-1, 1), SR)
