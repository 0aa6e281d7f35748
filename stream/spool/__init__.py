"""The spool: planes of warps, decoded once and kept raw on a local disk, for all workers.

A warp's planes lie in one file, named by what they are: the checksum of the warp's file and its
scale. Workers write such files and map them (`files`), the service's parent decides which are kept
(`index`). It is a cache and nothing else: what is not there, is damaged or has no room is decoded
again, and counted with the cause.
"""

from __future__ import annotations

from stream.spool.files import DamagedError, Place, laid_bytes, lay, mapped
from stream.spool.folder import SpoolFolder, spool_folder
from stream.spool.index import Cause, Files, Spool, Worth, key_of

__all__ = [
    "Cause",
    "DamagedError",
    "Files",
    "Place",
    "Spool",
    "SpoolFolder",
    "Worth",
    "key_of",
    "laid_bytes",
    "lay",
    "mapped",
    "spool_folder",
]
