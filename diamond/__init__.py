"""See what a Keras CNN looks at, what its channels look for, and where to cut it for transfer learning."""

import lazy_loader

from modelzoo import AudioFrontend, InputSpec, LogScale, image, load, load_sound, models

# What needs TensorFlow is imported when it is first asked for: `import diamond` stays under a second.
__getattr__, __dir__, _lazy = lazy_loader.attach(
    __name__,
    submodules={"samples"},
    submod_attrs={
        "attribution.ablated": ["Ablation"],
        "attribution.channels": ["AttributionByLayer", "ChannelAttribution", "channel_attribution"],
        "attribution.semantic": ["SemanticMap", "semantic_map"],
        "attribution.described": ["ChannelWords", "Description"],
        "attribution.faithfulness": ["ablate"],
        "attribution.flow": ["flow"],
        "attribution.flowed": ["Flow"],
        "attribution.grouped": ["Groups"],
        "attribution.groups": ["groups"],
        "attribution.spatial": ["SpatialAttribution", "spatial_attribution"],
        "attribution.words": ["describe"],
        "features.objectives": [
            "Objective",
            "align",
            "alpha",
            "blur",
            "channel",
            "deepdream",
            "direction",
            "direction_neuron",
            "diversity",
            "group",
            "interpolate",
            "invert_towards",
            "l1",
            "l2",
            "logit",
            "neuron",
            "peak",
            "total_variation",
        ],
        "features.recipes": ["Recipe"],
        "features.render": ["render"],
        "features.renderer": ["RenderError"],
        "features.rendering": ["Rendering"],
        "features.sound_rendering": ["SoundRendering"],
        "features.search": ["RecipeSearch", "find_recipe"],
        "inspection.exemplars": ["Exemplars", "exemplars"],
        "pregenerate.diverse": ["diverse"],
        "occlusion.heard": ["SoundOcclusion", "SoundOcclusions"],
        "occlusion.occluded": ["OcclusionMap", "OcclusionMaps"],
        "occlusion.occlude": ["occlude"],
        "pregenerate.one_layer": ["spritemap"],
        "pregenerate.report": ["PregenerationReport"],
        "pregenerate.run": ["pregenerate"],
        "transfer.cut_points": ["cut_points"],
        "transfer.cut_report": ["CutReport"],
    },
)
__version__ = "0.1.0"
__all__ = [  # noqa: PLE0604
    "AudioFrontend",
    "InputSpec",
    "LogScale",
    "__version__",
    "image",
    "load",
    "load_sound",
    "models",
    *_lazy,
]
