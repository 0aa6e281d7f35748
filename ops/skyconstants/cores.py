"""Simulations on all cores: what they find does not depend on how many there are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

__all__ = ["on_all_cores"]

G = TypeVar("G")
F = TypeVar("F")


def on_all_cores(work: Callable[[G], F], given: Iterable[G]) -> Iterator[F]:
    """Yield what comes of each of the given, in their order.

    Parameters
    ----------
    work : callable
        Of a module, so that processes can be told of it.
    given : iterable
        One argument a piece of work.

    Yields
    ------
    found : object
        What it returns.
    """
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as cores:
        yield from cores.map(work, given)
