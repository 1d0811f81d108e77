"""How good the renderer's pictures are, beside real photos, bare pixel ascent and other tools.

    python benchmarks/quality.py                                    # nine layers of three networks, 16 channels each
    python benchmarks/quality.py --recipe texture mine.json --layers EfficientNetLite0/block9_add --channels 8 --steps 96
    python benchmarks/quality.py --peers PICTURES --contact-sheet sheet.png

One line a layer and recipe: robust activation as a share of the best photo's (median over the channels), the share of
channels whose picture beats every photo and the share that is alive, and fine detail relative to photos with whether
it is natural, within 0.5 to 2. See `judge.py` for each. A recipe is a name or a file as `Recipe.to_dict` writes it;
``pixels`` is gradient ascent on bare pixels, which must fail on fine detail. PICTURES is a folder that the scripts in
`peers/` filled. Needs ``../shared/data``.
"""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import judge
import numpy as np
from PIL import Image, ImageDraw

from diamond.features.images import Pixels
from diamond.features.recipes import Recipe, read_recipe, recipe_names
from diamond.features.render import render

BARE = Recipe("pixels", image=Pixels())
TILE, GAP, MARGIN, CAPTION = 110, 4, 230, 14
HEADER = f"{'layer':40}{'recipe':24}{'of':>5}{'share':>8}{'beats':>7}{'alive':>7}{'detail':>8}  natural{'s':>8}"


def recipe_of(word):
    """Read a recipe by name, or from a file."""
    if word == BARE.name:
        return BARE
    return Recipe.from_dict(json.loads(Path(word).read_text())) if word.endswith(".json") else read_recipe(word)


def statistic_of(recipe):
    """Name the statistic of what a recipe asks: the maximum where it asks for one place, the mean for all."""
    return "max" if any(ask[0] in ("neuron", "peak") for ask in recipe.asks) else "mean"


def rendered(net, layer, channels, recipe, seed):
    """Render channels; give the pictures and the seconds, compilation included."""
    begin = time.perf_counter()
    done = render(net, [recipe.objective(layer, int(c)) for c in channels], recipe=recipe, seed=seed, progress=False)
    return done.images, time.perf_counter() - begin


def drawn_by_peers(folder, network, layer):
    """Give what peers drew of a layer: name, pictures, seconds, channels, the side at which they showed it, statistic."""
    for file in sorted(folder.glob(f"*/{network}/{layer}.npz")):
        with np.load(file) as kept:
            images = kept["images"][-1].astype(np.float32) / 255
            statistic = str(kept["statistic"]) if "statistic" in kept else "mean"
            yield file.parts[-3], images, float(kept["seconds"][-1]), kept["channels"], int(kept["shown"]), statistic


def line_of(place, name, statistic, verdict, seconds):
    """Write a row of the table."""
    share = np.nanmedian(verdict.share) if np.isfinite(verdict.share).any() else np.nan
    return (
        f"{place:40}{name:24}{statistic:>5}{share:8.2f}{verdict.exceeds.mean():7.0%}{verdict.alive.mean():7.0%}"
        f"{verdict.detail_of_row:8.2f}  {'yes' if verdict.natural else 'NO':7}{seconds:8.1f}"
    )


def summary(verdicts):
    """Write for each recipe what the table adds up to, against the aims."""
    lines = []
    for name, by_layer in verdicts.items():
        beats = np.concatenate([v.exceeds[v.alive] for v in by_layer.values()])
        alive = np.concatenate([v.alive for v in by_layer.values()])
        natural = [v.natural for v in by_layer.values()]
        lines.append(
            f"{name:24} {beats.mean() if len(beats) else 0:4.0%} of live channels beat the best photo (aim 95 %), "
            f"{alive.mean():4.0%} alive, {sum(natural)} of {len(natural)} layers natural; {falls_behind(by_layer)}"
        )
    return lines


def falls_behind(by_layer):
    """Compare each network's last layer with the best of those before it."""
    of_network = defaultdict(list)
    for (network, _), verdict in by_layer.items():
        of_network[network].append(np.nanmedian(verdict.share))
    factors = [f"{n} {max(s[:-1]) / max(s[-1], 1e-6):.1f}x" for n, s in of_network.items() if len(s) > 1]
    return "deepest behind the best before it (aim 2x): " + (", ".join(factors) or "needs two layers of a network")


