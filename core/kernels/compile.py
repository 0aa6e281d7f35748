"""How kernels are compiled: to the same bits on every processor, once a machine, when first called.

numba itself is imported by the first call of a kernel. What reads and writes messages, gathers
groups or prints help imports `core` too, and should not wait for a compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any, TypeVar, cast

__all__ = ["Kernel", "kernel"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Kernel:
    """A function that is compiled when it is first called.

    Parameters
    ----------
    function : callable
        The function as it is written.

    Attributes
    ----------
    py_func : callable
        The same.
    """

    __name__: str

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.py_func = function

    def __call__(self, *args: Any) -> Any:
        """Run the machine code; what it takes and returns is the function's."""
        return self.compiled(*args)

    @cached_property
    def compiled(self) -> Any:
        """The dispatcher that numba makes of the function."""
        from core.kernels.machine import compiled  # noqa: PLC0415 - it imports numba

        return compiled(self.py_func)

    @property
    def _numba_type_(self) -> Any:
        """What numba asks an object for, to call it from another kernel."""
        return self.compiled._numba_type_


def kernel(function: _Function) -> _Function:
    """Make a function a kernel: machine code from its first call on, or from the cache.

    No fastmath: sums keep their order, and a product and a sum are not contracted, so that the
    bits are those of IEEE arithmetic as it is written, on any processor. The interpreter's lock is
    let go of. `core.kernels.machine` says where the machine code is kept.

    Parameters
    ----------
    function : callable
        Of numpy arrays and numbers, in the part of Python that numba knows; called by position.

    Returns
    -------
    kernel : callable
        The same, a `Kernel`.
    """
    return cast("_Function", Kernel(function))
