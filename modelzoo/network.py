"""A Keras model together with what is known of it.

    >>> net = dc.load("EfficientNetLite0")
    >>> net.predict("cat.jpg", top=3)
    cat.jpg  tiger cat (282) 37.8 %  Egyptian cat (285) 36.7 %  tabby (281) 16.9 %
    >>> net.activations("cat.jpg", "block9_add").shape
    (1, 14, 14, 112)

Every network here takes pictures in [0, 1], RGB, whatever it was trained on: the card's scale, offset and channel order
are applied in the graph, so a gradient reaches the picture itself. A sound network takes spectrogram patches
``(frequency, time, 1)`` in the place of pictures, which its card's frontend makes of sounds. Layers are named by address
(see `modelzoo.graph`), so a network with nested models needs no other words than a flat one.

A network *forwards* pictures to the nodes asked for; everything else here is a form of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modelzoo.attributes import describe
from modelzoo.cards import Card, InputSpec
from modelzoo.fingerprint import fingerprint
from modelzoo.graph import Graph, GraphError, Node, Shape, read_graph
from modelzoo.inputs.frontends import Patches, read_patches
from modelzoo.inputs.pictures import images as read_images
from modelzoo.inputs.sounds import SoundError
from modelzoo.inventory import Layer, LayerTable, is_layer, list_layers
from modelzoo.labels import Classes, read_classes
from modelzoo.predictions import Predictions, names_of
from modelzoo.weights.errors import WeightsError

__all__ = ["Network"]

BATCH = 32
_PASSES_ON = {"identity", "flatten", "reshape"}
_ENDS_IN = {"softmax", "sigmoid", "log_softmax"}


@dataclass(frozen=True, eq=False)
class Network:
    """A Keras model with its card.

    Attributes
    ----------
    model
        The Keras model itself; nothing here changes it.
    card
        What is known of it without building it.
    graph
        Its nodes.
    weights
        Where its weights come from, for people: ``"random"`` where they are not trained.
    trained_to
        Address of the last layer with trained weights, where those of the classifier are missing and it is random;
        None where the weights are whole.

    Examples
    --------
    >>> net = dc.load("EfficientNetLite0")
    >>> net
    EfficientNetLite0: 144 layers, 4,694,024 parameters, weights efficientnet-lite0-57934424.pth
      input   224 x 224 px, RGB, values -0.992188 to 1
      output  probabilities, 1000 values; before it head_pool
      landmarks  stem_relu, block0_project_bn, block2_add, block4_add, block7_add, block9_add, block10_add,
       block12_add, block14_add, block15_project_bn, head_relu
    >>> net.name, net.output_layer, net.output_size, net.pre_output_layer, net.weights, net.trained_to
    ('EfficientNetLite0', 'probabilities', 1000, 'head_pool', 'efficientnet-lite0-57934424.pth', None)
    >>> net.input.value_range, net.card.paper.year, net.landmarks[:3]
    ((-0.9921875, 1.0), 2019, ('stem_relu', 'block0_project_bn', 'block2_add'))
    >>> net.layers["block9_add"].channels, net.node("block9_add").address, net.logits_node.address, len(net.graph.nodes)
    (112, 'block9_add', 'logits', 145)
    >>> net.classes.names[285], net.class_index("Egyptian cat"), net.class_label(285)
    ('Egyptian cat', 285, 'Egyptian cat')
    >>> net.model.count_params(), net.fingerprint("block9_add")[:8]
    (4694024, 'b3997ec4')
    """

    model: keras.Model
    card: Card
    graph: Graph = field(repr=False)
    weights: str = "as given"
    trained_to: str | None = None
    _compiled: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, model: keras.Model, card: Card, *, weights: str = "as given") -> Network:
        """Join a Keras model and its card.

        Raises
        ------
        GraphError
            Where the model cannot be read as a graph, or takes spectrograms of another shape than the card says.
        UnknownLayerError
            Where the card names a layer that the model does not have.

        Examples
        --------
        >>> own = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3)], name="own")
        >>> Network.of(own, dc.load(own).card, weights="random").weights
        'random'
        """
        graph = read_graph(model)
        for name in (card.output.layer, card.output.pre_output_layer, *card.landmarks):
            graph[name]
        if card.input.audio is not None:
            _check_spectrograms(graph, card)
        return cls(model, card, graph, weights)

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.card.name

    @property
    def input(self) -> InputSpec:
        """What the network takes."""
        return self.card.input

    @property
    def output_layer(self) -> str:
        """Address of the layer that gives the answer."""
        return self.card.output.layer

    @property
    def output_size(self) -> int:
        """Number of values of the answer."""
        return self.card.output.size

    @property
    def pre_output_layer(self) -> str:
        """Address of the last layer with features: what a new head would read."""
        return self.card.output.pre_output_layer

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Addresses of the layers whose spritemaps are worth pregenerating, in network order."""
        return self.card.landmarks

    @cached_property
    def layers(self) -> LayerTable:
        """Every layer in network order."""
        return list_layers(self.graph, network=self.name, landmarks=self.card.landmarks, shapes=self._shapes)

    @cached_property
    def classes(self) -> Classes | None:
        """Names of the classes; None where the network has none or the card does not know them."""
        known = self.card.output.classes
        if known is None:
            return None
        return read_classes(known) if isinstance(known, str) else Classes.from_names(known)

    @property
    def logits_node(self) -> Node:
        """The node that gives the scores before softmax or sigmoid.

        Raises
        ------
        WeightsError
            Where the weights end before the classifier: its scores would be noise.
        """
        if self.trained_to is not None:
            raise WeightsError(
                f"the weights of {self.name} ({self.weights}) have no classifier, so it cannot name or score classes; "
                f"its activations up to {self.trained_to!r} are trained. Load weights with a classifier, or attach a "
                "head of your own"
            )
        return logits_node(self.graph)

    def __repr__(self) -> str:
        spec = self.card.input
        low, high = spec.value_range
        guess = " (assumed; say load(..., input=(low, high)) if it differs)" if spec.assumed else ""
        return (
            f"{self.name}: {len(self.layers)} layers, {self.model.count_params():,} parameters, weights {self.weights}"
            f"{f' (without classifier: trained up to {self.trained_to})' if self.trained_to else ''}\n"
            f"  input   {_words_of(spec)}, values {low:g} to {high:g}{guess}\n"
            f"  output  {self.output_layer}, {self.output_size} values; before it {self.pre_output_layer}\n"
            f"  landmarks  {', '.join(self.landmarks) or 'none'}"
        )

    def class_index(self, label: str | int) -> int:
        """Index of the output for a class.

        Parameters
        ----------
        label
            A class name in any of its spellings, a WordNet id, or the index of an output.

        Raises
        ------
        ClassError
            For a class that is not there, and a name that stands twice.

        Examples
        --------
        >>> net.class_index("Egyptian cat"), net.class_index("n02124075"), net.class_index(285)
        (285, 285, 285)
        >>> net.class_index("Egyptian dog")
        Traceback (most recent call last):
            ...
        modelzoo.labels.classes.ClassError: no class 'Egyptian dog' among 1000; did you mean 'Egyptian cat'?
        """
        if isinstance(label, str) and self.classes is not None:
            return self.classes.index(label) + self.card.output.first_class
        return Classes(tuple(str(i) for i in range(self.output_size))).index(label)

    def class_label(self, index: int) -> str:
        """Name of the class an output stands for; its index as text where there are no names.

        Parameters
        ----------
        index
            Number of the output.

        Examples
        --------
        >>> net.class_label(285)
        'Egyptian cat'
        """
        before = self.card.output.first_class
        if self.classes is None:
            return str(index)
        if index < before:
            return "background"
        return self.classes[index - before] if index - before < len(self.classes) else str(index)

    def read(self, pictures: Any, *, crop: float | None = None) -> np.ndarray:
        """Give one or many pictures, or sounds, as a batch of the network's own size: what the network then sees.

        Everything that takes pictures reads them so, and shows them so: the heatmap of an attribution lies on the very
        part of the photo that `predict` named. A picture of another size than the network's is shown as the network's
        card says (`InputSpec.crop`), the middle 0.875 of its shorter side for most; one that has the size already, as
        from ``dc.image(path, size)`` or a data set, is taken as it is.

        Parameters
        ----------
        pictures
            Path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], or a list of those. For
            a sound network: path, URL, `Sound`, ``(samples, rate)``, spectrograms ``(frequency, time, 1)`` or
            ``(batch, frequency, time, 1)``, or a list of those.
        crop
            Fraction of the shorter side to show in place of the card's; 1 shows all of it. Of no account for sounds.

        Returns
        -------
        float32 array
            ``(batch, height, width, 3)`` in [0, 1]; resized and centre-cropped where the network has a size. Of sounds
            ``(patch, frequency, time, 1)``, all patches of the first sound, then of the next.

        Examples
        --------
        >>> pictures = net.read(["cat.jpg", "coffee.jpg"])
        >>> pictures.shape, pictures.dtype
        ((2, 224, 224, 3), dtype('float32'))
        """
        if self.card.input.audio is not None:
            return self.patches(pictures).values
        spec = self.card.input
        size = None if spec.height is None or spec.width is None else (spec.height, spec.width)
        return read_images(pictures, size=size, crop=spec.crop if crop is None else crop)

    def patches(self, sounds: Any) -> Patches:
        """Give one or many sounds as spectrogram patches that know which sound they are from, and from when.

        Parameters
        ----------
        sounds
            As `read` takes them.

        Raises
        ------
        SoundError
            Where the network takes pictures, or a source is no sound.

        Examples
        --------
        >>> patches = ear.patches("song.wav")
        >>> patches.values.shape, patches.owner
        ((3, 64, 96, 1), array([0, 0, 0]))
        """
        if self.card.input.audio is None:
            raise SoundError(f"{self.name} takes pictures, its card has no audio frontend; expected a sound network")
        return read_patches(sounds, self.card.input.audio)

    def read_named(self, pictures: Any) -> tuple[np.ndarray, tuple[str, ...]]:
        """Give what `read` gives, and a word for each row: a file's name, with the second a patch of sound is from.

        Parameters
        ----------
        pictures
            As of `read`.

        Examples
        --------
        >>> pictures, names = net.read_named(["cat.jpg", photo])
        >>> names
        ('cat.jpg', 'picture 1')
        """
        if self.card.input.audio is None:
            batch = self.read(pictures)
            return batch, names_of(pictures, len(batch))
        patches = self.patches(pictures)
        sounds = names_of(pictures, int(patches.owner.max()) + 1, "sound")
        each = zip(patches.owner, patches.start_s, strict=True)
        return patches.values, tuple(f"{sounds[owner]} {start:.2f} s" for owner, start in each)

    def preprocess(self, pictures: Any) -> Any:
        """Turn pictures in [0, 1], or spectrograms, into the values the network was trained on; a gradient passes.

        A network with one channel is given the luminance of a colour picture; one that takes time before frequency is
        given the spectrogram turned.

        Parameters
        ----------
        pictures
            ``(batch, height, width, 3)`` in [0, 1]; of a sound network spectrogram patches.

        Examples
        --------
        >>> values = np.asarray(net.preprocess(net.read("cat.jpg")))
        >>> values.shape, values.min() >= net.input.value_range[0]
        ((1, 224, 224, 3), np.True_)
        """
        spec = self.card.input
        values = tf.convert_to_tensor(pictures, dtype=tf.float32)
        if spec.channels == 1 and values.shape[-1] == 3:
            values = tf.image.rgb_to_grayscale(values)
        if spec.channel_order == "BGR":
            values = values[..., ::-1]
        scale, offset = zip(*spec.per_channel, strict=True)
        values = values * tf.constant(scale, tf.float32) + tf.constant(offset, tf.float32)
        return tf.transpose(values, (0, 2, 1, 3)) if spec.audio is not None and spec.audio.time_first else values

    def from_canvas(self, canvas: Any) -> Any:
        """Turn a canvas in [0, 1] into what `preprocess` takes: itself for pictures, levels of a spectrogram for sounds.

        Parameters
        ----------
        canvas
            ``(batch, height, width, channels)`` from 0 to 1.

        Examples
        --------
        >>> net.from_canvas(np.zeros((1, 224, 224, 3), np.float32)).max()
        np.float32(0.0)
        """
        low, high = self.card.input.levels
        return canvas if (low, high) == (0.0, 1.0) else low + (high - low) * canvas

    def forward(
        self,
        pictures: Any,
        wanted: Sequence[Node],
        *,
        replace: Callable[[Node], Callable[..., Any] | None] | None = None,
        feeds: Mapping[int, Any] | None = None,
    ) -> list[Any]:
        """Compute nodes for pictures, as tensors through which gradients pass.

        Parameters
        ----------
        pictures
            ``(batch, height, width, 3)`` in [0, 1], or spectrograms ``(batch, frequency, time, 1)``.
        wanted
            Nodes of `graph` to compute.
        replace, feeds
            As in `Graph.evaluate`: operations to run differently, and values to go on from.

        Raises
        ------
        GraphError
            Where the network has several inputs, which pictures alone do not fill.

        Examples
        --------
        >>> cells, logits = net.forward(net.read("cat.jpg"), [net.node("block9_add"), net.logits_node])
        >>> np.asarray(cells).shape, np.asarray(logits).shape
        ((1, 14, 14, 112), (1, 1000))
        """
        if len(self.graph.inputs) != 1:
            names = [self.graph.nodes[ref.node].address for ref in self.graph.inputs]
            raise GraphError(f"{self.name} has {len(names)} inputs ({', '.join(names)}); pictures fill only one")
        values = {self.graph.inputs[0].node: self.preprocess(pictures)} | dict(feeds or {})
        return self.graph.evaluate(values, wanted, replace=replace)

    def predict(self, pictures: Any, top: int = 5, *, crop: float | None = None) -> Predictions:
        """Name what is in one or many pictures or sounds.

        Parameters
        ----------
        pictures
            As `read` takes them.
        top
            How many classes to name.
        crop
            As of `read`.

        Returns
        -------
        Predictions
            The most probable classes first, with their probabilities and all logits. A network without a softmax of
            its own is given one. Of a sound the probabilities are the mean over its patches, and so are the logits.

        Examples
        --------
        >>> net.predict("cat.jpg", top=2)
        cat.jpg  tiger cat (282) 37.8 %  Egyptian cat (285) 36.7 %
        >>> net.predict(photo, top=1, crop=1.0).labels
        (('Egyptian cat',),)
        """
        patches = None if self.card.input.audio is None else self.patches(pictures)
        batch = self.read(pictures, crop=crop) if patches is None else patches.values
        output = self.graph.nodes[self.graph.outputs[0].node]
        logits, given = (flat(values) for values in self._run(batch, [self.logits_node, output]))
        probabilities = given if self.logits_node is not output else np.asarray(tf.nn.softmax(logits))
        if output.nonlinearity == "log_softmax":
            probabilities = np.exp(given)
        if patches is not None:
            logits, probabilities = patches.mean_by_sound(logits), patches.mean_by_sound(probabilities)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : max(1, top)]
        return Predictions(
            network=self.name,
            images=names_of(pictures, len(logits), "picture" if patches is None else "sound"),
            classes=order,
            labels=tuple(tuple(self.class_label(int(c)) for c in row) for row in order),
            probabilities=np.take_along_axis(probabilities, order, axis=1),
            logits=logits,
        )

    def activations(self, pictures: Any, layer: str | Layer) -> np.ndarray:
        """Give what a layer answers to one or many pictures.

        Parameters
        ----------
        pictures
            As `read` takes them.
        layer
            A layer or its address; ``"conv:linear"`` for a layer before its own activation.

        Returns
        -------
        float32 array
            ``(batch, height, width, channel)``, or as many axes as the layer has.

        Examples
        --------
        >>> net.activations("cat.jpg", "block9_add").shape
        (1, 14, 14, 112)
        """
        return self._run(self.read(pictures), [self.node(layer)])[0]

    def node(self, layer: str | Layer) -> Node:
        """Find the node of a layer, by address or as it stands in the table.

        Parameters
        ----------
        layer
            A layer or its address.

        Raises
        ------
        UnknownLayerError
            Naming the nearest layers.

        Examples
        --------
        >>> net.node("block9_add").address
        'block9_add'
        """
        return self.graph[layer.name if isinstance(layer, Layer) else layer]

    def fingerprint(self, layer: str | Layer) -> str:
        """What the layer computes as 64 hexadecimal digits, from its weights as they are now.

        Parameters
        ----------
        layer
            A layer or its address.

        Examples
        --------
        >>> student.fingerprint("block4_add") == net.fingerprint("block4_add")
        True
        """
        return fingerprint(self.graph, self.node(layer), self.card.input)

    def compiled(self, key: tuple[str, ...], build: Callable[[], Callable[..., Any]]) -> Any:
        """Give a compiled function that is kept with the network: built at the first call with `key`, reused later.

        Parameters
        ----------
        key
            What the function is for.
        build
            Makes the function of tensors to compile. Batches of any length run through one compilation.

        Examples
        --------
        >>> means = net.compiled(("means",), lambda: lambda pictures: keras.ops.mean(pictures, axis=(1, 2, 3)))
        >>> float(means(np.full((1, 4, 4, 3), 0.5, np.float32))[0])
        0.5
        """
        if key not in self._compiled:
            # TensorFlow counts traces by a function's code, and warns from the fifth layer on; a partial has none.
            self._compiled[key] = tf.function(partial(build()), autograph=False, reduce_retracing=True)
        return self._compiled[key]

    def _run(self, batch: np.ndarray, wanted: Sequence[Node]) -> list[np.ndarray]:
        key = ("forward", *(node.address for node in wanted))
        forward = self.compiled(key, lambda: lambda pictures: self.forward(pictures, wanted))
        parts = [forward(tf.constant(batch[i : i + BATCH])) for i in range(0, len(batch), BATCH)]
        return [np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(len(wanted))]

    @cached_property
    def _shapes(self) -> dict[int, Shape]:
        """Shapes at the card's input size, where the graph leaves them open."""
        spec = self.card.input
        open_nodes = [node for node in self.graph if is_layer(node) and None in node.shape[1:]]
        if not open_nodes or spec.height is None or len(self.graph.inputs) != 1:
            return {}
        nodes = [node for node in self.graph if not node.is_input]
        picture = tf.TensorSpec((None, spec.height, spec.width, spec.channels), tf.float32)
        traced = tf.function(lambda pictures: self.forward(pictures, nodes), autograph=False)
        shapes = traced.get_concrete_function(picture).structured_outputs
        return {node.index: tuple(value.shape) for node, value in zip(nodes, shapes, strict=True)}


