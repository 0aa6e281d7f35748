"""Machine code of kernels: numba's, kept between processes, and got over where it is spoilt.

numba keeps the machine code of a kernel in files beside its source (``__pycache__``), else in the
user's cache folder, or in that of NUMBA_CACHE_DIR, under the hash of the source and the name and
features of the processor. Processes may compile into one folder at the same time: a file is
written aside and moved into place. Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache

__all__ = ["compiled"]


class _Cache(FunctionCache):
    """Files of machine code that may be cut short, mixed up or not writable: then we compile."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for these types of arguments, or None."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - a file cut short by a crash can raise anything
            return self._emptied()
        # Two processes that add to one index at once may give two signatures the same file.
        if found is not None and tuple(found.signature.args) != tuple(sig):
            return self._emptied()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code, if there is room."""
        with suppress(OSError):
            super().save_overload(sig, data)

    def _emptied(self) -> None:
        with suppress(OSError):
            self.flush()


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function as numba compiles it, at the first call with each type of arguments.

    Where no folder for the machine code can be written, every process compiles for itself.

    Parameters
    ----------
    function : callable
        A kernel as it is written.

    Returns
    -------
    dispatcher : callable
        numba's dispatcher; the function itself where NUMBA_DISABLE_JIT says so.
    """
    dispatcher: Any = numba.njit(
        function, fastmath=False, error_model="numpy", nogil=True, boundscheck=False
    )
    with suppress(RuntimeError):  # numba's "no locator available"
        dispatcher._cache = _Cache(function)  # noqa: SLF001 - as its enable_caching() does
    return dispatcher
