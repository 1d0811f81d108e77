"""Train a student: its head first, then, where one likes, the blocks below it.

    student = dc.attach(net, "block9_add", classes=5, dropout=0.2)
    training = dc.train(student, "flowers/train", epochs=20, unfreeze=2, folder="/drive/flowers")
    training.sentence

A plain Keras loop with what is easily forgotten: pictures are preprocessed as the network's card says, classes weigh the
same however many samples they have, the best epoch's weights are kept, the batch norms of what was kept stay as they are
when blocks are unfrozen, and a training that was interrupted goes on where it was (call it again with the same folder).

There is nothing in it that one could not do oneself::

        student.model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        student.model.fit(dataset(student, held, augment=True), steps_per_epoch=13, epochs=20)
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from diamond.transfer.blocks import unfreeze as unfreeze_blocks
from diamond.transfer.feed import MOST_BYTES, Augment, Held, dataset, hold, split, steps
from diamond.transfer.frozen import frozen_up_to, given_by, tail_from
from diamond.transfer.head_start import start_head
from diamond.transfer.keep_best import KeepBest, Story
from diamond.transfer.samples import Samples, SamplesError, read_samples
from diamond.transfer.training import Epoch, Training
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["samples_for", "train"]

SETTINGS = "settings.json"
PROBE = "probe"
# Of a class, below which a note is made; and of validation samples a class.
FEW = 10


def train(
    student: Network,
    inputs: Any,
    labels: Any = None,
    *,
    epochs: int = 20,
    validation: Any = 0.2,
    batch: int = 32,
    rate: float = 3e-3,
    augment: bool | Callable[[Any, Any], Any] = True,
    start: str | None = "probe",
    class_weights: str | dict[int, float] | None = "balanced",
    patience: int | None = 5,
    unfreeze: int | Sequence[str] = 0,
    fine_epochs: int | None = None,
    fine_rate: float = 1e-4,
    folder: str | Path | None = None,
    tensorboard: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    groups: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> Training:
    """Train what is not frozen of a network; then unfreeze its top blocks and train those too, at a lower rate.

    Parameters
    ----------
    student
        What `attach` gave, or any network with a softmax over its classes. It is trained in place.
    inputs, labels
        As `cut_points` takes them: a folder with a folder for each class, an archive or its address, a
        `tf.data.Dataset`, or pictures (sounds) and a class for each.
    epochs
        At most, in the first phase; 0 for none, where the head has learned already.
    validation
        A share of the samples, drawn from each class; samples of their own, as `inputs` or a pair ``(inputs, labels)``;
        or None for none, and then nothing stops early.
    batch
        Samples at a time.
    rate
        Learning rate of the first phase; of Adam.
    augment
        Whether pictures are changed a little each time (`diamond.transfer.augment`), or a function of ``(batch, seed)``
        that changes them. Where they are not, what the frozen part makes of them is computed once, and epochs are fast.
    start
        ``"probe"``: a head that is linear on frozen features begins as a ridge classifier of the samples, as good as the
        probe that `cut_points` measured; its state before the first epoch counts as one. None for noise.
    class_weights
        ``"balanced"``: a sample weighs the less the more there are of its class; or a weight for each class's number;
        or None.
    patience
        Epochs without a lower validation loss after which a phase ends.
    unfreeze
        In a second phase, how many of the frozen blocks learn, from the head down, or their names (see
        `freeze_hints`); 0 for no second phase.
    fine_epochs, fine_rate
        Of the second phase; as many epochs as of the first where None.
    folder
        Where to keep the state, so that the same call goes on after an interruption.
    tensorboard
        Whether to write logs for TensorBoard into the folder.
    callbacks
        More callbacks for Keras.
    groups
        What belongs together, one for each sample: never on both sides of the validation.
    seed
        Of the split, the order and the changes.
    progress
        Whether Keras shows its progress.

    Returns
    -------
    Training

    Raises
    ------
    FileNotFoundError, SamplesError
        For what gives no samples, other classes than the student's, and a folder that holds another training.
    ValueError
        For no epochs, a rate that is not positive, ``tensorboard`` without a folder.
    ImportError
        Where TensorBoard is wanted and not installed.
    FloatingPointError
        Where the loss becomes NaN or infinite.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", validation="textures/val", epochs=2, augment=False, progress=False)
    >>> len(training.epochs), training.classes
    (3, ('brick', 'grass', 'gravel'))
    """
    if epochs < 0 or (fine_epochs is not None and fine_epochs < 1) or not (epochs or (unfreeze and fine_epochs)):
        raise ValueError(
            f"epochs is {epochs}, fine_epochs {fine_epochs}, unfreeze {unfreeze!r}; expected epochs of 1 or more, or 0 "
            "with blocks to unfreeze and fine_epochs"
        )
    if not (rate > 0 and fine_rate > 0):
        raise ValueError(f"rate is {rate}, fine_rate {fine_rate}; expected more than 0")
    if start not in ("probe", None):
        raise ValueError(f"start is {start!r}; expected 'probe', or None")
    if tensorboard and folder is None:
        raise ValueError("tensorboard=True and no folder; expected folder=, where its logs go")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ImportError("tensorboard=True needs TensorBoard, which is not installed: pip install tensorboard")
    learned, judged = _parted(student, inputs, labels, validation, groups, seed)
    place = None if folder is None else Path(folder).expanduser()
    if place is not None:
        asked_for = {
            "student": student.name,
            "samples": len(learned),
            "batch": batch,
            "start": start,
            "rates": [rate, fine_rate],
            "epochs": [epochs, fine_epochs],
            "unfreeze": unfreeze if isinstance(unfreeze, int) else list(unfreeze),
            "patience": patience,
            "seed": seed,
        }
        _agree(place, asked_for)
    held = hold(student, learned, progress=progress)
    asked = None if judged is None else hold(student, judged, progress=progress)
    loop = _Loop(
        student, held, asked, Story(place), batch=batch, augment=augment, weights=_weights(class_weights, held),
        patience=patience, tensorboard=tensorboard, callbacks=callbacks, seed=seed, progress=progress,
    )  # fmt: skip
    if start is not None:
        loop.begin()
    loop.run("head", epochs, rate)
    unfrozen = unfreeze_blocks(student, unfreeze) if unfreeze else ()
    if unfrozen:
        loop.run("blocks", fine_epochs or epochs, fine_rate)
    return Training(
        network=student.name,
        epochs=tuple(loop.story.epochs),
        best=loop.story.best,
        unfrozen=unfrozen,
        classes=learned.classes,
        samples=len(held.samples),
        validated=0 if asked is None else len(asked.samples),
        skipped=(*held.skipped, *(asked.skipped if asked is not None else ())),
        notes=_notes(loop.story, held, asked, unfrozen),
    )


class _Loop:
    """What both phases share."""

    def __init__(
        self,
        student: Network,
        held: Held,
        asked: Held | None,
        story: Story,
        *,
        batch: int,
        augment: Augment,
        weights: dict[int, float] | None,
        patience: int | None,
        tensorboard: bool,
        callbacks: Sequence[keras.callbacks.Callback],
        seed: int,
        progress: bool,
    ) -> None:
        self.student, self.held, self.asked, self.story = student, held, asked, story
        self.batch, self.augment, self.weights, self.patience = batch, augment, weights, patience
        self.tensorboard, self.callbacks, self.seed, self.progress = tensorboard, callbacks, seed, progress

    def begin(self) -> None:
        """Let a linear head begin as a probe, where nothing has been learned yet; tell how good it is."""
        story = self.story
        if story.epochs or story.finished:
            return
        clock = time.perf_counter()
        if not start_head(self.student, self.held, seed=self.seed, progress=self.progress):
            return
        loss, accuracy = self._asked(self.held)
        judged_loss, judged_accuracy = (None, None) if self.asked is None else self._asked(self.asked)
        story.epochs.append(
            Epoch(
                phase=PROBE,
                loss=loss,
                accuracy=accuracy,
                validation_loss=judged_loss,
                validation_accuracy=judged_accuracy,
                rate=0.0,
                seconds=time.perf_counter() - clock,
            )
        )
        story.keep(self.student.model.get_weights())
        story.write()

    def _asked(self, held: Held) -> tuple[float, float]:
        """Give loss and accuracy of what the student says now."""
        model = keras.Model(self.student.model.inputs, self.student.model.outputs)
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        shown = dataset(self.student, held, batch=self.batch, shuffle=False)
        loss, accuracy = model.evaluate(shown, verbose=0)
        return float(loss), float(accuracy)

    def run(self, phase: str, epochs: int, rate: float) -> None:
        """Train for some epochs, or what is left of them; the student then has the best weights so far."""
        model, story = self.student.model, self.story
        self._best()
        if phase not in story.finished:
            done = self._done(phase)
            begin = sum(epoch.phase != phase for epoch in story.epochs)
            first, end = max(begin, done), begin + epochs
            del story.epochs[first:]
            keeper = KeepBest(story, model, phase, patience=self.patience if self.asked is not None else None)
            if first < end and not keeper.is_over:
                self._fit(phase, keeper, first, end, rate)
            story.finished.append(phase)
            story.write()
        self._best()

    def _best(self) -> None:
        """Give the student the best weights so far."""
        best = self.story.weights()
        if best is not None:
            self.student.model.set_weights(best)

    def _fit(self, phase: str, keeper: KeepBest, first: int, end: int, rate: float) -> None:
        held, asked = self.held, self.asked
        # A model of its own, of the same layers: Keras leaves on a model where an interrupted phase went on.
        model = keras.Model(self.student.model.inputs, self.student.model.outputs)
        still = None if self.augment else frozen_up_to(self.student)
        if still is not None:
            model = tail_from(self.student, still)
            held, asked = self._given_by(still, held), None if asked is None else self._given_by(still, asked)
        shown = partial(dataset, self.student, batch=self.batch, preprocess=still is None)
        # The softmax at the end is undone by Keras: the loss is that of the logits.
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            shown(held, augment=self.augment, seed=self.seed, first_epoch=first),
            steps_per_epoch=steps(held, self.batch),
            initial_epoch=first,
            epochs=end,
            validation_data=None if asked is None else shown(asked, shuffle=False),
            class_weight=self.weights,
            shuffle=False,
            callbacks=[keeper, *self._callbacks(phase), *self.callbacks],
            verbose="auto" if self.progress else 0,
        )

    def _given_by(self, node: Node, held: Held) -> Held:
        return given_by(self.student, node, held, most_bytes=MOST_BYTES, progress=self.progress)

    def _callbacks(self, phase: str) -> list[keras.callbacks.Callback]:
        folder = self.story.folder
        if folder is None:
            return []
        found = [keras.callbacks.BackupAndRestore(str(folder / phase), double_checkpoint=True)]
        if self.tensorboard:
            found.append(keras.callbacks.TensorBoard(str(folder / "tensorboard" / phase)))
        return found

    def _done(self, phase: str) -> int:
        """How many epochs, of all phases, Keras' backup brings back."""
        told = None if self.story.folder is None else self.story.folder / phase / "training_metadata.json"
        return 0 if told is None or not told.is_file() else int(json.loads(told.read_text(encoding="utf-8"))["epoch"])


