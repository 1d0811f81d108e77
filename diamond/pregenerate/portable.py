"""A network as bytes, so that another process, or another machine, has the very same one.

    >>> content = pack_network(net)
    >>> unpack_network(content).fingerprint("block9_add") == net.fingerprint("block9_add")
    True

Only a process of ours reads what another one packed: the card travels as a pickle.
"""

from __future__ import annotations

import io
import pickle
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import keras

from modelzoo import Network

__all__ = ["pack_network", "unpack_network"]

MODEL_FILE, ABOUT_FILE = "model.keras", "about.pickle"


def pack_network(net: Network) -> bytes:
    """Give a network, its weights as they are now and its card as bytes.

    Raises
    ------
    ValueError
        Where Keras cannot save the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        net.model.save(path)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.write(path, MODEL_FILE)
            archive.writestr(ABOUT_FILE, pickle.dumps((net.card, net.weights, net.trained_to)))
    return file.getvalue()


def unpack_network(content: bytes) -> Network:
    """Give the network again; the inverse of `pack_network`."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as archive:
        path = archive.extract(MODEL_FILE, folder)
        card, weights, trained_to = pickle.loads(archive.read(ABOUT_FILE))
        model = keras.models.load_model(path, compile=False)
    return replace(Network.of(model, card, weights=weights), trained_to=trained_to)
