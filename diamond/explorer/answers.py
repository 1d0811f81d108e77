"""What a network answers about a picture, quickest first.

    for message in answers(net, picture, Asked("block9_add")):
        print(message["say"])

An iterator does one piece of work at a time, so whoever asks can stop between any two. A piece that fails says so in its
own panel (``"trouble"``), and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.explorer.sources import Picture

if TYPE_CHECKING:
    from diamond.attribution.channels import ChannelAttribution
    from diamond.attribution.semantic import SemanticMap
    from diamond.occlusion.occluded import OcclusionMap
    from modelzoo import Network
    from spritemaps import Spritemap, Store

__all__ = ["Asked", "Message", "answers", "framed", "in_words", "map_message", "wanting"]

Message = dict[str, Any]
TOP = 8
CELL_TOP = 4
PREDICTIONS = 5
# Sprites that the map shows beside those of the channels: as many as a minute renders.
MOST_RENDERED = 16


@dataclass(frozen=True)
class Asked:
    """What is asked about a picture.

    Attributes
    ----------
    layer
        Address of the layer.
    positive, negative
        The class asked about, and one held against it: see `diamond.attribution.targets`. ``positive=None``: no class.
    """

    layer: str
    positive: int | str | None = "top1"
    negative: int | str | None = None


def answers(
    net: Network,
    picture: Picture,
    asked: Asked,
    *,
    store: Store | str | Path | None = None,
    rendered: Spritemap | None = None,
    covered: dict[tuple[Any, ...], Message] | None = None,
) -> Iterator[Message]:
    """Give what is found about a picture, as messages.

    Parameters
    ----------
    net, picture, asked
        Of whom, about what, and what.
    store
        Where to look first for sprites.
    rendered
        Sprites of the layer that were rendered before, where no store has any.
    covered
        The finished occlusion of each question about this picture, which no layer changes; what is finished is added.

    Yields
    ------
    dict
        ``say`` is ``"predictions"``, ``"question"``, ``"channels"``, ``"map"`` or ``"occlusion"``, or ``"trouble"`` with
        ``panel`` and ``words``. Between them ``"status"``: what is worked on. Channels and map carry their result as
        ``"found"``, which is not sent.
    """
    if net.trained_to is None:
        yield {"say": "status", "words": "Naming what is in the picture"}
        yield from _guarded("class", lambda: _predictions(net, picture))
    settled = asked if net.trained_to is None else replace(asked, positive=None, negative=None)
    question = _question(net, picture, settled)
    yield question
    yield {"say": "status", "words": f"Looking for the channels of {asked.layer}"}
    yield from _guarded("channels", lambda: _channels(net, picture, settled, store, rendered))
    if net.layers[asked.layer].is_spatial:
        yield {"say": "status", "words": f"Drawing the map of {asked.layer}"}
        yield from _guarded("map", lambda: _map(net, picture, settled, store, rendered))
    else:
        near = _nearest_with_map(net, asked.layer)
        hint = f"; the nearest layer with them is {near}" if near else ""
        yield _trouble("map", f"{asked.layer} has no height and width, so there is no map of it{hint}.")
    if settled.positive is None:
        why = "Occlusion asks what a class loses; choose a class."
        yield _trouble("occlusion", why if net.trained_to is None else "This network's weights have no classifier.")
    else:
        yield {"say": "status", "words": "Covering parts of the picture"}
        done = {} if covered is None else covered
        key = question["positive"]["index"], (question["negative"] or {}).get("index")
        yield from _guarded("occlusion", lambda: _occlusions(net, picture, settled, done, key))


def in_words(error: Exception) -> str:
    """Word an error for whoever looks at the page."""
    known = (KeyError, ValueError, OSError, RuntimeError)
    words = str(error) if isinstance(error, known) else f"{type(error).__name__}: {error}"
    return words.strip().partition("\n")[0] or type(error).__name__


def wanting(found: ChannelAttribution | None, seen: SemanticMap | None) -> list[int]:
    """Give the channels shown without a sprite: those listed, then those that most cells name."""
    listed: list[int] = []
    if found is not None:
        listed += [*found.channels.tolist(), *found.opposed.tolist()]
    if seen is not None:
        names, counts = np.unique(seen.channels, return_counts=True)
        listed += [*seen.overall.tolist(), *names[np.argsort(-counts, kind="stable")].tolist()]
    held: Any = () if found is None or found.sprites is None else set(found.sprites.channels)
    return [channel for channel in dict.fromkeys(listed) if channel not in held][:MOST_RENDERED]


def map_message(found: SemanticMap) -> Message:
    """Give a map as a message: a whole page, to be shown in a frame."""
    from diamond.show.semantic import semantic_page

    return {"say": "map", "layer": found.layer, "document": framed(semantic_page(found)), "title": str(found)}


def framed(document: str) -> str:
    """Fit a result's page into a panel: without its heading, and telling how high it is."""
    head, end, tail = document.rpartition("</html>")
    return head + _FITTED + end + tail


