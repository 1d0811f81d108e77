"""What is in a network, layer by layer.

    >>> net.layers["block4_add"]
    Layer(name='block4_add', kind='Add', channels=40, grid_side=7, output_shape=(None, 28, 28, 40), position=41,
     stride_px=(8.0, 8.0), receptive_field_px=(67.0, 67.0), landmark=True)
    >>> net.layers.to_dataframe().query("channels > 1000")["name"].to_list()
    ['block12_expand_conv', 'block12_expand_bn', 'block12_expand_relu', 'block12_depthwise_conv',
     'block12_depthwise_bn', 'block12_depthwise_relu', 'block13_expand_conv', 'block13_expand_bn',
     'block13_expand_relu', 'block13_depthwise_conv', 'block13_depthwise_bn', 'block13_depthwise_relu',
     'block14_expand_conv', 'block14_expand_bn', 'block14_expand_relu', 'block14_depthwise_conv',
     'block14_depthwise_bn', 'block14_depthwise_relu', 'block15_expand_conv', 'block15_expand_bn',
     'block15_expand_relu', 'block15_depthwise_conv', 'block15_depthwise_bn', 'block15_depthwise_relu',
     'head_conv', 'head_bn', 'head_relu', 'head_pool', 'head_dropout']

The table is derived from the nodes of `modelzoo.graph`: an operation that is no Keras layer stands in it, a layer of a
nested model under its address, a shared layer once for each call. It draws itself as text and as HTML.
"""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from modelzoo.geometry import View, propagate
from modelzoo.graph import Graph, Node, Shape, UnknownLayerError, no_such

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Layer", "LayerTable", "list_layers", "suggest_landmarks"]


@dataclass(frozen=True)
class Layer:
    """One layer of a network: what one can ask for by name.

    Attributes
    ----------
    name
        Address in the network, ``backbone/block4_add`` for a layer of a nested model.
    kind
        Class of the operation.
    channels
        Size of the last axis.
    grid_side
        Side of the square grid that holds a sprite for each channel: the least with room for all.
    output_shape
        The batch, as None, first.
    position
        Place in the network's topological order, from 0.
    stride_px
        ``(height, width)`` pixels of the input between two neighbouring values; None where unknown, infinite where the
        layer has no space left.
    receptive_field_px
        ``(height, width)`` pixels of the input that one value sees, padding included; None where unknown.
    landmark
        Whether its spritemap is worth pregenerating.

    Examples
    --------
    >>> layer = net.layers["block9_add"]
    >>> layer.name, layer.kind, layer.channels, layer.grid_side, layer.output_shape, layer.position
    ('block9_add', 'Add', 112, 11, (None, 14, 14, 112), 84)
    >>> layer.stride_px, layer.receptive_field_px, layer.landmark, layer.is_spatial
    ((16.0, 16.0), (275.0, 275.0), True, True)
    """

    name: str
    kind: str
    channels: int
    grid_side: int
    output_shape: Shape
    position: int
    stride_px: tuple[float, ...] | None
    receptive_field_px: tuple[float, ...] | None
    landmark: bool = False

    @property
    def is_spatial(self) -> bool:
        """Whether the layer has height and width."""
        return len(self.output_shape) == 4


