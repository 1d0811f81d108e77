"""Write what captum 0.9's gradient methods give for two small networks, and their weights, as a fixture of the tests.

    torch/bin/pip install torch==2.13.0 captum==0.9.0
    torch/bin/python benchmarks/peers/captum_saliency.py tests/diamond/fixtures/captum_saliency.npz

Both networks take pictures of 14 x 10 px: three convolutions with a rectifier each, a maximum pooling after the first, an
addition around the third. In ``relu`` the rectifiers are ReLUs, in ``relu6`` they end at 6. captum's guided
backpropagation and deconvnet find modules of the class ReLU alone and pass by a ReLU6 without a word, so the capped one is
written as a ReLU and a minimum behind it: the rule then acts on the ReLU and the cap keeps its own gradient, which is what
`tests/diamond/test_saliency_captum.py` holds the product's rules to. All arrays have the channels last.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    Saliency,
)
from captum_attribution import last
from torch import nn

BASELINE = 0.25
STEPS = 32


class Capped(nn.Module):
    """A ReLU that ends at 6."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        """Give the values from 0 to 6."""
        return torch.clamp(self.relu(x), max=6.0)


class Net(nn.Module):
    """The network, with rectifiers of one kind."""

    def __init__(self, rectifier):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.first, self.second, self.third = rectifier(), rectifier(), rectifier()
        self.pool, self.dense = nn.MaxPool2d(2), nn.Linear(8, 5)

    def forward(self, x):
        """Give the logits."""
        x = self.second(self.conv2(self.pool(self.first(self.conv1(x)))))
        x = self.third(self.conv3(x)) + x
        return self.dense(x.mean(dim=(2, 3)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    # captum tells of the hooks and the gradients that it asks for.
    warnings.filterwarnings("ignore", message="Setting backward hooks|Input Tensor 0")
    torch.manual_seed(1)
    pictures = torch.rand(3, 3, 14, 10)
    kept = {"pictures": last(pictures)}
    weights = Net(nn.ReLU)
    for parameter in weights.parameters():
        # So large that many values lie above 6.
        nn.init.normal_(parameter, std=0.8)
    for kind, rectifier in (("relu", nn.ReLU), ("relu6", Capped)):
        net = Net(rectifier).eval()
        net.load_state_dict(weights.state_dict())
        before = net.conv2(net.pool(net.first(net.conv1(pictures))))
        print(f"{kind}: {(before > 6).float().mean():.0%} of the second rectifier's inputs lie above 6")
        methods = {
            "gradient": lambda **of: Saliency(net).attribute(pictures, abs=False, **of),  # noqa: B023
            "gradient_x_input": lambda **of: InputXGradient(net).attribute(pictures, **of),  # noqa: B023
            "guided_backpropagation": lambda **of: GuidedBackprop(net).attribute(pictures, **of),  # noqa: B023
            "deconvnet": lambda **of: Deconvolution(net).attribute(pictures, **of),  # noqa: B023
            "integrated_gradients": lambda **of: IntegratedGradients(net).attribute(  # noqa: B023
                pictures, baselines=BASELINE, n_steps=STEPS, method="riemann_middle", **of
            ),
            "grad_cam": lambda **of: LayerGradCam(net, net.second).attribute(  # noqa: B023
                pictures, relu_attributions=True, **of
            ),
            "guided_grad_cam": lambda **of: GuidedGradCam(net, net.second).attribute(  # noqa: B023
                pictures, interpolate_mode="bilinear", **of
            ),
        }
        kept[f"{kind}:logits"] = net(pictures).detach().numpy()
        for name, method in methods.items():
            for target in (1, 3):
                kept[f"{kind}:{name}:{target}"] = last(method(target=target))
    for name, parameter in weights.state_dict().items():
        values = parameter.numpy()
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[values.ndim]
        kept[f"weight:{name}"] = values.transpose(axes)
    np.savez_compressed(asked.file, **kept)
    print(f"{asked.file}: {asked.file.stat().st_size:,} bytes, {len(kept)} arrays")


if __name__ == "__main__":
    main()
