"""The photos by which a network's weights are told from noise."""

from pathlib import Path

import numpy as np
from PIL import Image

SHOWN = 0.875


def photos(shared_data: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Every twentieth class of ImageNet, once each: ``(50, size, size, 3)`` in [0, 1] and the classes.

    Shorter side `size` / 0.875, bilinear, then the centre: the way the stated answers were counted.
    """
    paths = sorted(path for path in (shared_data / "photos").glob("*.JPEG") if int(path.name[:3]) % 20 == 0)
    pictures = []
    for path in paths:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        factor = round(size / SHOWN) / min(picture.size)
        picture = picture.resize(
            (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BILINEAR
        )
        left, top = (picture.width - size) // 2, (picture.height - size) // 2
        pictures.append(np.asarray(picture.crop((left, top, left + size, top + size)), np.float32) / 255)
    return np.stack(pictures), np.array([int(path.name[:3]) for path in paths])