@dataclass(frozen=True, eq=False)
class LayerTable:
    """The layers of a network in network order.

    ``table["block4_add"]`` gives a layer by name, iterating gives all of them, ``"block4_add" in table`` asks for one.

    Examples
    --------
    >>> len(net.layers), net.layers.network, net.layers.names[:3]
    (144, 'EfficientNetLite0', ('stem_conv', 'stem_bn', 'stem_relu'))
    >>> [layer.name for layer in net.layers.landmarks][:3]
    ['stem_relu', 'block0_project_bn', 'block2_add']
    >>> net.layers.rows[-1].name, len(net.layers.aliases)
    ('probabilities', 0)
    >>> net.layers["block9"]
    Traceback (most recent call last):
        ...
    modelzoo.graph.UnknownLayerError: no layer 'block9'; did you mean 'block9_add' or 'block7_add' or ...
    """

    rows: tuple[Layer, ...]
    network: str
    aliases: Mapping[str, str]

    def __getitem__(self, name: str) -> Layer:
        """Find a layer by its address; a nested model's name stands for its last layer.

        Raises
        ------
        UnknownLayerError
            Naming the nearest layers.
        """
        found = self._by_name.get(self.aliases.get(name, name))
        if found is None:
            raise UnknownLayerError(no_such("layer", name, self._by_name))
        return found

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name or name in self.aliases

    @property
    def names(self) -> tuple[str, ...]:
        """Addresses in network order."""
        return tuple(layer.name for layer in self.rows)

    @property
    def landmarks(self) -> tuple[Layer, ...]:
        """The layers whose spritemaps are worth pregenerating."""
        return tuple(layer for layer in self.rows if layer.landmark)

    @property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.rows}

    def to_dataframe(self) -> pd.DataFrame:
        """Give the table as a pandas DataFrame, one row a layer, indexed by position.

        Examples
        --------
        >>> net.layers.to_dataframe()[["name", "channels", "stride_px"]].iloc[[3, 41, 139]]
                                   name  channels     stride_px
        position
        3         block0_depthwise_conv        32    (2.0, 2.0)
        41                   block4_add        40    (8.0, 8.0)
        139                   head_relu      1280  (32.0, 32.0)
        """
        import pandas as pd

        names = [f.name for f in fields(Layer)]
        rows = [{name: getattr(layer, name) for name in names} for layer in self.rows]
        return pd.DataFrame(rows, columns=names).set_index("position")

    def __repr__(self) -> str:
        rows = [_HEADINGS, *(_cells(layer) for layer in self.rows)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
        lines = [
            "  ".join(
                cell.ljust(width) if i in (1, 2, 4) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([f"{self.network}: {len(self.rows)} layers (* landmark)", *lines])

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th scope='col' style='text-align:left;padding:2px 10px'>{html.escape(h)}</th>" for h in _HEADINGS
        )
        body = "".join(
            f"<tr style='{'font-weight:600' if layer.landmark else ''}'>"
            + "".join(
                f"<td style='text-align:left;padding:2px 10px'>{html.escape(cell)}</td>" for cell in _cells(layer)
            )
            + "</tr>"
            for layer in self.rows
        )
        return (
            f"<div role='region' aria-label='layers' tabindex='0' style='max-height:480px;overflow:auto'>"
            f"<table style='border-collapse:collapse;font-size:13px'>"
            f"<caption style='text-align:left;padding:4px 10px'>{html.escape(self.network)}: {len(self.rows)} layers, "
            f"* landmark</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


_HEADINGS = ("#", "layer", "kind", "channels", "shape", "grid", "stride px", "sees px")


def _cells(layer: Layer) -> tuple[str, ...]:
    return (
        str(layer.position),
        layer.name + (" *" if layer.landmark else ""),
        layer.kind,
        str(layer.channels),
        " x ".join("?" if size is None else str(size) for size in layer.output_shape[1:]),
        f"{layer.grid_side} x {layer.grid_side}",
        _pixels(layer.stride_px),
        _pixels(layer.receptive_field_px),
    )


def _pixels(sizes: tuple[float, ...] | None) -> str:
    if sizes is None:
        return "?"
    if not sizes:
        return "-"
    words = ["all" if math.isinf(size) else f"{size:g}" for size in sizes]
    return words[0] if len(set(words)) == 1 else " x ".join(words)


def list_layers(
    graph: Graph, *, network: str, landmarks: Collection[str], shapes: Mapping[int, Shape] | None = None
) -> LayerTable:
    """Derive the table from a graph.

    Parameters
    ----------
    graph
        The network's nodes.
    network
        Its name, for headings.
    landmarks
        Addresses to mark.
    shapes
        Shapes by node index where they are better known than in the graph.
    """
    known = {node.index: node.shape for node in graph} | dict(shapes or {})
    views = propagate(graph, shapes)
    nodes = [node for node in graph if is_layer(node)]
    rows = tuple(
        _layer(node, position, known[node.index], views[node.index], node.address in landmarks)
        for position, node in enumerate(nodes)
    )
    aliases = {alias: graph.nodes[index].address for alias, index in graph.aliases.items()}
    return LayerTable(rows, network, aliases)


def is_layer(node: Node) -> bool:
    """Whether a node stands in the table: not an input, nor the linear half of a layer with its own activation."""
    return not node.is_input and node.part != "linear"


def _layer(node: Node, position: int, shape: Shape, view: View | None, landmark: bool) -> Layer:
    channels = shape[-1] if len(shape) > 1 and shape[-1] is not None else 1
    return Layer(
        name=node.address,
        kind=node.kind,
        channels=channels,
        grid_side=math.isqrt(channels - 1) + 1,
        output_shape=shape,
        position=position,
        stride_px=None if view is None else view.stride_px,
        receptive_field_px=None if view is None else view.receptive_field_px,
        landmark=landmark,
    )


def suggest_landmarks(graph: Graph) -> tuple[str, ...]:
    """Name the layers of a network without a card that are worth a spritemap.

    Those are the places where paths meet (additions, concatenations); where a network has none, the last layer before
    each change of resolution; and always the last layer with space.
    """
    spatial = [node for node in graph if is_layer(node) and len(node.shape) == 4]
    if not spatial:
        return ()
    places = [node for node in spatial if len(node.inputs) > 1 and node.kind in ("Add", "Concatenate")]
    if not places:
        places = [
            before
            for before, after in zip(spatial, spatial[1:], strict=False)
            if before.shape[1:3] != after.shape[1:3] and before.shape[1:3] != (1, 1)
        ]
    features = [node for node in spatial if node.shape[1:3] != (1, 1)]
    last = features[-1:] or spatial[-1:]
    return tuple(dict.fromkeys(node.address for node in [*places, *last]))
