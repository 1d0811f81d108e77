"""Where what was fetched, unpacked or found out once is kept, one folder a kind.

::

    user_cache("weights")
    # PosixPath('/home/me/.cache/diamond-cutter/weights')
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_cache"]


def user_cache(kind: str) -> Path:
    """Folder of one kind of thing: ``$DIAMOND_CACHE/<kind>``, or in the user's cache folder where that is not set."""
    chosen = os.environ.get("DIAMOND_CACHE")
    if chosen:
        return Path(chosen).expanduser() / kind
    import platformdirs

    return Path(platformdirs.user_cache_dir("diamond-cutter")) / kind
