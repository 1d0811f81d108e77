"""From a name, a file or a Keras model to a network.

    net = load("EfficientNetLite0")          # from the zoo, with its published weights
    net = load("my_model.keras")             # a file
    net = load("flowers/")                   # a folder that `save` wrote; or its address, gs://bucket/flowers
    net = load(keras_model, input=(-1, 1))   # any functional or Sequential model, and the values it was trained on

A name is looked up among the cards; the card names the builder and the places where weights come from. Networks that a
user has converted follow those of the package. A model of the user's own gets a card made from its graph, in which the
value range is an assumption unless it is said.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo.cards import Card, CardError, InputSpec, OutputSpec, WeightSource, card_paths, read_card
from modelzoo.persist import is_saved, load_saved
from modelzoo.readiness import next_step, weights_state
from modelzoo.user_zoo import user_cards
from modelzoo.weights.model_file import MODEL_SUFFIXES

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from modelzoo.network import Network

__all__ = ["UnknownModelError", "broken_cards", "cards", "load", "models", "packaged_cards", "read_model_card"]


class UnknownModelError(KeyError):
    """A name that no network of the zoo has, and that is no file.

    Examples
    --------
    >>> dc.load("EfficentNetLite0")
    Traceback (most recent call last):
        ...
    modelzoo.registry.UnknownModelError: no network 'EfficentNetLite0' in the zoo of ...; did you mean EfficientNetLite0 ...
    """

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def packaged_cards() -> dict[str, Card]:
    """Cards of the networks that come with the package, by name."""
    return {name: read_card(path) for name, path in card_paths().items()}


def cards() -> dict[str, Card]:
    """All cards of the zoo by name: those of the package, then those of the user's own networks."""
    own = {name: card for name, card in _own_cards().items() if isinstance(card, Card)}
    return {**packaged_cards(), **own}


def broken_cards() -> dict[str, CardError]:
    """What is wrong with those networks of the user's own that cannot be used, by name."""
    return {name: card for name, card in _own_cards().items() if isinstance(card, CardError)}


def _own_cards() -> dict[str, Card | CardError]:
    packaged = {folded_name(name): name for name in packaged_cards()}
    own = user_cards()
    for name in own:
        if folded_name(name) in packaged:
            other = packaged[folded_name(name)]
            own[name] = CardError(f"{name!r} is too near to the zoo's own {other!r}; rename its folder and its card")
    return own


def read_model_card(name: str) -> Card:
    """Find a card by name, upper and lower case, ``-`` and ``_`` alike.

    Raises
    ------
    UnknownModelError
        Naming the nearest networks.
    CardError
        For a network of the user's own with a card that cannot be read.
    """
    listed = cards()
    known = {folded_name(card): card for card in listed}
    found = known.get(folded_name(name))
    if found is not None:
        return listed[found]
    broken = {folded_name(each): error for each, error in broken_cards().items()}
    if folded_name(name) in broken:
        raise broken[folded_name(name)]
    near = difflib.get_close_matches(folded_name(name), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(known[n] for n in near)}?" if near else "models() lists the zoo"
    raise UnknownModelError(f"no network {name!r} in the zoo of {len(known)}, and no such file; {hint}")


def models() -> pd.DataFrame:
    """Give the zoo as a table, without building anything.

    Returns
    -------
    pandas.DataFrame
        One row a network, indexed by name: title, input (pixels; mel bands x frames of a sound network), order (of
        the channels; ``"mel"`` for sound), values (what the network sees for black and white, or for silence and loud
        sound), outputs, landmarks, parameters, weights (a word of `modelzoo.readiness.MEANINGS`; ``"broken"`` and why
        for a network of the user's own that cannot be used), next (what to do with it in that state), year.

    Examples
    --------
    >>> zoo = dc.models()
    >>> len(zoo), list(zoo.columns)
    (31, ['title', 'input', 'order', 'values', 'outputs', 'landmarks', 'parameters', 'weights', 'next', 'year'])
    >>> zoo.loc["EfficientNetLite0", ["input", "values", "weights"]].to_list()
    ['224 x 224', '-0.992188 .. 1', 'ready']
    >>> zoo.query("order == 'mel'").index.to_list()
    ['MiniResnet_esc10', 'MusicnnVGG_MSD', 'MusicnnVGG_MTT', 'VGGish', 'YAMNet', 'Yamnet256_esc10']
    """
    import pandas as pd

    rows = [
        {
            "name": card.name,
            "title": card.title,
            "input": f"{card.input.height} x {card.input.width}",
            "order": card.input.channel_order if card.input.audio is None else "mel",
            "values": "{:g} .. {:g}".format(*card.input.value_range),
            "outputs": card.output.size,
            "landmarks": len(card.landmarks),
            "parameters": card.parameters,
            "weights": weights_state(card),
            "next": next_step(card),
            "year": card.paper.year if card.paper else None,
        }
        for card in cards().values()
    ]
    table = pd.DataFrame(rows).set_index("name")
    for name, error in broken_cards().items():
        table.loc[name, ["title", "weights"]] = [name, f"broken: {error}"]
    return table


