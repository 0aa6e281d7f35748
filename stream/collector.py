"""Python's collector of cycles, kept away from the state: it has none, and millions of objects.

The values of a group are unknown to the collector (`core.groups`); what holds them is not, until it
has been looked at, and so is what reading a partition back makes beside them. Left alone, the
collector would look at that again and again meanwhile, and now and then later on.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]

_YOUNG = 1


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not look for cycles for a while, and never among what was made meanwhile.

    What is dropped later is freed as ever, by its count of references.
    """
    enabled = gc.isenabled()
    gc.collect(_YOUNG)
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
