"""Finished results, kept by the name of their job: found again after a crash, or by another copy.

A cache and nothing else: whatever becomes of it changes when a model appears, never what it says.
"""

from stream.results.keep import Keeper, Results, Shelf
from stream.results.local import LocalKeeper
from stream.results.memory import MemoryKeeper
from stream.results.record import DamagedError, Result
from stream.results.shared import SharedKeeper, shared_place

__all__ = [
    "DamagedError",
    "Keeper",
    "LocalKeeper",
    "MemoryKeeper",
    "Result",
    "Results",
    "SharedKeeper",
    "Shelf",
    "shared_place",
]
