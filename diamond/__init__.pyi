from modelzoo import AudioFrontend as AudioFrontend
from modelzoo import InputSpec as InputSpec
from modelzoo import LogScale as LogScale
from modelzoo import image as image
from modelzoo import load as load
from modelzoo import load_sound as load_sound
from modelzoo import models as models

from .attribution.ablated import Ablation as Ablation
from .attribution.channels import ChannelAttribution as ChannelAttribution
from .attribution.channels import channel_attribution as channel_attribution
from .attribution.faithfulness import ablate as ablate
from .attribution.grouped import Groups as Groups
from .attribution.groups import groups as groups
from .attribution.semantic import SemanticMap as SemanticMap
from .attribution.semantic import semantic_map as semantic_map
from .attribution.spatial import SpatialAttribution as SpatialAttribution
from .attribution.spatial import spatial_attribution as spatial_attribution
from .features.objectives import Objective as Objective
from .features.objectives import align as align
from .features.objectives import alpha as alpha
from .features.objectives import blur as blur
from .features.objectives import channel as channel
from .features.objectives import deepdream as deepdream
from .features.objectives import direction as direction
from .features.objectives import direction_neuron as direction_neuron
from .features.objectives import diversity as diversity
from .features.objectives import group as group
from .features.objectives import interpolate as interpolate
from .features.objectives import invert_towards as invert_towards
from .features.objectives import l1 as l1
from .features.objectives import l2 as l2
from .features.objectives import logit as logit
from .features.objectives import neuron as neuron
from .features.objectives import peak as peak
from .features.objectives import total_variation as total_variation
from .features.recipes import Recipe as Recipe
from .features.render import render as render
from .features.renderer import RenderError as RenderError
from .features.rendering import Rendering as Rendering
from .features.search import RecipeSearch as RecipeSearch
from .features.search import find_recipe as find_recipe
from .pregenerate.one_layer import spritemap as spritemap
from .pregenerate.report import PregenerationReport as PregenerationReport
from .pregenerate.run import pregenerate as pregenerate

__version__: str
__all__: list[str]
