"""Machine code of kernels: numba's, kept between processes, and got over where it is spoilt.

numba keeps the machine code of a kernel in files, under the hash of its source and the name and
features of the processor: in the folder that NUMBA_CACHE_DIR names, which may be for reading only;
else beside the source (``__pycache__``); else in the user's cache folder. Processes may compile
into one folder at the same time: a file is written aside and moved into place. Importing this
module imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core import caching

__all__ = ["compiled", "is_kept"]


class _NamedFolder(caching.UserProvidedCacheLocator):
    """The folder that NUMBA_CACHE_DIR names, and no other: an image's may be for reading only."""

    def ensure_cache_path(self) -> None:
        """Make the folder, if that is possible."""
        with suppress(OSError):
            super().ensure_cache_path()


class _Files(caching.CompileResultCacheImpl):
    """Where the machine code of one kernel lies."""

    _locator_classes = [  # noqa: RUF012 - as numba has it
        _NamedFolder,
        caching.InTreeCacheLocator,
        caching.UserWideCacheLocator,
    ]


class _Cache(caching.FunctionCache):
    """Files of machine code that may be cut short, mixed up or not writable: then we compile."""

    _impl_class = _Files
    kept = True

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
        try:
            super().save_overload(sig, data)
        except OSError:
            self.kept = False

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


def is_kept(dispatcher: Any) -> bool:
    """Tell whether what a kernel's dispatcher has compiled is there for other processes.

    Parameters
    ----------
    dispatcher : callable
        As `compiled` returns it.
    """
    return bool(getattr(dispatcher._cache, "kept", False))  # noqa: SLF001 - it is ours
