"""Named arrays onto a model's variables: all of them, or none.

::

    >>> kernel = np.zeros((3, 3, 3, 4), np.float32)
    >>> assign_weights(small.model, {"edges/kernel": kernel}, origin="nowhere.npy")
    Traceback (most recent call last):
        ...
    modelzoo.weights.errors.WeightsError: nowhere.npy: does not fit the model 'small' (1 of 6 variables found; ...

Keras' own reading by name skips what does not match without a word; the network then answers, and answers nonsense.
Here every variable must get exactly one array of its own shape and every array must have its variable, before the first
number is written. A variable's *address* is its layer's name and its own, ``conv1/kernel``; inside a nested model the
address begins with that model's name, ``backbone/conv1/kernel``.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from modelzoo.weights.errors import WeightsError

if TYPE_CHECKING:
    import keras

__all__ = ["assign_weights", "variable_addresses"]

MOST_LISTED = 5


def variable_addresses(model: keras.Model) -> dict[str, Any]:
    """Give the model's variables as ``{address: variable}``, in the order of its layers.

    A variable that several layers share stands under its first address. Counters of random layers are no weights and
    are left out, as in ``model.weights``.

    Raises
    ------
    WeightsError
        Where two variables have one address.
    """
    addresses: dict[str, Any] = {}
    known: set[int] = set()
    for address, variable in _addressed(model, ""):
        if id(variable) in known:
            continue
        if address in addresses:
            raise WeightsError(f"two variables of {model.name!r} have the address {address!r}; name its layers apart")
        known.add(id(variable))
        addresses[address] = variable
    return addresses


def assign_weights(
    model: keras.Model, arrays: Mapping[str, np.ndarray], *, origin: str, ignore: Collection[str] = ()
) -> None:
    """Write named arrays into a model's variables.

    Parameters
    ----------
    model
        A built Keras model.
    arrays
        ``{address: array}``, as `variable_addresses` gives them; numbers are cast to the variable's dtype.
    origin
        Where the arrays come from, for the errors.
    ignore
        Addresses, or patterns of them (``"*/num_batches_tracked"``), that may be missing on either side: such a
        variable keeps its value, and such an array is not used.

    Raises
    ------
    WeightsError
        Where a variable has no array, an array no variable, shapes differ, or an array is no array of finite numbers.
        The message lists up to five of each kind with their shapes and the nearest names; nothing is written then.
    """
    if isinstance(ignore, str):
        raise WeightsError(f"ignore is the one text {ignore!r}; expected several, as [{ignore!r}]")
    variables = {k: v for k, v in variable_addresses(model).items() if not _matches(k, ignore)}
    wanted = {k: np.asarray(v) for k, v in arrays.items() if not _matches(k, ignore)}
    missing = [k for k in variables if k not in wanted]
    surplus = [k for k in wanted if k not in variables]
    both = [k for k in variables if k in wanted]
    misshapen = [k for k in both if tuple(variables[k].shape) != wanted[k].shape]
    unfit = {k: flaw for k in both if (flaw := _flaw(wanted[k]))}
    if missing or surplus or misshapen or unfit:
        expected = {k: tuple(variable.shape) for k, variable in variables.items()}
        found = [
            *_listed("variables without an array", missing, lambda k: f"{k} {expected[k]}{_near(k, surplus)}"),
            *_listed("arrays without a variable", surplus, lambda k: f"{k} {wanted[k].shape}{_near(k, missing)}"),
            *_listed("arrays of another shape", misshapen, lambda k: f"{k} {wanted[k].shape}, expected {expected[k]}"),
            *_listed("arrays without usable numbers", list(unfit), lambda k: f"{k}: {unfit[k]}"),
        ]
        raise WeightsError(
            f"{origin}: does not fit the model {model.name!r} ({len(both)} of {len(variables)} variables found; "
            "nothing was written)\n" + "\n".join(found)
        )
    if not variables and wanted == {}:
        raise WeightsError(f"{origin}: the model {model.name!r} has no variables yet; build it, or call it once, first")
    for address in both:
        variables[address].assign(wanted[address].astype(variables[address].dtype))


def _addressed(model: keras.Model, prefix: str) -> Iterator[tuple[str, Any]]:
    import keras

    own: list[Any] = []
    for layer in model.layers:
        inside = list(layer.weights)
        own += inside
        if isinstance(layer, keras.Model):
            yield from _addressed(layer, f"{prefix}{layer.name}/")
            continue
        names = _names(layer.name, inside)
        yield from ((f"{prefix}{layer.name}/{name}", variable) for name, variable in zip(names, inside, strict=True))
    held = {id(variable) for variable in own}
    for variable in model.weights:
        if id(variable) not in held:
            yield f"{prefix}{variable.name}", variable


def _names(layer: str, variables: Sequence[Any]) -> list[str]:
    counts = Counter(variable.name for variable in variables)
    # A layer made of layers (Bidirectional, attention) has several kernels; their paths tell them apart.
    return [
        variable.name if counts[variable.name] == 1 else variable.path.rpartition(f"{layer}/")[2]
        for variable in variables
    ]


def _flaw(array: np.ndarray) -> str:
    if array.dtype.kind not in "buif" and array.dtype.name != "bfloat16":
        return f"dtype {array.dtype}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"{int((~np.isfinite(array)).sum())} of {array.size} numbers are NaN or infinite"
    return ""


def _matches(address: str, patterns: Collection[str]) -> bool:
    return address in patterns or any(fnmatchcase(address, pattern) for pattern in patterns)


def _near(address: str, others: Sequence[str]) -> str:
    near = difflib.get_close_matches(address, others[:1000], n=1, cutoff=0.6)
    return f" (near: {near[0]})" if near else ""


def _listed(what: str, addresses: Sequence[str], line: Callable[[str], str]) -> list[str]:
    if not addresses:
        return []
    more = [f"  ... and {len(addresses) - MOST_LISTED} more"] if len(addresses) > MOST_LISTED else []
    return [f"{len(addresses)} {what}:", *(f"  {line(address)}" for address in addresses[:MOST_LISTED]), *more]
