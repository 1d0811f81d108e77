"""A store near by that fills one far away.

    store = Outpost(user_store(), Store("gs://our-bucket/spritemaps"))
    job = store.open_job(spec)               # batches are kept near by; the finished layer goes to the bucket

Batches are small and many, and an object store takes a file whole or not at all: so a layer is rendered in a folder of
this machine, and *sent* when it is finished. A bucket that cannot be reached ends the job with an error; the layer stays
near by, and is sent when the job is opened again.
"""

from __future__ import annotations

from pathlib import Path

from spritemaps.merge import copy_layer
from spritemaps.store import Store

__all__ = ["Outpost"]


class Outpost(Store):
    """A folder of spritemaps whose finished layers are sent to another store, one by one.

    Parameters
    ----------
    near
        Where layers are rendered and kept.
    far
        Where they are sent.

    Examples
    --------
    >>> store = Outpost(Store("near"), far=Store("far"))
    >>> store.find(net.fingerprint("block9_add")) is None
    True
    """

    far: Store

    def __init__(self, near: Store, far: Store) -> None:
        super().__init__(near.root, read_only=near.read_only)
        object.__setattr__(self, "far", far)

    @property
    def address(self) -> str:
        """Where what is rendered ends up."""
        return self.far.address

    def enlist(self, folder: Path) -> None:
        """Enter a finished layer in the index, and send it where it is missing.

        Parameters
        ----------
        folder
            Of a finished layer, near by.

        Raises
        ------
        StoreError
            Where the store far away cannot be reached or written.
        """
        super().enlist(folder)
        layer = next((layer for layer in self.layers() if layer.folder == folder), None)
        if layer is not None and self.far.find(layer.fingerprint, layer.manifest.recipe_hash) is None:
            copy_layer(layer, self.far)
