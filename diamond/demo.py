"""The whole line once, on a photo that a dependency carries: what `diamond demo` runs.

A real network names what is in a real photo, its top channels are shown as their pictures at three depths, three
channels are rendered fresh, and a heatmap shows where the network looked. All of it goes into one page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import skimage.data

from diamond.attribution.channels import channel_attribution
from diamond.attribution.report import landmark_to_map
from diamond.attribution.spatial import spatial_attribution
from diamond.features.objectives import channel
from diamond.features.render import render
from diamond.show.pages import page
from modelzoo import load

__all__ = ["FOLDER", "NETWORK", "run"]

NETWORK = "EfficientNetLite0"
LANDMARKS = ("block4_add", "block9_add", "block14_add")
FOLDER = "diamond-demo"
FRESH = 3


def run(folder: str | Path = FOLDER, *, say: Callable[[str], object] = print, progress: bool = True) -> Path:
    """Run the demo.

    Parameters
    ----------
    folder
        Where the page goes; made where it does not exist.
    say
        Called with each line for the user.
    progress
        Whether to show a progress bar while rendering.

    Returns
    -------
    Path
        The page.
    """
    started = time.perf_counter()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    net = load(NETWORK)
    say(repr(net))
    photo = Path(skimage.data.__file__).parent / "chelsea.png"
    found = net.predict(photo)
    say(f"\nIn the photo: {found}")
    rows = [channel_attribution(net, photo, layer, top=8) for layer in LANDMARKS]
    for row in rows:
        say(f"{row!r}")
    deepest = rows[-1]
    say(f"\nRendering the top {FRESH} channels of {deepest.layer} afresh")
    fresh = render(net, [channel(deepest.layer, int(i)) for i in deepest.channels[:FRESH]], seed=1, progress=progress)
    where = spatial_attribution(net, photo, landmark_to_map(net) or deepest.layer)
    target = folder / "index.html"
    target.write_text(
        page(
            "demo.html",
            title=f"Diamond Cutter: {net.name} on a photo",
            network=repr(net),
            name=net.name,
            predictions=found,
            rows=rows,
            fresh=fresh,
            heatmap=where,
            seconds=time.perf_counter() - started,
        ),
        encoding="utf-8",
    )
    say(f"\nwritten: {target}  ({time.perf_counter() - started:.0f} s)")
    return target