def load(
    name_or_path_or_model: str | Path | keras.Model,
    *,
    weights: str | Path | None = "default",
    input: InputSpec | tuple[float, float] | None = None,
) -> Network:
    """Load a network from the zoo, from a file, or around a Keras model.

    Parameters
    ----------
    name_or_path_or_model
        Name in the zoo (see `models`), path of a ``.keras`` or ``.h5`` file, folder or address of a network that was
        saved with its card, or a functional or Sequential model.
    weights
        For a network of the zoo: ``"default"`` for its published weights, a path for others in the same format, None
        for random ones.
    input
        What the network takes: an `InputSpec`, or ``(low, high)``, the values it sees for black and white. The zoo's
        networks know it, converted ones by a guess at times; for others [0, 1] is assumed, or [0, 255] where the model
        rescales its input itself.

    Returns
    -------
    Network

    Raises
    ------
    UnknownModelError
        For a name that is neither in the zoo nor a file.
    GraphError
        For a subclassed model and an unbuilt Sequential, with the way out.
    WeightsError
        For weights that are missing, truncated, tampered with, or of another network.

    Examples
    --------
    >>> net = dc.load("EfficientNetLite0")
    >>> net.output_size, net.pre_output_layer
    (1000, 'head_pool')

    A Keras model of one's own, which was trained on values from -1 to 1:

    >>> own = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3), keras.layers.Flatten()])
    >>> dc.load(own, input=(-1, 1)).input.value_range
    (-1.0, 1.0)
    >>> dc.load("EfficientNetLite")
    Traceback (most recent call last):
        ...
    modelzoo.registry.UnknownModelError: no network 'EfficientNetLite' in the zoo of ...; did you mean ...
    """
    require_tensorflow_backend()
    import keras

    from modelzoo.weights.model_file import read_model

    source = name_or_path_or_model
    if isinstance(source, keras.Model):
        return _around(source, input)
    if not isinstance(source, str | Path):
        raise TypeError(f"expected a name, a path or a Keras model, found {type(source).__qualname__}")
    if Path(source).suffix in MODEL_SUFFIXES:
        return _around(read_model(Path(source)), input)
    if is_saved(source):
        return load_saved(source)
    card = read_model_card(str(source))
    return _from_zoo(card, weights) if card.architecture else _from_user_zoo(card, weights, input)


def require_tensorflow_backend() -> None:
    """Raise where Keras runs on another backend than TensorFlow.

    Raises
    ------
    RuntimeError
        Naming the backend and how to change it.
    """
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            f"Keras runs on {backend!r}; Diamond Cutter needs TensorFlow: set KERAS_BACKEND=tensorflow before Keras "
            "is first imported"
        )


def _from_zoo(card: Card, weights: str | Path | None) -> Network:
    from modelzoo.network import Network
    from modelzoo.weights.classifier import classifier_variables, last_features
    from modelzoo.weights.formats import read_arrays
    from modelzoo.weights.mapping import assign_weights
    from modelzoo.weights.sources import check, locate

    module = importlib.import_module(f"modelzoo.architectures.{card.architecture}")
    model = module.build(
        **card.options,
        input_shape=card.input.shape,
        classes=card.output.size,
        name=card.name.lower(),
    )
    network = Network.of(model, card, weights="random")
    if weights is None:
        return network
    source = _source(card, weights)
    path = locate(source, name=card.name)
    check(path, source)
    classifier = classifier_variables(network.graph, model, card.landmarks)
    arrays = read_arrays(path, source.format, module, card.options, model=model, optional=classifier)
    whole = not classifier or any(address in arrays for address in classifier)
    assign_weights(model, arrays, origin=str(path), ignore=() if whole else classifier)
    trained_to = None if whole else last_features(network.graph, card.landmarks)
    return replace(network, weights=path.name, trained_to=trained_to)


