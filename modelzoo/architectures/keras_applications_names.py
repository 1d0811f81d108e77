"""TF-slim's checkpoints, and PyTorch's state dicts, of the networks that ``keras.applications`` has.

    arrays = from_tf_checkpoint(read_tf_checkpoint(Path("vgg_16.ckpt")), application="VGG16")
    arrays["block1_conv1/kernel"].shape
    # (3, 3, 3, 64)

Google published these networks twice: as TF-slim's checkpoints, and from those or from training of their own as Keras'
files. Layers match one to one, names do not. What differs besides names is put right here or refused:

* TF-slim's MobileNet and NASNet have 1001 outputs, the first of them "background"; Keras' have lost that one, so it is
  cut off. NASNet's many names are a matter of their own, see `modelzoo.architectures.nasnet_names`, and so are those of
  Inception V3 and Inception-ResNet V2, see `modelzoo.architectures.inception_names`.
* TF-slim's VGG takes RGB where Keras' takes BGR: its first kernel is turned around.
* TF-slim's ResNet v1 pools the first convolution in windows one pixel beside those of Keras. The weights would fit and
  the answers be a little wrong, so they are refused: `modelzoo.architectures.resnet_v1_slim` is their network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from modelzoo.architectures import inception_names, nasnet_names, vgg_names
from modelzoo.weights.errors import WeightsError
from modelzoo.weights.slim import from_slim

__all__ = ["from_tf_checkpoint", "from_torch"]

VGG_DEPTHS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}
VGG_CLASSIFIER = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}
RESNET_CARDS = {f"ResNet{depth}": f"ResnetV1_{depth}_slim" for depth in (50, 101, 152)}
MOBILENET_BLOCKS = 13
WITH_BACKGROUND = 1001


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name a TF-slim checkpoint as the Keras application names its weights.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names (``vgg_16/conv1/conv1_1/weights``).
    application
        ``"VGG16"``, ``"VGG19"``, ``"MobileNet"``, ``"InceptionV3"``, ``"InceptionResNetV2"``, ``"NASNetLarge"`` or
        ``"NASNetMobile"``.
    options
        The application's further arguments; they play no part.

    Returns
    -------
    dict
        ``{"block1_conv1/kernel": array, ...}``. An array no layer has keeps its own name; auxiliary classifiers are left
        out.

    Raises
    ------
    WeightsError
        For an application whose TF-slim checkpoint is another network, or was never mapped.
    """
    if application in VGG_DEPTHS:
        # The published files carry the mean they were trained with; the card states it.
        mean = f"{application.lower().replace('vgg', 'vgg_')}/mean_rgb"
        renamed = from_slim(arrays, dict(_vgg(application)), dense=tuple(VGG_CLASSIFIER.values()), skip=(mean,))
        first = renamed.get("block1_conv1/kernel")
        # TF-slim's kernel is for RGB, and Keras' network gets BGR.
        return renamed if first is None else renamed | {"block1_conv1/kernel": first[..., ::-1, :]}
    if application == "MobileNet":
        renamed = from_slim(arrays, dict(_mobilenet()))
        for address in ("conv_preds/kernel", "conv_preds/bias"):
            if address in renamed and renamed[address].shape[-1] == WITH_BACKGROUND:
                renamed[address] = renamed[address][..., 1:]
        return renamed
    if application in nasnet_names.BLOCKS:
        return nasnet_names.from_tf_checkpoint(arrays, application=application, **options)
    if application in inception_names.NETWORKS:
        return inception_names.from_tf_checkpoint(arrays, application=application)
    if application in RESNET_CARDS:
        raise WeightsError(
            f"a TF-slim checkpoint does not fit Keras' {application}: TF-slim pools its first convolution in windows one "
            "pixel beside those of Keras, and halves the picture at the end of a block, not at the beginning of the next; "
            f"load it into TF-slim's own network: load({RESNET_CARDS[application]!r}, weights=...)"
        )
    known = [*VGG_DEPTHS, "MobileNet", *inception_names.NETWORKS, *nasnet_names.BLOCKS]
    raise WeightsError(f"no names for a TF-slim checkpoint of {application}; expected one of {', '.join(known)}")


def from_torch(tensors: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict as the Keras application names its weights, by the application's own module.

    Raises
    ------
    WeightsError
        For an application that was never mapped, and as `modelzoo.architectures.vgg_names` raises.
    """
    if application == "InceptionV3":
        return inception_names.from_torch(tensors)
    return vgg_names.from_torch(tensors, application=application, **options)


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
