"""Where to look for a spritemap.

    >>> find(net.fingerprint("block9_add"))            # in the user's cache, then in what ships with the package
    Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite')
    >>> find("0" * 64) is None
    True

Rendering takes hours and looking takes milliseconds, so everything that shows sprites looks first: in the store that it
was given, in the user's own, and in the packaged one, which is read only and may lie inside the Python installation.
"""

from __future__ import annotations

import os
from pathlib import Path

from spritemaps.atlas import Spritemap
from spritemaps.store import Store

__all__ = ["find", "packaged_store", "user_store"]

CACHE_VARIABLE = "DIAMOND_CACHE"


def find(
    fingerprint: str, *, recipe_hash: str | None = None, store: Store | str | Path | None = None
) -> Spritemap | None:
    """Find the finished spritemap of a layer; None where no store has it.

    Parameters
    ----------
    fingerprint
        Of the layer.
    recipe_hash
        Of the recipe; None for any, with ``"sprite"`` before ``"texture"`` before others within a store.
    store
        A store, or the folder of one, to look in before the user's and the packaged one.

    Raises
    ------
    StoreError
        Where a store's path is a file.

    Examples
    --------
    >>> find(net.fingerprint("block9_add"))
    Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite')
    >>> find("0" * 64) is None
    True
    """
    places = [user_store(), packaged_store()]
    if store is not None:
        places.insert(0, store if isinstance(store, Store) else Store(store))
    for place in places:
        found = place.find(fingerprint, recipe_hash)
        if found is not None:
            return found
    return None


def user_store() -> Store:
    """Give the user's own store: ``$DIAMOND_CACHE/spritemaps`` where that is set, else in the user's cache folder.

    Raises
    ------
    StoreError
        Where its path is a file.

    Examples
    --------
    >>> user_store().read_only
    False
    """
    cache = os.environ.get(CACHE_VARIABLE)
    if cache:
        return Store(Path(cache).expanduser() / "spritemaps")
    import platformdirs

    return Store(platformdirs.user_cache_path("diamond-cutter") / "spritemaps")


def packaged_store() -> Store:
    """Give the store that ships with the package; it is read only.

    Examples
    --------
    >>> packaged_store().read_only
    True
    """
    return Store(Path(__file__).parent / "data", read_only=True)
