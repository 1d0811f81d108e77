"""TF-slim's checkpoints of the networks that ``keras.applications`` has.

    >>> arrays = from_tf_checkpoint(read_tf_checkpoint(Path("vgg_16.ckpt")), application="VGG16")
    >>> arrays["block1_conv1/kernel"].shape
    (3, 3, 3, 64)

Google published these networks twice: as TF-slim's checkpoints, and from those or from training of their own as Keras'
files. Layers match one to one, names do not. What differs besides names is put right here or refused:

* TF-slim's MobileNet and NASNet have 1001 outputs, the first of them "background"; Keras' have lost that one, so it is
  cut off.
* TF-slim's VGG takes RGB where Keras' takes BGR: its first kernel is turned around.
* TF-slim's ResNet v1 halves the picture in another convolution of its blocks than Keras' does. The weights would fit
  and the answers be wrong, so they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.slim import from_slim

__all__ = ["from_tf_checkpoint"]

VGG_DEPTHS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}
VGG_CLASSIFIER = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}
MOBILENET_BLOCKS = 13
# Normal cells between two reductions.
NASNET_CELLS = {"NASNetLarge": 6, "NASNetMobile": 4}
WITH_BACKGROUND = 1001
SEPARABLE = re.compile(r"comb_iter_(\d)/(left|right)/(separable|bn_sep)_\dx\d_(\d)")


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name a TF-slim checkpoint as the Keras application names its weights.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names (``vgg_16/conv1/conv1_1/weights``).
    application
        ``"VGG16"``, ``"VGG19"``, ``"MobileNet"``, ``"NASNetLarge"`` or ``"NASNetMobile"``.
    options
        The application's further arguments; they play no part.

    Returns
    -------
    dict
        ``{"block1_conv1/kernel": array, ...}``. An array no layer has keeps its own name; NASNet's auxiliary classifier
        is left out.

    Raises
    ------
    WeightsError
        For an application whose TF-slim checkpoint is another network, or was never mapped.
    """
    if application in VGG_DEPTHS:
        renamed = from_slim(arrays, dict(_vgg(application)), dense=tuple(VGG_CLASSIFIER.values()))
        first = renamed.get("block1_conv1/kernel")
        # TF-slim's kernel is for RGB, and Keras' network gets BGR.
        return renamed if first is None else renamed | {"block1_conv1/kernel": first[..., ::-1, :]}
    if application == "MobileNet":
        return _without_background(from_slim(arrays, dict(_mobilenet())), "conv_preds")
    if application in NASNET_CELLS:
        scopes = {name.rpartition("/")[0] for name in arrays}
        layers = dict(_nasnet(scopes, NASNET_CELLS[application]))
        return _without_background(from_slim(arrays, layers, skip=("aux_",)), "predictions")
    if application.startswith("ResNet"):
        raise WeightsError(
            f"a TF-slim checkpoint does not fit Keras' {application}: TF-slim halves the picture in the 3 x 3 convolution "
            "that ends a stage, Keras in the 1 x 1 convolution that begins one; expected weights in Keras' format"
        )
    known = [*VGG_DEPTHS, "MobileNet", *NASNET_CELLS]
    raise WeightsError(f"no names for a TF-slim checkpoint of {application}; expected one of {', '.join(known)}")


def _vgg(application: str) -> Iterator[tuple[str, str]]:
    scope = application.lower().replace("vgg", "vgg_")
    for block, depth in enumerate(VGG_DEPTHS[application], start=1):
        for number in range(1, depth + 1):
            yield f"{scope}/conv{block}/conv{block}_{number}", f"block{block}_conv{number}"
    yield from ((f"{scope}/{theirs}", ours) for theirs, ours in VGG_CLASSIFIER.items())


def _mobilenet() -> Iterator[tuple[str, str]]:
    yield "MobilenetV1/Conv2d_0", "conv1"
    for number in range(1, MOBILENET_BLOCKS + 1):
        yield f"MobilenetV1/Conv2d_{number}_depthwise", f"conv_dw_{number}"
        yield f"MobilenetV1/Conv2d_{number}_pointwise", f"conv_pw_{number}"
    yield "MobilenetV1/Logits/Conv2d_1c_1x1", "conv_preds"


def _nasnet(scopes: Iterable[str], cells: int) -> Iterator[tuple[str, str]]:
    ends = {"conv0": "stem_conv1", "conv0_bn": "stem_bn1", "final_layer/FC": "predictions"}
    numbered = {f"cell_{i}": ("normal", str(i if i < cells else i + 1)) for i in range(3 * cells)}
    kinds = numbered | {
        "cell_stem_0": ("reduction", "stem_1"),
        "cell_stem_1": ("reduction", "stem_2"),
        "reduction_cell_0": ("reduction", f"reduce_{cells}"),
        "reduction_cell_1": ("reduction", f"reduce_{2 * cells}"),
    }
    for scope in scopes:
        cell, _, inside = scope.partition("/")
        layer = ends.get(scope) or (_nasnet_layer(inside, *kinds[cell]) if cell in kinds else None)
        if layer is not None:
            yield scope, layer


def _nasnet_layer(inside: str, kind: str, cell: str) -> str | None:
    plain = {
        "1x1": f"{kind}_conv_1",
        "beginning_bn": f"{kind}_bn_1",
        "prev_1x1": "adjust_conv_projection",
        "prev_bn": "adjust_bn",
        "path1_conv": "adjust_conv_1",
        "path2_conv": "adjust_conv_2",
        "final_path_bn": "adjust_bn",
    }
    if inside in plain:
        return f"{plain[inside]}_{cell}"
    found = SEPARABLE.fullmatch(inside)
    if found is None:
        return None
    iteration, side, what, number = found.groups()
    # Keras counts only four combinations with a convolution in a reduction cell: TF-slim's fifth is its fourth.
    place = 4 if kind == "reduction" and iteration == "4" else int(iteration) + 1
    return f"separable_conv_{number}{'_bn' if what == 'bn_sep' else ''}_{kind}_{side}{place}_{cell}"


def _without_background(renamed: dict[str, np.ndarray], classifier: str) -> dict[str, np.ndarray]:
    for address in (f"{classifier}/kernel", f"{classifier}/bias"):
        array = renamed.get(address)
        if array is not None and array.shape[-1:] == (WITH_BACKGROUND,):
            renamed[address] = array[..., 1:]
    return renamed
