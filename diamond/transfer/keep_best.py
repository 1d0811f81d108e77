"""What a training keeps: the story of its epochs, and the best one's weights, through interruptions.

    story = Story(folder)                                 # as it was left, or a new one
    story.epochs, story.finished
    model.fit(..., callbacks=[KeepBest(story, model, "head", patience=5)])

Keras' `BackupAndRestore` brings back the weights and the optimiser of the last epoch; its `EarlyStopping` forgets which
epoch was best, and the best weights with it. Both phases of a training share one story: blocks that learned for nothing
give way to the best epoch of the head alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from diamond.transfer.training import Epoch

__all__ = ["KeepBest", "Story"]

STORY, WEIGHTS = "story.json", "best_weights.npz"


class Story:
    """Epochs in order, which phases are finished, and the best epoch's weights; in a folder or in memory.

    Parameters
    ----------
    folder
        Where it is kept; None for in memory alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.epochs: list[Epoch] = []
        self.finished: list[str] = []
        self._weights: list[np.ndarray] | None = None
        if folder is not None and (folder / STORY).is_file():
            told = json.loads((folder / STORY).read_text(encoding="utf-8"))
            self.epochs, self.finished = [Epoch(**row) for row in told["epochs"]], told["finished"]

    @property
    def best(self) -> int:
        """Number of the epoch with the least validation loss, from 0; the last where nothing is validated."""
        losses = [epoch.validation_loss for epoch in self.epochs]
        return int(np.argmin(np.array(losses, float))) if losses and losses[-1] is not None else len(losses) - 1

    def keep(self, weights: list[np.ndarray]) -> None:
        """Keep the weights of the best epoch."""
        self._weights = weights
        if self.folder is not None:
            part = self.folder / f"part-{WEIGHTS}"
            np.savez(part, *weights)
            part.replace(self.folder / WEIGHTS)

    def weights(self) -> list[np.ndarray] | None:
        """Give the weights of the best epoch, None where there is none."""
        if self._weights is None and self.folder is not None and (self.folder / WEIGHTS).is_file():
            with np.load(self.folder / WEIGHTS) as file:
                self._weights = [file[f"arr_{number}"] for number in range(len(file.files))]
        return self._weights

    def write(self) -> None:
        """Write it down, beside its place and renamed onto it."""
        if self.folder is not None:
            part = self.folder / f"{STORY}.part"
            told = {"finished": self.finished, "epochs": [asdict(epoch) for epoch in self.epochs]}
            part.write_text(json.dumps(told), encoding="utf-8")
            part.replace(self.folder / STORY)


class KeepBest(keras.callbacks.Callback):
    """Tell a training's story, keep its best weights, and stop when the validation loss has not fallen for a while.

    Parameters
    ----------
    story
        It is told on.
    whole
        The network whose weights are kept: the fitted one may be a part of it.
    phase
        What the epochs are called.
    patience
        After so many epochs of this phase without a lower loss training stops; None for never.
    """

    def __init__(self, story: Story, whole: keras.Model, phase: str, *, patience: int | None) -> None:
        super().__init__()
        self.story, self.whole, self.phase, self.patience = story, whole, phase, patience
        self._began = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the loss has not fallen for as long as one is patient."""
        n = sum(epoch.phase == self.phase for epoch in self.story.epochs)
        waited = min(n, len(self.story.epochs) - 1 - self.story.best)
        return self.patience is not None and n > 0 and waited >= self.patience

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell the epoch, keep its weights where it is the best, stop where there is no more to come."""
        told = {name: float(value) for name, value in (logs or {}).items()}
        rate = float(self.model.optimizer.learning_rate)
        if not np.isfinite(told["loss"]):
            raise FloatingPointError(
                f"the loss of epoch {epoch + 1} is {told['loss']}; a lower rate than {rate:g} may help"
            )
        self.story.epochs.append(
            Epoch(
                phase=self.phase,
                loss=told["loss"],
                accuracy=told["accuracy"],
                validation_loss=told.get("val_loss"),
                validation_accuracy=told.get("val_accuracy"),
                rate=rate,
                seconds=time.perf_counter() - self._began,
            )
        )
        if self.story.best == len(self.story.epochs) - 1:
            self.story.keep(self.whole.get_weights())
        self.story.write()
        if self.is_over:
            self.model.stop_training = True