def logits_node(graph: Graph) -> Node:
    """Find the node that gives the class scores before the softmax or sigmoid; the output itself where there is none."""
    node = graph.nodes[graph.outputs[0].node]
    output = node
    while len(node.inputs) == 1:
        if node.nonlinearity in _ENDS_IN:
            return graph.nodes[node.inputs[0].node]
        if describe(node)["op"] not in _PASSES_ON:
            break
        node = graph.nodes[node.inputs[0].node]
    return output


def features_node(graph: Graph) -> Node:
    """Find the last node with features: what the dense layer or convolution of the logits reads."""
    node = logits_node(graph)
    while node.inputs and describe(node)["op"] in (*_PASSES_ON, "affine", "nonlinearity"):
        node = graph.nodes[node.inputs[0].node]
    if node.inputs and describe(node)["op"] in ("dense", "convolution"):
        node = graph.nodes[node.inputs[0].node]
    while len(node.inputs) == 1 and describe(node)["op"] in _PASSES_ON:
        node = graph.nodes[node.inputs[0].node]
    return node


def _words_of(spec: InputSpec) -> str:
    audio = spec.audio
    if audio is not None:
        bands = f"{audio.n_mels} mel bands from {audio.fmin_hz:g} to {audio.fmax_hz:g} Hz"
        return f"{bands} x {audio.patch_frames} frames ({audio.patch_s:g} s) of sound at {audio.sr} Hz"
    size = "any size" if spec.height is None else f"{spec.height} x {spec.width} px"
    return f"{size}, {spec.channel_order}"


def _check_spectrograms(graph: Graph, card: Card) -> None:
    found = graph.nodes[graph.inputs[0].node].shape[1:]
    expected = card.input.shape
    fits = len(found) == 3 and all(n in (None, m) for n, m in zip(found, expected, strict=True))
    if not fits:
        turned = (expected[1], expected[0], expected[2]) == found
        hint = "; the frontend's time_first says the opposite" if turned else ""
        raise GraphError(f"{card.name} takes {found}; expected {expected}, as its card's audio frontend says{hint}")


def flat(values: np.ndarray) -> np.ndarray:
    """Give class scores as ``(batch, class)``, whatever axes of size 1 the network leaves around them."""
    return np.reshape(values, (len(values), -1))
