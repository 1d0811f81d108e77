"""Names of the classes that networks answer with."""

from modelzoo.labels.classes import ClassError, Classes, label_sets, read_classes

__all__ = ["ClassError", "Classes", "label_sets", "read_classes"]
