"""Five photos that every installation has, because packages it depends on carry them.

::

    >>> sorted(sample_pictures())
    ['chelsea', 'china', 'coffee', 'flower', 'grace_hopper']

They are what a network is asked about where nobody gave a picture: a tabby cat, a palace, a cup of espresso, a dahlia
and an officer in uniform.
"""

from __future__ import annotations

import numpy as np

__all__ = ["sample_pictures"]


def sample_pictures() -> dict[str, np.ndarray]:
    """Give the photos as ``{name: (height, width, 3)}``, float32 in [0, 1], of different sizes."""
    import matplotlib.cbook
    import skimage.data
    from PIL import Image
    from sklearn.datasets import load_sample_image

    file = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(str(file)) as picture:
        officer = np.asarray(picture.convert("RGB"))
    photos = {
        "chelsea": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "grace_hopper": officer,
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }
    return {name: np.asarray(photo, np.float32) / 255 for name, photo in photos.items()}
