"""How long a file is asked for that its storage does not give."""

from __future__ import annotations

from typing import Final

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch.limits import FetchLimits

__all__ = ["Patience"]

_OF_A_FILE: Final = (StoreTrouble.FAILED, StoreTrouble.TIMEOUT, StoreTrouble.TRUNCATED)
"""What a storage may do with one file alone."""

_ALONE: Final = 5
"""So often a file must have failed while others were given, however seldom it is asked for."""


class Patience:
    """What one wanted file has been through.

    Parameters
    ----------
    limits : FetchLimits
    """

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._pause_s = limits.pause_s
        self._missing_since: float | None = None
        self._failing_since: float | None = None
        self._served = 0
        self._alone = 0

    def fault(self, error: StoreAwayError, now: float, served: int | None) -> WarpError | None:
        """Find that the file is at fault; else say in the error how long not to ask again.

        Parameters
        ----------
        error : StoreAwayError
            A storage that it needs, its own or where it lands, did not do its part.
        now : float
            A time that never jumps, seconds.
        served : int or None
            How often that storage has given something so far, to whomever; None if it is not the
            file's.
        """
        pause_s, self._pause_s = self._pause_s, 2 * self._pause_s
        error.pause_s = min(pause_s, self._limits.longest_pause_s)
        self._pause_s = min(self._pause_s, self._limits.longest_pause_s)
        if isinstance(error, NotThereError):
            return self._missing(error, now)
        if served is None or error.trouble not in _OF_A_FILE:
            return None
        return self._failing(error, now, served)

    def _missing(self, error: StoreAwayError, now: float) -> WarpError | None:
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since < self._limits.missing_grace_s:
            return None
        return WarpError(WarpFault.MISSING, error.message)

    def _failing(self, error: StoreAwayError, now: float, served: int) -> WarpError | None:
        if self._failing_since is None:
            self._failing_since, self._served = now, served
        alone, self._served = served > self._served, served
        self._alone += alone
        long = now - self._failing_since >= self._limits.failing_grace_s
        if not (alone and long and self._alone >= _ALONE):
            return None
        message = f"its storage gives others, but not this one: {error.message}"
        return WarpError(WarpFault.UNREADABLE, message)