def _parted(
    student: Network, inputs: Any, labels: Any, validation: Any, groups: Any, seed: int
) -> tuple[Samples, Samples | None]:
    learned = samples_for(student, inputs, labels, groups=groups)
    if validation is None:
        return learned, None
    if isinstance(validation, int | float):
        return split(learned, float(validation), seed=seed)
    pair = isinstance(validation, tuple) and len(validation) == 2
    return learned, samples_for(student, *(validation if pair else (validation,)))


def samples_for(student: Network, inputs: Any, labels: Any = None, *, groups: Any = None) -> Samples:
    """Read samples, with the numbers of the student's outputs for their classes.

    Raises
    ------
    FileNotFoundError, SamplesError
        As `read_samples`, and for another number of classes than the student's.
    ClassError
        For a class that the student does not know by name, with the nearest.
    """
    samples, n = read_samples(inputs, labels, groups=groups), student.output_size
    if student.classes is None:
        if len(samples.classes) != n:
            raise SamplesError(
                f"{len(samples.classes)} classes ({', '.join(samples.classes[:6])}) for the {n} outputs of {student.name}; "
                "expected as many"
            )
        return samples
    # As `Network.class_index` compares names, which says what is nearest to one it does not know.
    number = np.array([student.class_index(name) for name in samples.classes])
    return replace(samples, labels=number[samples.labels], classes=tuple(student.class_label(i) for i in range(n)))