def contact_sheet(rows, file):
    """Lay all pictures into one: a row for each of `rows`, (words, pictures ``(n, height, width, 3)``, captions)."""
    across = max(len(pictures) for _, pictures, _ in rows)
    down = TILE + CAPTION + GAP
    sheet = Image.new("RGB", (MARGIN + across * (TILE + GAP), len(rows) * down), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (words, pictures, captions) in enumerate(rows):
        pen.multiline_text((4, row * down + 30), words, fill="black")
        for column, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            tile = Image.fromarray(np.round(picture * 255).clip(0, 255).astype(np.uint8))
            at = MARGIN + column * (TILE + GAP), row * down
            sheet.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS), at)
            pen.text((at[0] + 2, at[1] + TILE), caption, fill="black")
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)


def asked_layers(words):
    """Read NETWORK/LAYER; all landmarks where there are none."""
    return [tuple(word.split("/", 1)) for word in words] if words else list(judge.LANDMARKS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", nargs="*", default=[*recipe_names(), BARE.name], help="names and .json files")
    parser.add_argument("--layers", nargs="*", help="NETWORK/LAYER; the nine landmarks by default")
    parser.add_argument("--channels", type=int, default=16, help="so many, spread over the layer")
    parser.add_argument("--steps", type=int, help="the recipe's own by default")
    parser.add_argument("--size", type=int, help="the recipe's own by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--statistic", choices=("auto", *judge.STATISTICS), default="auto")
    parser.add_argument("--peers", type=Path, help="folder with what other tools drew")
    parser.add_argument("--contact-sheet", type=Path, metavar="OUT.png")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the pictures, as the peers' are kept")
    asked = parser.parse_args()
    recipes = [recipe_of(word) for word in asked.recipe]
    recipes = [replace(r, steps=asked.steps or r.steps, size_px=asked.size or r.size_px) for r in recipes]
    nets, verdicts, rows = {}, defaultdict(dict), []
    print(HEADER, flush=True)
    for network, layer in asked_layers(asked.layers):
        if network not in nets:
            nets[network] = judge.load(network)
        net = nets[network]
        channels = judge.chosen_channels(net.layers[layer].channels, asked.channels)
        place = f"{network}/{layer}"
        best_photo = judge.standard(net, layer).best_photo
        if asked.contact_sheet:
            shown = judge.photos(net.input.height or 224)[best_photo[1, channels]]
            rows.append((f"{network}\n{layer}\nbest photo (spatial maximum)", shown, [f"{c}" for c in channels]))
        contestants = [
            (r.name, *rendered(net, layer, channels, r, asked.seed), channels, None, statistic_of(r)) for r in recipes
        ]
        if asked.peers:
            contestants += drawn_by_peers(asked.peers, network, layer)
        for name, images, seconds, of, shown, statistic in contestants:
            statistic = statistic if asked.statistic == "auto" else asked.statistic
            verdict = judge.judge(net, layer, images, of, statistic, shown)
            verdicts[name][network, layer] = verdict
            print(line_of(place, name, statistic, verdict, seconds), flush=True)
            if asked.save:
                file = asked.save / name / network / f"{layer}.npz"
                file.parent.mkdir(parents=True, exist_ok=True)
                pictures = np.round(images[None] * 255).astype(np.uint8)
                told = {"shown": shown or images.shape[1], "statistic": statistic}
                np.savez_compressed(file, images=pictures, channels=of, seconds=[seconds], **told)
            captions = [f"{c}: {s:.1f}" for c, s in zip(of, verdict.share, strict=True)]
            rows.append((f"{network}\n{layer}\n{name}, {seconds:.0f} s", images, captions))
    print(*summary(verdicts), sep="\n")
    if asked.contact_sheet:
        contact_sheet(rows, asked.contact_sheet)
        print(f"pictures, each with its channel and share of the best photo: {asked.contact_sheet}")


if __name__ == "__main__":
    main()
