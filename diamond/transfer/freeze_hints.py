"""What to leave frozen: how much each block of a network wants to change.

    hints = dc.freeze_hints(student, "flowers/train")          # after its head was trained
    hints.wanting
    dc.train(student, "flowers/train", epochs=0, unfreeze=hints.wanting, fine_epochs=5)

One pass backward: a block whose gradient is large beside its weights would gain from learning, one whose gradient is small
may stay as it is. It is a hint: it looks one step ahead.

Lee, Chen, Tajwar, Kumar, Yao, Liang and Finn, "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts" (ICLR
2023), https://arxiv.org/abs/2210.11466, section 4: the relative gradient norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from diamond.show.result import Result
from diamond.transfer.blocks import HEAD, Block, blocks
from diamond.transfer.feed import dataset, hold
from diamond.transfer.train import samples_for
from modelzoo import Network
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FreezeHints", "freeze_hints"]

# A block wants to change where its relative gradient is at least this part of the largest.
WANTS = 0.5


@dataclass(frozen=True, eq=False)
class FreezeHints(Result):
    """How much each block wants to change.

    Attributes
    ----------
    network
        The student's name.
    blocks
        Names of the blocks, in order, the head left out.
    frozen
        ``(block,)`` whether each is frozen now.
    parameters
        ``(block,)`` how many numbers could learn; batch norms left out.
    gradients, weights
        ``(block,)`` Euclidean norms of the gradient of the mean loss, and of the weights.
    accuracy
        Share of the samples that the student names rightly, of ``samples``; with a head that has learned nothing the
        gradients say nothing.
    chance
        The same for guessing.
    samples
        How many samples were asked.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", epochs=2, augment=False, progress=False)
    >>> hints = dc.freeze_hints(student, "textures/train", progress=False)
    >>> hints.network, hints.blocks, hints.frozen, hints.samples
    ('student', ('stem_relu', 'block0_project_bn', 'block2_add', 'block4_add'), array([ True,  True,  True,  True]), 36)
    >>> round(hints.chance, 2), hints.accuracy > hints.chance, hints.parameters
    (0.33, True, array([  864,   800, 12912, 38016]))
    >>> hints.gradients.shape, hints.weights.shape, hints.relative.shape, len(hints.wanting) > 0
    ((4,), (4,), (4,), True)
    >>> len(hints.sentence) > 0
    True
    >>> hints.to_dataframe().columns.to_list()
    ['block', 'frozen', 'parameters', 'gradient_norm', 'weight_norm', 'relative', 'wants_to_change']
    >>> hints.plot()
    <Figure size ... with 1 Axes>
    >>> hints.save("hints.html")
    PosixPath('hints.html')
    """

    FRAME_PX: ClassVar[int] = 480

    network: str
    blocks: tuple[str, ...]
    frozen: np.ndarray
    parameters: np.ndarray
    gradients: np.ndarray
    weights: np.ndarray
    accuracy: float
    chance: float
    samples: int

    @property
    def relative(self) -> np.ndarray:
        """``(block,)`` gradient norm over weight norm."""
        found: np.ndarray = self.gradients / np.maximum(self.weights, 1e-12)
        return found

    @property
    def wanting(self) -> tuple[str, ...]:
        """The frozen blocks that want to change at least half as much as the frozen one that does most."""
        asked = np.where(self.frozen, self.relative, 0.0)
        least = WANTS * asked.max(initial=0.0)
        return tuple(name for name, value in zip(self.blocks, asked, strict=True) if value >= least and value > 0)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.accuracy <= self.chance + 2 * np.sqrt(self.chance * (1 - self.chance) / self.samples):
            return (
                f"{self.network} names {self.accuracy:.0%} of {self.samples:,} samples, no better than guessing: its head "
                "has not learned yet, and its gradients say nothing of the blocks. Train the head first."
            )
        if not self.wanting:
            return "No frozen block wants to change."
        rest = [
            name for name, frozen in zip(self.blocks, self.frozen, strict=True) if frozen and name not in self.wanting
        ]
        leave = f"; leave {', '.join(rest)} frozen" if rest else ""
        return f"{', '.join(self.wanting)} would gain most from learning{leave}."

    def to_dataframe(self) -> pd.DataFrame:
        """One row a block, in the order of the network."""
        import pandas as pd

        return pd.DataFrame(
            {
                "block": self.blocks,
                "frozen": self.frozen,
                "parameters": self.parameters,
                "gradient_norm": self.gradients,
                "weight_norm": self.weights,
                "relative": self.relative,
                "wants_to_change": [name in self.wanting for name in self.blocks],
            }
        )

    def plot(self) -> Figure:
        """Draw the relative gradient of each block: orange frozen and wants to change, hollow learns already."""
        from diamond.show.heat import FOR

        figure = Figure(figsize=(8, 0.34 * len(self.blocks) + 1.2), layout="constrained")
        panel = figure.subplots()
        colours = [np.array(FOR) / 255 if name in self.wanting else (0.72, 0.72, 0.72) for name in self.blocks]
        bars = panel.barh(range(len(self.blocks)), self.relative, color=colours, height=0.66)
        for bar, frozen in zip(bars, self.frozen, strict=True):
            bar.set(fill=bool(frozen), edgecolor="0.6" if not frozen else "none")
        panel.set_yticks(range(len(self.blocks)), [name.replace("$", r"\$") for name in self.blocks], fontsize=9)
        panel.invert_yaxis()
        panel.set_xlabel("gradient norm over weight norm: how much the block wants to change")
        panel.spines[["top", "right"]].set_visible(False)
        figure.suptitle(str(self).replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
        return figure

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("frozen", "parameters", "gradients", "weights", "relative")
        return {"blocks": np.array(self.blocks), **{name: getattr(self, name) for name in names}}

    def __str__(self) -> str:
        return f"{self.network}: how much its blocks want to change"

    def __repr__(self) -> str:
        rows = [
            f"  {'>' if name in self.wanting else ' '} {name:<28} {value:.4f}"
            for name, value in zip(self.blocks, self.relative, strict=True)
        ]
        return "\n".join([str(self), *rows, self.sentence])

    def _page(self) -> str:
        from diamond.show.pages import figure_uri, page

        return page("freeze_hints.html", title=str(self), hints=self, figure=figure_uri(self.plot()))


def freeze_hints(
    student: Network, inputs: Any, labels: Any = None, *, batch: int = 32, progress: bool = True
) -> FreezeHints:
    """Tell how much each block of a student wants to change for some data.

    Parameters
    ----------
    student
        A student whose head has learned (`train`); it is not changed.
    inputs, labels
        As `train` takes them.
    batch
        Samples at a time.
    progress
        Whether to show a progress bar while they are read.

    Returns
    -------
    FreezeHints

    Raises
    ------
    FileNotFoundError, SamplesError
        For what gives no samples, or other classes than the student's.
    ValueError
        For a network without blocks below its head.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", epochs=2, augment=False, progress=False)
    >>> hints = dc.freeze_hints(student, "textures/train", progress=False)
    >>> set(hints.wanting) <= set(hints.blocks)
    True
    """
    held = hold(student, samples_for(student, inputs, labels), progress=progress)
    parts = [block for block in blocks(student) if block.name != HEAD and block.variables]
    if not parts:
        raise ValueError(f"{student.name} has no landmarks, so no blocks to tell apart below its head")
    sums, right = _backward(student, dataset(student, held, batch=batch, shuffle=False), parts)
    return FreezeHints(
        network=student.name,
        blocks=tuple(block.name for block in parts),
        frozen=np.array([block.is_frozen for block in parts]),
        parameters=np.array([sum(int(np.prod(each.shape)) for each in block.variables) for block in parts]),
        gradients=np.array([_norm(each / len(held) for each in rows) for rows in sums]),
        weights=np.array([_norm(np.asarray(each) for each in block.variables) for block in parts]),
        accuracy=right / len(held),
        chance=float(np.bincount(held.labels).max() / len(held)),
        samples=len(held),
    )


def _backward(student: Network, batches: tf.data.Dataset, parts: Sequence[Block]) -> tuple[list[list[np.ndarray]], int]:
    """Sum the gradients of all samples' losses, block by block, and count the right answers."""
    variables = [each for block in parts for each in block.variables]
    entry, wanted = student.graph.inputs[0].node, student.logits_node

    def step(values: tf.Tensor, labels: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for each in variables:
                tape.watch(each.value)
            logits = student.graph.evaluate({entry: values}, [wanted])[0]
            logits = tf.reshape(logits, (tf.shape(logits)[0], -1))
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        found = tape.gradient(loss, [each.value for each in variables], unconnected_gradients="zero")
        return found, tf.reduce_sum(tf.cast(tf.argmax(logits, axis=1) == labels, tf.int32))

    run = student.compiled(("freeze hints", *(block.name for block in parts)), lambda: step)
    total, right = [np.zeros(each.shape, np.float64) for each in variables], 0
    for values, labels in batches:
        found, hits = run(values, labels)
        for whole, part in zip(total, found, strict=True):
            whole += part.numpy()
        right += int(hits)
    rows = iter(total)
    return [[next(rows) for _ in block.variables] for block in parts], right


def _norm(arrays: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(each, dtype=np.float64))) for each in arrays)))
