"""A new network from the beginning of another.

    >>> student = dc.attach(net, "block9_add", classes=["daisy", "rose"], convolutions=(128,), dropout=0.2)
    >>> student.layers.names[-1], student.output_size
    ('head_probabilities', 2)
    >>> student.fingerprint("block4_add") == net.fingerprint("block4_add")
    True

The part up to the cut is *cloned* and frozen, new convolutions and a head are put on top. What follows from that:

* The network it is from never changes, whatever is done to the student.
* Every batch norm of the frozen part keeps its moving means under ``fit``: its ``trainable`` is False, the only way that
  holds in Keras (``base(x, training=False)`` does not, once the layers are unfrozen).
* A student is a network as any other: attribution, maps, occlusion and rendering take it. Its frozen layers are the
  original's by fingerprint, so their spritemaps are found where the original's are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras

from modelzoo import Layer, Network
from modelzoo.cards import Card, OutputSpec
from modelzoo.clone import Trunk, clone_trunk
from modelzoo.graph import GraphError
from modelzoo.user_zoo import check_name

__all__ = ["attach"]

POOLINGS = ("average", "max", "flatten")
KERNEL = 3
MOST_LETTERS = 64
# Of the new batch norms: few samples make few steps, and Keras' own 0.99 needs hundreds to know the means.
MOMENTUM = 0.9
# By the rank of what is convolved or pooled, the batch and the channels counted.
_CONVOLUTIONS = {3: keras.layers.Conv1D, 4: keras.layers.Conv2D, 5: keras.layers.Conv3D}
_POOLINGS = {
    "average": {
        3: keras.layers.GlobalAveragePooling1D,
        4: keras.layers.GlobalAveragePooling2D,
        5: keras.layers.GlobalAveragePooling3D,
    },
    "max": {
        3: keras.layers.GlobalMaxPooling1D,
        4: keras.layers.GlobalMaxPooling2D,
        5: keras.layers.GlobalMaxPooling3D,
    },
}


def attach(
    net: Network,
    cut: str | Layer,
    *,
    classes: int | Iterable[str],
    convolutions: Sequence[int | keras.Layer] = (),
    pooling: str = "average",
    dropout: float = 0.0,
    seed: int = 0,
    name: str | None = None,
) -> Network:
    """Keep a network up to a cut, frozen, and put a new head on it.

    Parameters
    ----------
    net
        The network; it is not changed.
    cut
        The last layer to keep, with all it is computed from: any layer, of nested models too.
    classes
        How many, or their names in the order of the outputs (`CutReport.classes`, ``read_samples(...).classes``).
    convolutions
        What comes on the cut: for each number a 3 x 3 convolution of so many channels with batch norm and ReLU
        (``head_conv1``, ``head_bn1``, ``head_relu1`` ...), or a Keras layer of your own.
    pooling
        ``"average"`` or ``"max"`` over all places, or ``"flatten"``.
    dropout
        Share of the pooled features, which a batch norm standardises first, that are left out in training.
    seed
        Of the new weights.
    name
        Of the student; else the network's and the cut's.

    Returns
    -------
    Network
        It takes what `net` takes. Its head is a dense layer ``head_logits`` and their softmax ``head_probabilities``;
        where the network is a student itself and has a head already, ``head2_logits``, and so on.

    Raises
    ------
    UnknownLayerError
        For a layer that is not there, naming the nearest.
    GraphError
        Where the cut depends on several inputs, or a layer cannot be made again.
    ValueError
        For fewer than two classes, a pooling or dropout that is not, convolutions on a layer without places.

    Examples
    --------
    >>> student = dc.attach(net, "block9_add", classes=["brick", "grass", "gravel"], convolutions=(32,), dropout=0.2)
    >>> student
    EfficientNetLite0-block9_add: 93 layers, 576,323 parameters, weights efficientnet-lite0-57934424.pth, with a new head
      input   224 x 224 px, RGB, values -0.992188 to 1
      output  head_probabilities, 3 values; before it head_relu1
      landmarks  stem_relu, block0_project_bn, block2_add, block4_add, block7_add, block9_add, head_relu1
    >>> student.fingerprint("block4_add") == net.fingerprint("block4_add")
    True
    """
    node = net.node(cut)
    names = _class_names(classes)
    n = classes if isinstance(classes, int) else len(names or ())
    _check(net, node.shape, convolutions, pooling, dropout, n)
    trunk = clone_trunk(net.graph, node)
    last = trunk.names[node.address]
    for layer in trunk.layers:
        layer.trainable = False
    called = check_name(name or _usual_name(net.name, last))
    head = _free_prefix(trunk)
    convolved, new = _convolved(trunk.output, convolutions, seed, head)
    values = _pooled(convolved, pooling, head)
    # Features in the middle of a network have any scale; a head on them learns slowly, or not at all.
    values = _norm(f"{head}_norm", center=False, scale=False)(values)
    if dropout:
        values = keras.layers.Dropout(dropout, seed=seed, name=f"{head}_dropout")(values)
    # Small: what it says before it has learned is next to nothing, and drowns no gradient in noise.
    start = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
    logits = keras.layers.Dense(n, kernel_initializer=start, name=f"{head}_logits")(values)
    answer = keras.layers.Activation("softmax", name=f"{head}_probabilities", dtype="float32")(logits)
    model = keras.Model(trunk.input, answer, name=called)
    output = OutputSpec(layer=f"{head}_probabilities", size=n, pre_output_layer=(new or [last])[-1], classes=names)
    landmarks = [*([last] if len(node.shape) == 4 else []), *(new if len(convolved.shape) == 4 else [])]
    card = _card(net, trunk, node.address, landmarks, model, output)
    return Network.of(model, card, weights=f"{net.weights}, with a new head")


def _class_names(classes: int | Iterable[str]) -> tuple[str, ...] | None:
    if isinstance(classes, bool | str):
        raise ValueError(f"classes is {classes!r}; expected how many, or a list of names")
    if isinstance(classes, int):
        return None
    names = tuple(str(each) for each in classes)
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ValueError(f"the class {twice[0]!r} stands twice among {len(names)} names")
    return names


def _check(
    net: Network, shape: tuple[int | None, ...], convolutions: Sequence[Any], pooling: str, dropout: float, n: int
) -> None:
    if n < 2:
        raise ValueError(f"{n} classes; expected 2 or more")
    if pooling not in POOLINGS:
        raise ValueError(f"no pooling {pooling!r}; expected {', '.join(POOLINGS)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; expected a share from 0 to less than 1")
    if len(shape) not in (2, 3, 4, 5):
        raise GraphError(f"{net.name} gives {shape} there; expected (batch, channel) or places before the channels")
    if len(shape) == 2 and any(isinstance(each, int) for each in convolutions):
        raise ValueError(f"the cut gives {shape}, without places to convolve over; cut before its pooling")
    if pooling == "flatten" and None in shape[1:]:
        raise ValueError(f"the cut gives {shape}, of no fixed size, which cannot be flattened; expected average or max")


def _usual_name(net: str, cut: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", ".", f"{net}-{cut}")[:MOST_LETTERS].rstrip(".")


def _free_prefix(trunk: Trunk) -> str:
    taken = set(trunk.names.values())
    return next(
        head
        for head in itertools.chain(["head"], (f"head{number}" for number in itertools.count(2)))
        if not any(name.startswith(f"{head}_") for name in taken)
    )


def _convolved(values: Any, convolutions: Sequence[int | keras.Layer], seed: int, head: str) -> tuple[Any, list[str]]:
    new = []
    for number, each in enumerate(convolutions, 1):
        if isinstance(each, keras.Layer):
            values = each(values)
            new.append(each.name)
            continue
        if each < 1:
            raise ValueError(f"a convolution of {each} channels; expected 1 or more, or a Keras layer")
        start = keras.initializers.HeNormal(seed=seed + number)
        kind = _CONVOLUTIONS[len(values.shape)]
        values = kind(
            each, KERNEL, padding="same", use_bias=False, kernel_initializer=start, name=f"{head}_conv{number}"
        )(values)
        values = _norm(f"{head}_bn{number}")(values)
        values = keras.layers.ReLU(name=f"{head}_relu{number}")(values)
        new.append(f"{head}_relu{number}")
    return values, new


def _norm(name: str, **options: Any) -> keras.layers.BatchNormalization:
    return keras.layers.BatchNormalization(momentum=MOMENTUM, name=name, **options)


def _pooled(values: Any, pooling: str, head: str) -> Any:
    rank = len(values.shape)
    if rank == 2:
        return values
    if pooling == "flatten":
        return keras.layers.Flatten(name=f"{head}_flatten")(values)
    return _POOLINGS[pooling][rank](name=f"{head}_pool")(values)


def _card(net: Network, trunk: Trunk, cut: str, above: Sequence[str], model: keras.Model, output: OutputSpec) -> Card:
    kept = [trunk.names[address] for address in net.landmarks if address in trunk.names]
    return replace(
        net.card,
        name=model.name,
        title=f"{net.card.title} up to {cut}, for {output.size} classes",
        architecture=None,
        options={},
        output=output,
        landmarks=tuple(dict.fromkeys([*kept, *above])),
        weights=(),
        parameters=model.count_params(),
        lucid={theirs: trunk.names[ours] for theirs, ours in net.card.lucid.items() if ours in trunk.names},
        remark=f"Made of {net.name} up to {cut}, with a head of its own.",
    )
