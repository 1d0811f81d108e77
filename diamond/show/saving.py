"""One way to save any result: the suffix says as what."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelzoo.inputs.sounds import Sound

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["save", "save_sound", "wav_uri"]

# Between sounds that are saved one after the other.
PAUSE_S = 0.3


def save(
    path: str | Path,
    *,
    page: Callable[[], str],
    figure: Callable[[], Figure],
    table: Callable[[], pd.DataFrame],
    arrays: Mapping[str, np.ndarray],
) -> Path:
    """Write a result as ``.html``, ``.png``, ``.csv`` or ``.npz``.

    Parameters
    ----------
    path
        Where to; its suffix decides the form.
    page, figure, table
        Make the page (a whole HTML document), the matplotlib figure, the table; only the one needed is called.
    arrays
        The result's arrays by name.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ValueError
        For any other suffix, naming those there are.
    FileNotFoundError
        Where the folder does not exist.
    """
    path = _checked(path)
    if path.suffix == ".html":
        path.write_text(page(), encoding="utf-8")
    elif path.suffix == ".png":
        figure().savefig(path, dpi=150)
    elif path.suffix == ".csv":
        table().to_csv(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        raise ValueError(f"cannot save as {path.suffix!r}; expected .html, .png, .csv or .npz")
    return path


def save_sound(path: str | Path, sounds: Sequence[Sound]) -> Path:
    """Write sounds of one rate as a ``.wav`` file, one after the other, with a pause between.

    Raises
    ------
    FileNotFoundError
        Where the folder does not exist.
    """
    path = _checked(path)
    pause = np.zeros(round(PAUSE_S * sounds[0].sr), np.float32)
    parts = [part for sound in sounds for part in (sound.samples, pause)][:-1]
    path.write_bytes(_wav_bytes(Sound(np.concatenate(parts), sounds[0].sr)))
    return path


def wav_uri(sound: Sound) -> str:
    """Give a sound as a data URI that an audio element plays."""
    return "data:audio/wav;base64," + base64.b64encode(_wav_bytes(sound)).decode("ascii")


def _wav_bytes(sound: Sound) -> bytes:
    """Give a sound as a WAV file of 16 bits, no louder than full scale."""
    import soundfile

    file = io.BytesIO()
    loudest = float(np.abs(sound.samples).max(initial=0.0))
    soundfile.write(file, sound.samples / max(1.0, loudest), sound.sr, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; make it first")
    return path
