"""How kernels are compiled: to the same bits on every processor, once a machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel"]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


def kernel(function: _Kernel) -> _Kernel:
    """Compile a function at its first call, or take it from the cache.

    No fastmath: sums keep their order, and a product and a sum are not contracted, so that the
    bits are those of IEEE arithmetic as it is written, on any processor. The interpreter's lock is
    let go of. Where no folder for the cache can be written, every process compiles for itself.

    Parameters
    ----------
    function : callable
        Of numpy arrays and numbers, in the part of Python that numba knows.

    Returns
    -------
    compiled : callable
        The same, compiled.
    """
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # numba's "no locator available": nowhere to keep the machine code
        return _compiled(function, cache=False)


def _compiled(function: _Kernel, *, cache: bool) -> _Kernel:
    decorate = numba.njit(
        cache=cache, fastmath=False, error_model="numpy", nogil=True, boundscheck=False
    )
    return cast("_Kernel", decorate(function))
