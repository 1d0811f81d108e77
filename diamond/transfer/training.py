"""What a training was like, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Epoch", "Training"]


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes
    ----------
    phase
        ``"probe"`` for a head that was fitted in closed form, before it has seen an epoch; ``"head"`` while the kept part
        is frozen; ``"blocks"`` where its top learns too.
    loss, accuracy
        Of the training samples, as they were shown: changed a little, with dropout.
    validation_loss, validation_accuracy
        Of the validation samples; None where there are none.
    rate
        The learning rate.
    seconds
        How long it took.
    """

    phase: str
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    rate: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Training(Result):
    """What a training was like.

    Attributes
    ----------
    network
        The student's name.
    epochs
        In order.
    best
        Number of the epoch, from 0, whose weights the student has now.
    unfrozen
        The blocks that learned in the second phase.
    classes
        Names of the classes.
    samples, validated
        How many samples it learned from, and how many it was judged by.
    skipped
        Name and reason of each sample that could not be read.
    notes
        What to know, in sentences.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", validation="textures/val", epochs=2, augment=False, progress=False)
    >>> training.network, training.classes, training.samples, training.validated, training.skipped
    ('student', ('brick', 'grass', 'gravel'), 36, 12, ())
    >>> len(training.epochs), training.best <= 2, training.first, training.unfrozen, training.seconds > 0, training.notes
    (3, True, 0, (), True, ('Only 12 samples to judge by: the best epoch is a matter of chance, too.',))
    >>> training.sentence[:33]
    'student: 2 epochs over 36 samples'
    >>> training.to_dataframe().columns.to_list()
    ['epoch', 'phase', 'loss', 'accuracy', 'validation_loss', 'validation_accuracy', 'rate', 'seconds', 'kept']
    >>> training.plot()
    <Figure size ... with 2 Axes>
    >>> training.save("training.html")
    PosixPath('training.html')
    """

    FRAME_PX: ClassVar[int] = 640

    network: str
    epochs: tuple[Epoch, ...]
    best: int
    unfrozen: tuple[str, ...]
    classes: tuple[str, ...]
    samples: int
    validated: int
    skipped: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long all epochs took."""
        return sum(epoch.seconds for epoch in self.epochs)

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        kept = self.epochs[self.best]
        learned = sum(epoch.phase != "probe" for epoch in self.epochs)
        over = f"{self.network}: {learned} epochs over {self.samples:,} samples in {self.seconds:.0f} s"
        if kept.validation_accuracy is None:
            return f"{over}; {kept.accuracy:.1%} of what it learned from is right, and nothing else was asked."
        return (
            f"{over}; it keeps {self._kept}: {kept.validation_accuracy:.1%} of "
            f"{self.validated:,} validation samples are right."
        )

    @property
    def first(self) -> int:
        """Number of the first epoch: 0 where the probe counts as one."""
        return 0 if self.epochs and self.epochs[0].phase == "probe" else 1

    @property
    def _kept(self) -> str:
        at = self.best + self.first
        return f"the weights of epoch {at}" if at else "the probe it began with"

    def to_dataframe(self) -> pd.DataFrame:
        """One row an epoch."""
        import pandas as pd

        rows = [{"epoch": number, **vars(epoch)} for number, epoch in enumerate(self.epochs, self.first)]
        return pd.DataFrame(rows).assign(kept=[number == self.best for number in range(len(rows))])

    def plot(self) -> Figure:
        """Draw loss and accuracy by epoch, of training and of validation; the kept epoch is marked."""
        from diamond.show.training_figure import training_figure

        return training_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        table = self.to_dataframe()
        return {str(name): table[name].to_numpy(dtype=float) for name in table if name != "phase"}

    def __str__(self) -> str:
        return f"{self.network}: its training for {len(self.classes)} classes"

    def __repr__(self) -> str:
        return "\n".join([self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.pages import figure_uri, page

        return page("training.html", title=str(self), training=self, figure=figure_uri(self.plot()))
