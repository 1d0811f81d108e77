"""What watches a training from inside: callbacks for ``model.fit``."""

from diamond.callbacks.training_atlas import TrainingAtlas
from diamond.callbacks.training_log import TrainingLog

__all__ = ["TrainingAtlas", "TrainingLog"]
