"""Make the README's picture of chosen sprites, from a store.

    python docs/banner.py docs/pictures/sprites.webp EfficientNetLite0/block14_add:26,89,110,72 \
        EfficientNetLite0/block9_add:3,11,15,17 --columns 4

Each argument after the first names a layer and the channels to show, in order; `diamond site` helps to choose them.
"""

from __future__ import annotations

import argparse

from spritemaps import Spritemap, Store, packaged_store
from spritemaps.banner import write_banner


def main() -> None:
    """Read the arguments, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", help="the .webp or .png to write")
    parser.add_argument("sprites", nargs="+", metavar="NETWORK/LAYER:CHANNELS", help="such as Net/block9_add:3,11,15")
    parser.add_argument("--store", help="folder or address of a store; what ships with the package without")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--tile", type=int, default=128, help="side of a sprite in the picture, in pixels")
    parser.add_argument("--gap", type=int, default=10)
    parser.add_argument("--round", type=int, default=10)
    given = parser.parse_args()
    store = Store(given.store, read_only=True) if given.store else packaged_store()
    layers = store.layers()
    chosen = []
    for text in given.sprites:
        name, _, channels = text.rpartition(":")
        layer = named(layers, name, parser)
        chosen += [layer[int(channel)] for channel in channels.split(",")]
    layout = {"tile_px": given.tile, "gap_px": given.gap, "round_px": given.round}
    print(write_banner(chosen, given.picture, columns=given.columns, **layout))


def named(layers: tuple[Spritemap, ...], name: str, parser: argparse.ArgumentParser) -> Spritemap:
    """Give the layer of that name; an error that lists what there is where there is none."""
    for layer in layers:
        short = f"{layer.network}/{layer.layer}"
        if name in (short, f"{short}/{layer.manifest.recipe_name}"):
            return layer
    there = ", ".join(sorted({f"{layer.network}/{layer.layer}" for layer in layers}))
    return parser.error(f"no layer {name!r} in the store; it has {there or 'none'}")


if __name__ == "__main__":
    main()
