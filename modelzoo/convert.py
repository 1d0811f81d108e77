"""A network from elsewhere, made one of the zoo.

::

        convert("mobilenet_v1_1.0_224_frozen.pb", name="MyMobilenet", input_size=224, value_range=(-1, 1),
                classes="imagenet")
        # PosixPath('/home/me/.local/share/diamond-cutter/zoo/MyMobilenet')
        load("MyMobilenet").predict("cat.jpg")

A file holds a network but not what one must know to use it: which values it was trained on, what its outputs mean. Here
it is read as a Keras model, described by a card, and both are written into the user's zoo; from then on it has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo.cards import CardError, InputSpec

if TYPE_CHECKING:
    import keras

    from modelzoo.network import Network

__all__ = ["convert"]

GRAPH_SUFFIX = ".pb"
# ImageNet's classes behind one more for "background", as TensorFlow's own networks have them.
IMAGENET_WITH_BACKGROUND = 1001
IMAGENET = ("imagenet", "imagenet_devkit")
# The part of a photo's shorter side that networks on ImageNet are judged by.
IMAGENET_CROP = 0.875


def convert(
    file: str | Path,
    *,
    name: str,
    input_size: int | tuple[int, int] | None = None,
    value_range: tuple[float, float] | InputSpec | None = None,
    classes: str | None = None,
    first_class: int | None = None,
    output: str | None = None,
    input: str | None = None,
    folder: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Convert a file into a network of the user's zoo.

    Parameters
    ----------
    file
        A frozen graph (``.pb``), a whole Keras model (``.keras``, ``.h5``), or a TensorFlow.js layers model
        (``model.json``).
    name
        What the network is called from now on.
    input_size
        Side, or ``(height, width)``, of its pictures in pixels; by default as the file says.
    value_range
        ``(low, high)``, what it sees for black and white; an `InputSpec` where channels differ or blue comes first. By
        default guessed from its answers to known photos (`suggest_value_range`), and marked as assumed.
    classes
        A label set: ``"imagenet"``.
    first_class
        Index of the output that stands for its first class; by default 1 for 1001 outputs of ImageNet, else 0.
    output, input
        For a frozen graph: the nodes of the answer and of the pictures, where they are not found by themselves.
    folder
        The zoo to write into; by default the user's.
    overwrite
        Whether a network of this name is replaced.

    Returns
    -------
    Path
        The network's folder, with ``model.keras`` and ``card.toml``.

    Raises
    ------
    CardError
        For a name that cannot be or is too near to another network's, and for a label set that does not fit.
    FileExistsError
        Where the user's zoo has the name.
    WeightsError
        Where the file cannot be read as a network.

    Examples
    --------
    >>> small.model.save("mine.keras")
    >>> folder = convert("mine.keras", name="Mine", value_range=(0, 1))
    >>> net = dc.load("Mine")
    >>> net.output_size, net.input.value_range
    (3, (0.0, 1.0))
    """
    from modelzoo.registry import load, require_tensorflow_backend
    from modelzoo.user_zoo import check_name, write_network, zoo_folder

    require_tensorflow_backend()
    path = Path(file).expanduser()
    place = Path(folder).expanduser() if folder is not None else zoo_folder()
    _refuse_taken(check_name(name), place, overwrite=overwrite)
    # What the user typed is checked before the file is read, which may take a minute.
    if classes is not None:
        from modelzoo.labels import read_classes

        read_classes(classes)
    model, names = _read(path, input_size, output, input)
    net = load(model, input=_input(model, input_size, value_range))
    spec, guess = net.input, ""
    if value_range is None:
        spec, guess = _guessed(net)
    if classes in IMAGENET:
        spec = replace(spec, crop=IMAGENET_CROP)
    answer = replace(net.card.output, classes=classes, first_class=_first_class(net, classes, first_class))
    card = replace(
        net.card,
        name=name,
        title=name,
        input=spec,
        output=answer,
        lucid={original: address for original, address in names.items() if original != address},
        remark=f"Converted from {path.name}.{guess}",
    )
    return write_network(name, model, card, folder=place, overwrite=overwrite)


