"""Random weights that anyone can make again from a tensor's name and shape.

A network built here and an independent implementation of it must give the same scores on the same weights. The weights
of a large network are no file for a repository, so they are a function: one stream of random numbers a tensor, keyed by
the tensor's name *as the independent implementation has it*. A fixture then holds names, shapes and scores, and the
names prove the renaming as well.
"""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

FIXTURES = Path(__file__).parent / "fixtures"
POSITIVE = ("moving_variance", "running_var")
AROUND_ONE = ("gamma", "bn.weight", "bn_sep_1.weight", "bn_sep_2.weight")
AROUND_ZERO = ("beta", "biases", "bias", "moving_mean", "running_mean")


def random_tensor(name: str, shape: tuple[int, ...], *, fan_in: int | None = None) -> np.ndarray:
    """Random numbers for a tensor, of a size that keeps a deep network's activations near 1."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    rng = np.random.Generator(np.random.Philox(key=key))
    if name.endswith(POSITIVE):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith((*AROUND_ONE, *AROUND_ZERO)):
        return (float(name.endswith(AROUND_ONE)) + 0.1 * rng.standard_normal(shape)).astype(np.float32)
    if fan_in is None:
        # PyTorch writes (out, in, height, width); TensorFlow (height, width, in, out), a depthwise kernel's last two
        # being the picture's channel and its repetitions.
        last = 2 if name.endswith("depthwise_weights") else len(shape) - 1
        fan_in = math.prod(shape[1:] if name.endswith(".weight") else shape[:last])
    return (rng.standard_normal(shape) * math.sqrt(2 / fan_in)).astype(np.float32)


def random_pictures(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Pictures of random numbers in [-1, 1)."""
    return np.random.Generator(np.random.Philox(key=seed)).uniform(-1, 1, shape).astype(np.float32)


class Scores(NamedTuple):
    """What an independent implementation gave: its tensors, the seed and shape of the pictures, and their logits."""

    tensors: dict[str, np.ndarray]
    pictures: np.ndarray
    logits: np.ndarray


def write_scores(
    name: str, shapes: dict[str, tuple[int, ...]], seed: int, pictures: tuple[int, ...], logits: np.ndarray
) -> None:
    """Write a fixture; the reference environments do, no test does."""
    lines = [f"{tensor} {'x'.join(map(str, shape))}" for tensor, shape in shapes.items()]
    np.savez_compressed(
        FIXTURES / f"{name}.npz",
        tensors=np.array(lines),
        seed=seed,
        pictures=pictures,
        logits=logits.astype(np.float32),
    )


def read_scores(name: str) -> Scores:
    """Read a fixture and make its weights and pictures again."""
    with np.load(FIXTURES / f"{name}.npz", allow_pickle=False) as content:
        pairs = [line.rsplit(" ", 1) for line in content["tensors"].tolist()]
        shapes = {tensor: tuple(int(n) for n in shape.split("x") if n) for tensor, shape in pairs}
        pictures = random_pictures(int(content["seed"]), tuple(content["pictures"].tolist()))
        return Scores({k: random_tensor(k, shape) for k, shape in shapes.items()}, pictures, content["logits"])


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference in units of the largest expected score."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
