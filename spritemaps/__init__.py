"""Spritemaps: all sprites of a layer in one picture with a manifest, and the folders they are kept in."""

from spritemaps.atlas import Spritemap
from spritemaps.files import StoreError
from spritemaps.grid import cell, channel_at, grid_side
from spritemaps.job import Job, JobSpec
from spritemaps.library import find, packaged_store, user_store
from spritemaps.manifest import ChannelRecord, Manifest, ManifestError
from spritemaps.outpost import Outpost
from spritemaps.remote import is_remote
from spritemaps.store import Store

__all__ = [
    "ChannelRecord",
    "Job",
    "JobSpec",
    "Manifest",
    "ManifestError",
    "Outpost",
    "Spritemap",
    "Store",
    "StoreError",
    "cell",
    "channel_at",
    "find",
    "grid_side",
    "is_remote",
    "packaged_store",
    "user_store",
]