# A frame without a fixed height must not measure itself by the window: it would grow by what it grew.
_FITTED = """<style>body { padding: 2px 4px 6px; } .sm { max-width: none; } .sm header { display: none; }
.sm .stage, .sm .under { max-width: 560px; }
@media (min-width: 520px) and (max-width: 719px) {
  .sm .board { display: grid; grid-template-columns: minmax(0, 1.3fr) minmax(0,
   1fr); grid-template-rows: auto 1fr; gap: 14px 22px; }
  .sm .right { grid-row: 1 / span 2; grid-column: 2; }
  .sm .under { grid-column: 1; }
  .sm .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}</style>
<script>new ResizeObserver(() => {
  parent.postMessage({ diamondHeight: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
}).observe(document.body);</script>
"""


def _guarded(panel: str, work: Any) -> Iterator[Message]:
    """Do a piece of work; where it fails, say so in its panel."""
    try:
        yield from work()
    except Exception as error:
        # Whatever breaks in one panel, of a network nobody tried before: the others still have their say.
        yield _trouble(panel, in_words(error))


def _trouble(panel: str, words: str) -> Message:
    return {"say": "trouble", "panel": panel, "words": words}


def _predictions(net: Network, picture: Picture) -> Iterator[Message]:
    found = net.predict(picture.seen, top=PREDICTIONS)
    rows = zip(found.classes[0].tolist(), found.labels[0], found.probabilities[0].tolist(), strict=True)
    yield {
        "say": "predictions",
        "rows": [{"index": index, "label": label, "probability": p} for index, label, p in rows],
    }


def _question(net: Network, picture: Picture, asked: Asked) -> Message:
    positive, negative = (_settled(net, picture, target) for target in (asked.positive, asked.negative))
    return {
        "say": "question",
        "layer": asked.layer,
        "positive": positive,
        "negative": negative,
        "python": _python(net, picture, asked, positive, negative),
    }


def _settled(net: Network, picture: Picture, target: int | str | None) -> Mapping[str, Any] | None:
    """Give index and label of a target; the index of all others is their name."""
    from diamond.attribution.targets import ALL_OTHERS, OTHERS, encode

    if target is None:
        return None
    if target == OTHERS:
        return {"index": OTHERS, "label": ALL_OTHERS}
    code = encode(net, target)
    if code < 0:
        code = int(net.predict(picture.seen, top=-code).classes[0][-code - 1])
    return {"index": code, "label": net.class_label(code)}


