"""A store whose failures are counted on their way through."""

from __future__ import annotations

from typing import Final

from stream.faults import WarpError, WarpFault
from stream.telemetry import Telemetry
from stream.workshop import Store

__all__ = ["CountedStore"]

_KINDS: Final = {
    WarpFault.MISSING: "missing",
    WarpFault.UNREADABLE: "refused",
    WarpFault.TOO_LARGE: "refused",
    WarpFault.TIMEOUT: "timeout",
    WarpFault.TRUNCATED: "truncated",
    WarpFault.CHECKSUM: "checksum",
}


class CountedStore:
    """Passes each call on, and counts what goes wrong.

    Parameters
    ----------
    store : Store
        Where bytes come from.
    telemetry : Telemetry
    """

    def __init__(self, store: Store, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry

    async def fetch(self, uri: str, checksum: str, size: int | None) -> bytes:
        """Return the verified bytes of a warp, or raise `WarpError`."""
        try:
            return await self._store.fetch(uri, checksum, size)
        except WarpError as error:
            if error.reason is WarpFault.FORBIDDEN:
                self._telemetry.uri_rejected("outside")
            else:
                self._telemetry.storage_error("read", _KINDS.get(error.reason, "other"))
            raise