def _from_user_zoo(card: Card, weights: str | Path | None, spec: InputSpec | tuple[float, float] | None) -> Network:
    import keras

    from modelzoo.network import Network
    from modelzoo.weights.errors import WeightsError
    from modelzoo.weights.model_file import read_model
    from modelzoo.weights.sources import check, locate

    if weights not in ("default", None):
        raise WeightsError(
            f"{card.name} is a whole model, {card.weights[0].path}, and takes no weights of another file; load that file "
            "itself, or convert it under a name of its own"
        )
    path = locate(card.weights[0], name=card.name)
    check(path, card.weights[0])
    model = read_model(path)
    if spec is not None:
        said = _input_of(model, spec)
        card = replace(card, input=replace(said, height=card.input.height, width=card.input.width))
    if weights is None:
        return Network.of(keras.models.clone_model(model), card, weights="random")
    return Network.of(model, card, weights=path.name)


def _source(card: Card, weights: str | Path) -> WeightSource:
    from modelzoo.weights.errors import WeightsError
    from modelzoo.weights.formats import format_of
    from modelzoo.weights.sources import state
    from modelzoo.weights.tf_checkpoint import find_checkpoint

    if weights != "default":
        # A checkpoint goes by a prefix that may be the name of no file.
        path = find_checkpoint(weights) or Path(weights)
        return WeightSource(kind="file", format=format_of(path), licence="unknown", path=str(path))
    if not card.weights:
        raise WeightsError(
            f"no trained weights of {card.name} are published in a place known here; give a file with "
            f"load({card.name!r}, weights=PATH), or weights=None for random ones"
        )
    # A file without the classifier is taken only where no whole one can be had.
    whole = [source for source in card.weights if not source.without_top]
    ready = [source for source in whole or card.weights if state(source) == "ready"]
    return (ready or whole or card.weights)[0]


def _around(model: keras.Model, spec: InputSpec | tuple[float, float] | None) -> Network:
    from modelzoo.graph import read_graph
    from modelzoo.inventory import suggest_landmarks
    from modelzoo.network import Network, features_node

    graph = read_graph(model)
    output = graph.nodes[graph.outputs[0].node]
    size = 1
    for axis in output.shape[1:]:
        size *= axis or 1
    card = Card(
        name=model.name,
        title=model.name,
        input=_input_of(model, spec),
        output=OutputSpec(layer=output.address, size=size, pre_output_layer=features_node(graph).address),
        landmarks=suggest_landmarks(graph),
        parameters=model.count_params(),
    )
    return Network.of(model, card)


def _input_of(model: keras.Model, spec: InputSpec | tuple[float, float] | None) -> InputSpec:
    shape = tuple(model.inputs[0].shape)
    height, width, channels = shape[1:] if len(shape) == 4 else (None, None, 3)
    if isinstance(spec, InputSpec):
        return spec
    if spec is not None:
        return InputSpec.from_value_range(*spec, height=height, width=width, channels=channels)
    high = 255.0 if _rescales_itself(model) else 1.0
    return InputSpec(height=height, width=width, channels=channels, scale=(high,), assumed=True)


def _rescales_itself(model: keras.Model) -> bool:
    from modelzoo.attributes import describe
    from modelzoo.graph import read_graph

    for node in read_graph(model).nodes[:4]:
        what = describe(node)
        if what["op"] == "affine" and isinstance(what.get("scale"), float):
            return bool(what["scale"] <= 1 / 64)
        if what["op"] == "affine":
            return False
    return False


def folded_name(name: str) -> str:
    """Give a name as names are compared: upper and lower case, ``-`` and ``_`` alike."""
    return name.casefold().replace("-", "").replace("_", "")