def _python(net: Network, picture: Picture, asked: Asked, positive: Any, negative: Any) -> str:
    """Give the lines that give the same in a notebook."""
    words = f", positive={_literal(positive)}" + (f", negative={_literal(negative)}" if negative else "")
    lines = [
        f"net = dc.load({net.name!r})",
        f"photo = {picture.name!r}",
        f"dc.channel_attribution(net, photo, {asked.layer!r}{words})",
    ]
    if net.layers[asked.layer].is_spatial:
        lines.append(f"dc.semantic_map(net, photo, {asked.layer!r}{words})")
    if positive:
        targets = [_literal(each) for each in (positive, negative) if each and each["index"] != "others"]
        target = targets[0] if len(targets) == 1 else f"[{', '.join(targets)}]"
        lines.append(f'dc.occlude(net, photo, target={target}, method="drilldown")')
    return "\n".join(lines)


def _literal(target: Mapping[str, Any] | None) -> str:
    return "None" if target is None else repr(target["index"])


def _channels(
    net: Network, picture: Picture, asked: Asked, store: Any, rendered: Spritemap | None
) -> Iterator[Message]:
    from diamond.attribution.channels import channel_attribution

    found = channel_attribution(
        net,
        picture.seen,
        asked.layer,
        positive=asked.positive,
        negative=asked.negative,
        top=TOP,
        store=store,
        progress=False,
    )
    found = replace(found, images=(picture.name,), sprites=found.sprites or rendered)
    most = found.strongest or 1.0

    def row(channel: int) -> Message:
        score = float(found.totals[channel])
        drawn = found.sprites is not None and channel in found.sprites
        return {
            "channel": channel,
            "score": score,
            "share": abs(score) / most,
            "sprite": found.sprites.data_uri(channel) if drawn and found.sprites is not None else None,
        }

    yield {
        "say": "channels",
        "layer": found.layer,
        "question": found.question,
        "opponent": found.opponent,
        "measure": found.measure,
        "rows": [row(channel) for channel in found.channels.tolist()],
        "opposed": [row(channel) for channel in found.opposed.tolist()],
        "of": int(found.totals.size),
        "found": found,
    }


def _map(net: Network, picture: Picture, asked: Asked, store: Any, rendered: Spritemap | None) -> Iterator[Message]:
    from diamond.attribution.semantic import semantic_map

    found = semantic_map(
        net,
        picture.seen,
        asked.layer,
        positive=asked.positive,
        negative=asked.negative,
        top=CELL_TOP,
        store=store,
    )
    found = replace(found, image=picture.name, photo=picture.photo, sprites=found.sprites or rendered)
    yield {**map_message(found), "found": found}


def _occlusions(
    net: Network, picture: Picture, asked: Asked, done: dict[tuple[Any, ...], Message], key: tuple[Any, ...]
) -> Iterator[Message]:
    from diamond.attribution.targets import OTHERS
    from diamond.occlusion import occlude

    if key in done:
        yield done[key]
        return
    targets: list[Any] = [each for each in (asked.positive, asked.negative) if each is not None and each != OTHERS]
    for found in occlude.occlude(net, picture.seen, target=targets, method="drilldown", stream=True, progress=False):
        message = _occlusion(found)
        if message["done"]:
            done[key] = message
        yield message


def _occlusion(found: OcclusionMap) -> Message:
    from diamond.show.heat import overlay
    from diamond.show.pages import picture_uri

    measured, n = int(found.measured.sum()), len(found.measured)
    return {
        "say": "occlusion",
        "measured": measured,
        "windows": n,
        "done": measured == n,
        "facts": found.facts[0],
        "maps": [
            {
                "label": label,
                "uri": picture_uri(overlay(heatmap), most_px=448),
                "logit": float(found.logits[i]),
                "low": float(heatmap.min()),
                "high": float(heatmap.max()),
                "error": 0.0 if found.errors is None else float(found.errors[i]),
            }
            for i, (label, heatmap) in enumerate(zip(found.targets, found.heatmaps, strict=True))
        ],
    }


def _nearest_with_map(net: Network, layer: str) -> str | None:
    place = net.layers[layer]
    spatial = sorted((row for row in net.layers if row.is_spatial), key=lambda row: abs(row.position - place.position))
    return spatial[0].name if spatial else None
