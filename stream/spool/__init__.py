"""The spool: planes of warps, decoded once and kept raw on a local disk, for all workers.

A warp's planes lie in one file, named by what they are: the checksum of the warp's file and its
scale. Workers write such files and map them (`files`), the service's parent decides which are kept
(`index`, `place`). It is a cache and nothing else: what is not there, is damaged or has no room is
decoded again, and counted with the cause.
"""

from __future__ import annotations

from stream.spool.index import Cause, Spool, Worth, key_of
from stream.spool.place import Place, PlaneFiles

__all__ = ["Cause", "Place", "PlaneFiles", "Spool", "Worth", "key_of"]
