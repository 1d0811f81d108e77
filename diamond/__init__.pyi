from modelzoo import InputSpec as InputSpec
from modelzoo import image as image
from modelzoo import load as load
from modelzoo import models as models

from .attribution.channels import ChannelAttribution as ChannelAttribution
from .attribution.channels import channel_attribution as channel_attribution
from .attribution.spatial import SpatialAttribution as SpatialAttribution
from .attribution.spatial import spatial_attribution as spatial_attribution
from .features.objectives import Objective as Objective
from .features.objectives import channel as channel
from .features.recipes import Recipe as Recipe
from .features.render import RenderError as RenderError
from .features.render import render as render
from .features.rendering import Rendering as Rendering
from .pregenerate.local import spritemap as spritemap

__version__: str
__all__: list[str]
