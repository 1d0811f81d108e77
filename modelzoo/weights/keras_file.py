"""Keras' own weight files, of every Keras there was.

::

    >>> small.model.save_weights("small.weights.h5")
    >>> arrays = read_keras(Path("small.weights.h5"))
    >>> len(arrays)
    6

Three layouts have been written. Keras 1 and 2 wrote *layers in network order*, each with its weights in order: an
``.h5`` of weights alone, or of a whole model with the same under ``model_weights``. Keras 3 writes *containers*,
``layers/conv2d_3/vars/0`` for the fourth convolution of a network, into ``.weights.h5`` and into the archive ``.keras``.
Neither says what its arrays are called today, so a file is first *read*, under its own names, and then *addressed*: by
name where all names agree, else by place, whose shapes must agree one by one.

The network a file describes is never built for that, so nothing in the file is executed, and a file that points to
another file is refused. The state of an optimiser is no weight of a network and is left out.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.mapping import variable_addresses

if TYPE_CHECKING:
    import h5py
    import keras

__all__ = ["keras_addresses", "keras_names", "read_keras"]

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
MEMBER = "model.weights.h5"
MOST_NESTED = 32
MOST_GROWTH = 100
MOST_GROWTH_BYTES = 100_000_000
_KERAS_1 = re.compile(r".*_(W|b|gamma|beta|running_mean|running_std)(?:_\d+)?")
_KERAS_1_NAMES = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
_FORMER_NAMES = {"depthwise_kernel": "kernel"}


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a Keras file, in the file's order.

    Parameters
    ----------
    path
        A ``.keras`` archive, a ``.weights.h5`` or an ``.h5`` of Keras 1, 2 or 3.

    Returns
    -------
    dict
        ``{"conv1/kernel": array}`` as Keras 1 and 2 wrote it, ``{"layers/conv2d/vars/0": array}`` as Keras 3 does.

    Raises
    ------
    WeightsError
        Where the file is missing, truncated or no Keras file, holds no weights, or points to another file.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    import h5py

    size = path.stat().st_size
    try:
        source: Any = _archived(path) if zipfile.is_zipfile(path) else path
        with h5py.File(source, "r") as file:
            return _read(file, size, str(path))
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: truncated, or no Keras file: {error}") from None


def keras_addresses(
    arrays: Mapping[str, np.ndarray], model: keras.Model, *, origin: str, optional: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Give a Keras file's arrays the addresses of a model's variables.

    Parameters
    ----------
    arrays
        As `read_keras` gives them.
    model
        The model they are for.
    origin
        Where the arrays come from, for the errors.
    optional
        Addresses of a classifier that the file may lack as a whole.

    Returns
    -------
    dict
        ``{address: array}``. Arrays under names of their own are left so where all names agree but some are missing
        or surplus, so that `assign_weights` lists them.

    Raises
    ------
    WeightsError
        Where arrays can be told only by their place, and their number or one of their shapes is another.
    """
    if arrays and all("vars" in name.split("/") for name in arrays):
        paths = {path: address for address, path in _container_paths(model)}
        return {paths.get(name, name): array for name, array in arrays.items()}
    addresses = set(variable_addresses(model))
    named = {_of_today(name): array for name, array in arrays.items()}
    if len(named) == len(arrays) and _agree(set(named), addresses):
        return named
    return _by_place(arrays, model, origin, optional)