def _agree(folder: Path, settings: dict[str, Any]) -> None:
    """Make a folder for a training, or see that what is in it is this one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if not path.is_file():
        path.write_text(json.dumps(settings), encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    other = [
        f"{name} {before.get(name)!r}, now {value!r}" for name, value in settings.items() if before.get(name) != value
    ]
    if other:
        raise SamplesError(f"{folder} holds another training: {'; '.join(other)}. Give another folder, or remove it")


def _weights(said: str | dict[int, float] | None, held: Held) -> dict[int, float] | None:
    if said is None or isinstance(said, dict):
        return said
    if said != "balanced":
        raise ValueError(f"class_weights is {said!r}; expected 'balanced', a weight for each class's number, or None")
    counts = np.bincount(held.labels, minlength=len(held.classes))
    filled = counts[counts > 0]
    return {number: float(filled.mean() / n) if n else 0.0 for number, n in enumerate(counts)}


def _notes(story: Story, held: Held, asked: Held | None, unfrozen: Sequence[str]) -> tuple[str, ...]:
    said = []
    counts = np.bincount(held.labels[np.unique(held.owners, return_index=True)[1]], minlength=len(held.classes))
    none = [name for name, n in zip(held.classes, counts, strict=True) if not n]
    if none:
        said.append(f"No sample of {', '.join(none)} to learn from: the student will not know it.")
    few = [f"{name} ({n})" for name, n in zip(held.classes, counts, strict=True) if 0 < n < FEW]
    if few:
        said.append(f"Fewer than {FEW} samples of {', '.join(few)}.")
    if asked is None:
        said.append("Without validation nothing says when to stop: the last epoch is kept.")
    elif len(asked.samples) < FEW * len(held.classes):
        said.append(f"Only {len(asked.samples)} samples to judge by: the best epoch is a matter of chance, too.")
    if unfrozen and story.epochs[story.best].phase == "head":
        said.append(f"Unfreezing {', '.join(unfrozen)} made it no better: the best epoch of the head alone is kept.")
    return tuple(said)
