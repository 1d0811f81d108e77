"""The one error of everything between a card's weight source and a model's variables."""

__all__ = ["WeightsError"]


class WeightsError(ValueError):
    """Weights that are missing, damaged, not what their card says, refused for safety, or of another network."""