def _refuse_taken(name: str, place: Path, *, overwrite: bool) -> None:
    from modelzoo.registry import folded_name, packaged_cards

    packaged = next((card for card in packaged_cards() if folded_name(card) == folded_name(name)), None)
    if packaged is not None:
        raise CardError(f"the zoo has a network {packaged!r}; call yours otherwise than {name!r}")
    others = [p.name for p in place.iterdir() if p.is_dir()] if place.is_dir() else []
    near = next((other for other in others if folded_name(other) == folded_name(name)), None)
    if near is not None and (near != name or not overwrite):
        raise FileExistsError(
            f"{place / near} is there already; choose another name than {name!r}"
            + (", or say overwrite=True (--overwrite)" if near == name else "")
        )


def _read(
    path: Path, input_size: int | tuple[int, int] | None, output: str | None, input: str | None
) -> tuple[keras.Model, Mapping[str, str]]:
    from modelzoo.weights.errors import WeightsError
    from modelzoo.weights.graph_builder import build_from_frozen_graph
    from modelzoo.weights.model_file import MODEL_SUFFIXES, read_model

    if path.suffix == GRAPH_SUFFIX:
        return build_from_frozen_graph(path, output=output, input_size=input_size, input=input)
    if output is not None or input is not None:
        raise WeightsError(f"{path}: output and input name nodes of a frozen graph (.pb); a Keras model knows its own")
    if path.suffix not in (*MODEL_SUFFIXES, ".json"):
        raise WeightsError(
            f"{path}: no known format of whole models has such a name; expected {GRAPH_SUFFIX}, "
            f"{', '.join(MODEL_SUFFIXES)}, or the model.json of a TensorFlow.js layers model"
        )
    return read_model(path), {}


def _input(
    model: keras.Model, input_size: int | tuple[int, int] | None, value_range: tuple[float, float] | InputSpec | None
) -> InputSpec:
    shape = tuple(model.inputs[0].shape)
    if len(model.inputs) != 1 or len(shape) != 4:
        raise CardError(f"the network takes {len(model.inputs)} inputs, the first {shape}; expected one, of pictures")
    _, *sizes, channels = shape
    asked = (input_size, input_size) if isinstance(input_size, int) else input_size or (None, None)
    for found, wanted in zip(sizes, asked, strict=True):
        if None not in (found, wanted) and found != wanted:
            raise CardError(
                f"the network takes pictures of {sizes[0]} x {sizes[1]} pixels; input_size says {input_size}"
            )
    height, width = (found or wanted for found, wanted in zip(sizes, asked, strict=True))
    if isinstance(value_range, InputSpec):
        return replace(value_range, height=height, width=width, channels=channels)
    low, high = value_range or (0.0, 1.0)
    spec = InputSpec.from_value_range(low, high, height=height, width=width, channels=channels)
    return replace(spec, assumed=value_range is None)


def _guessed(net: Network) -> tuple[InputSpec, str]:
    from modelzoo.value_range import RangeError, suggest_value_range

    try:
        found = suggest_value_range(net)
    except RangeError as error:
        return net.input, f" Nobody said which values it was trained on; 0 .. 1 is assumed ({error})."
    doubt = ", although with none of them does it look trained" if found.looks_random else ""
    return found.spec, (
        f" Nobody said which values it was trained on; {found.label} is a guess from its answers to known photos{doubt}."
    )


def _first_class(net: Network, classes: str | None, first_class: int | None) -> int:
    if classes is None:
        return first_class or 0
    from modelzoo.labels import read_classes

    known, size = len(read_classes(classes)), net.output_size
    first = first_class
    if first is None:
        first = 1 if classes == "imagenet" and size == IMAGENET_WITH_BACKGROUND else 0
    if not 0 <= first <= size - known:
        raise CardError(
            f"the label set {classes!r} has {known} classes, and from output {first} on the network has {size - first}"
        )
    return first
