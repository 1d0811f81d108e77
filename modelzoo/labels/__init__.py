"""Names of the classes that networks answer with."""

from modelzoo.labels.classes import ClassError, Classes, label_sets, read_classes
from modelzoo.labels.wordnet import Ancestor, ancestors, has_ancestors

__all__ = ["Ancestor", "ClassError", "Classes", "ancestors", "has_ancestors", "label_sets", "read_classes"]