def keras_names(
    arrays: Mapping[str, np.ndarray], model: keras.Model, *, origin: str, optional: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Give arrays under Keras' names of former years those of today; for files that say nothing by their order.

    The parameters and the result are those of `keras_addresses`; only the names are looked at.
    """
    return {_of_today(name): array for name, array in arrays.items()}


def _agree(names: set[str], addresses: set[str]) -> bool:
    # Names count as the model's own when whole layers are missing or surplus, not when some layer is another's.
    return names <= addresses or addresses <= names


def _of_today(name: str) -> str:
    layer, _, variable = name.rpartition("/")
    return f"{layer}/{_FORMER_NAMES.get(variable, variable)}"


def _by_place(
    arrays: Mapping[str, np.ndarray], model: keras.Model, origin: str, optional: Collection[str]
) -> dict[str, np.ndarray]:
    known = {id(variable): address for address, variable in variable_addresses(model).items()}
    # Keras writes a nested model's trained variables first; within a plain layer the order is that of its weights.
    ordered = {
        known[id(variable)]: tuple(variable.shape)
        for layer in model.layers
        for variable in (*layer.trainable_weights, *layer.non_trainable_weights)
    }
    without = {address: shape for address, shape in ordered.items() if address not in optional}
    places = without if len(arrays) == len(without) else ordered
    for number, ((name, array), (address, shape)) in enumerate(zip(arrays.items(), places.items(), strict=False)):
        if array.shape != shape:
            raise WeightsError(
                f"{origin}: does not fit the model {model.name!r}: array {number + 1} of {len(arrays)} is {name} "
                f"{array.shape}, and in its place the model has {address} {shape} (variable {number + 1} of "
                f"{len(places)}); nothing was written"
            )
    if len(arrays) != len(places):
        more = f" (or {len(without)} without its classifier)" if 0 < len(without) < len(ordered) else ""
        rest = list(arrays)[len(places) :] or list(places)[len(arrays) :]
        what = "arrays without a variable" if len(arrays) > len(places) else "variables without an array"
        raise WeightsError(
            f"{origin}: holds {len(arrays)} arrays, the model {model.name!r} has {len(places)} variables{more}; "
            f"{len(rest)} {what}: {', '.join(rest[:5])}{' ...' if len(rest) > 5 else ''}; nothing was written"
        )
    return dict(zip(places, arrays.values(), strict=True))


def _container_paths(model: keras.Model, prefix: str = "layers") -> Iterator[tuple[str, str]]:
    """Give ``(address, path in a Keras 3 file)`` of every variable."""
    known = {id(variable): address for address, variable in variable_addresses(model).items()}

    def walk(container: keras.Model, prefix: str) -> Iterator[tuple[str, str]]:
        import keras

        used: Counter[str] = Counter()
        for layer in container.layers:
            kind = _snake(type(layer).__name__)
            path = f"{prefix}/{kind}_{used[kind]}" if used[kind] else f"{prefix}/{kind}"
            used[kind] += 1
            if isinstance(layer, keras.Model):
                yield from walk(layer, f"{path}/layers")
                continue
            variables = [*layer.trainable_weights, *layer.non_trainable_weights]
            yield from ((known[id(variable)], f"{path}/vars/{i}") for i, variable in enumerate(variables))

    yield from walk(model, prefix)


def _snake(name: str) -> str:
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _archived(path: Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            raise WeightsError(f"{path}: an archive without {MEMBER}; it holds {', '.join(archive.namelist()[:5])}")
        size = archive.getinfo(MEMBER).file_size
        if size > MOST_GROWTH * path.stat().st_size + MOST_GROWTH_BYTES:
            raise WeightsError(f"{path}: refused: its {MEMBER} would take {size:,} bytes")
        return io.BytesIO(archive.read(MEMBER))


def _read(file: h5py.File, size: int, origin: str) -> dict[str, np.ndarray]:
    found = _layers(file.get("model_weights", file), origin)
    if found is None:
        found = _containers(file, origin)
    if not found:
        raise WeightsError(f"{origin}: holds no weights of a Keras network; at its top are {', '.join(file) or 'none'}")
    needed = sum(dataset.nbytes for dataset in found.values())
    if needed > MOST_GROWTH * size + MOST_GROWTH_BYTES:
        raise WeightsError(f"{origin}: refused: its arrays would take {needed:,} bytes, the file has {size:,}")
    return {name: np.asarray(dataset[()]) for name, dataset in found.items()}


def _layers(group: h5py.Group, origin: str) -> dict[str, h5py.Dataset] | None:
    """Find the arrays of Keras 1 and 2: layers in network order, by the lists in the attributes."""
    layers = _listed(group, "layer_names")
    if layers is None:
        return None
    found: dict[str, h5py.Dataset] = {}
    for layer in layers:
        inside = _inner(group, layer, origin)
        names = _listed(inside, "weight_names") or []
        short = _short_names(layer, names)
        for name, key in zip(names, short, strict=True):
            if key in found:
                raise WeightsError(f"{origin}: two arrays are called {key}")
            found[key] = _dataset(inside, name, origin)
    return found


def _short_names(layer: str, names: list[str]) -> list[str]:
    """Give ``"layer/variable"`` for the names in a layer's list, which begin with the layer's name, or with another."""
    plain = [name.removesuffix(":0") for name in names]
    ends = Counter(name.rpartition("/")[2] for name in plain)
    short = []
    for name in plain:
        end = name.rpartition("/")[2]
        if name.startswith(f"{layer}/"):
            short.append(name)
        elif found := (_KERAS_1.fullmatch(name) if "/" not in name else None):
            short.append(f"{layer}/{_KERAS_1_NAMES.get(found[1], found[1])}")
        else:
            short.append(f"{layer}/{end if ends[end] == 1 else name}")
    return short


def _containers(file: h5py.File, origin: str) -> dict[str, h5py.Dataset]:
    """Find the arrays of Keras 3, ``layers/conv2d_3/vars/0``, counted as written."""
    top = next((name for name in CONTAINERS if name in file), None)
    if top is None:
        return {}
    found: dict[str, h5py.Dataset] = {}

    def walk(group: h5py.Group, path: str) -> None:
        import h5py

        # A group may hold itself, under a second name.
        if path.count("/") > MOST_NESTED:
            raise WeightsError(f"{origin}: refused: its groups lie more than {MOST_NESTED} deep")
        for name in sorted(group, key=_counted):
            # The counters of random layers are state of a training, no weights.
            if name == "seed_generator":
                continue
            inner = _inner(group, name, origin)
            inside = f"{path}/{'layers' if name in CONTAINERS else name}"
            if isinstance(inner, h5py.Dataset):
                found[inside] = _dataset(group, name, origin)
            else:
                walk(inner, inside)

    walk(_inner(file, top, origin), "layers")
    return found


def _counted(name: str) -> tuple[str, int]:
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdigit() and kind else (name, int(name) if name.isdigit() else 0)


def _listed(group: h5py.Group, name: str) -> list[str] | None:
    if name in group.attrs:
        texts = list(group.attrs[name])
    elif f"{name}0" in group.attrs:
        # An attribute of HDF5 has 64 kB at most; Keras cuts longer lists in numbered parts.
        parts = [key for key in group.attrs if re.fullmatch(rf"{name}\d+", key)]
        texts = [text for i in range(len(parts)) for text in group.attrs[f"{name}{i}"]]
    else:
        return None
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]


def _inner(group: h5py.Group, name: str, origin: str) -> Any:
    import h5py

    step = group
    for part in name.split("/"):
        if not isinstance(step, h5py.Group) or part not in step:
            raise WeightsError(f"{origin}: damaged: it lists {name!r} and does not hold it")
        if not isinstance(step.get(part, getlink=True), h5py.HardLink):
            raise WeightsError(f"{origin}: refused: {name!r} is a link and not in the file itself")
        step = step[part]
    return step


def _dataset(group: h5py.Group, name: str, origin: str) -> h5py.Dataset:
    import h5py

    dataset = _inner(group, name, origin)
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(f"{origin}: damaged: {name!r} is a group; expected an array")
    if dataset.external or dataset.is_virtual:
        raise WeightsError(f"{origin}: refused: the numbers of {name!r} lie in another file")
    return dataset
