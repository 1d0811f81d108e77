"""Fill the drop-downs of the notebooks' forms from the library.

    python docs/notebook_forms.py            # writes the lists; run it after the zoo changed
    python docs/notebook_forms.py --check    # exit code 1 where a list is not what the library gives

A form of Colab is a line of code with a comment, ``layer = "block9_add"  #@param ["stem_relu", "block2_add"]``. Its list is
text, and goes stale. So the lists are written here, by the variable's name: a ``network`` is any of the zoo that takes
what the notebook's own takes (pictures or sounds), a layer any landmark of the notebook's own network, a class one of
a few. Any other text may be typed: a list of a thousand classes or of all layers is no form.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from modelzoo.labels import read_classes
from modelzoo.registry import packaged_cards, read_model_card

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
DEFAULT = "EfficientNetLite0"
RANKS = ("top1", "top2", "top3")
# Of a thousand: what the carried photos show, and what is like it.
CLASSES = ("Egyptian cat", "tiger cat", "tabby", "espresso", "coffee mug", "military uniform", "palace", "daisy")
LAYERS = ("early_layer", "layer", "later_layer", "sound_layer")
FIELD = re.compile(r"^(?P<name>\w+) = (?P<value>.+?)  #@param \[.*?\](?P<rest> \{.*\})?$", re.MULTILINE)
NETWORK = re.compile(r'^network = "([^"]*)"', re.MULTILINE)


def choices(name: str, network: str = DEFAULT) -> list[str]:
    """Give the texts that a field offers, by the variable's name and the notebook's own network.

    Raises
    ------
    KeyError
        For a name that no list belongs to.
    """
    card = read_model_card(network)
    if name == "network":
        listed = [n for n, each in packaged_cards().items() if (each.input.audio is None) == (card.input.audio is None)]
    elif name in LAYERS:
        listed = list(card.landmarks)
    elif name in ("positive", "target"):
        listed = [*RANKS, *CLASSES]
    elif name == "negative":
        listed = ["", "others", *RANKS[1:], *CLASSES]
    elif name == "class_name":
        listed = list(CLASSES)
    elif name == "tag":
        listed = [*RANKS, *read_classes(str(card.output.classes))]
    else:
        raise KeyError(
            f"no list for a field {name!r}; those with one are network, {', '.join(LAYERS)}, positive, target, ..."
        )
    return listed


def filled(source: str, network: str = DEFAULT) -> str:
    """Give a cell's source with its lists as the library gives them."""

    def line(found: re.Match[str]) -> str:
        listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in choices(found["name"], network))
        return f"{found['name']} = {found['value']}  #@param [{listed}]{found['rest'] or ''}"

    return FIELD.sub(line, source)


def filled_notebook(text: str) -> str:
    """Give a notebook's text with all its lists as the library gives them."""
    notebook = json.loads(text)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    asked = [found[1] for cell in cells if (found := NETWORK.search("".join(cell["source"])))]
    for cell in cells:
        cell["source"] = filled("".join(cell["source"]), asked[0] if asked else DEFAULT).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the lists, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a list is stale")
    check = parser.parse_args().check
    stale = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        if filled_notebook(text) != text:
            stale.append(path.name)
            if not check:
                path.write_text(filled_notebook(text), encoding="utf-8")
    print(f"{'stale' if check else 'written'}: {', '.join(stale) or 'none'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
