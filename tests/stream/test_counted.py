"""What the store's failures tell the operators."""

from __future__ import annotations

import pytest

from stream.counted import CountedStore
from stream.faults import WarpError, WarpFault
from stream.telemetry import Telemetry


class Failing:
    """A store that answers with a fault, or with bytes."""

    def __init__(self, fault: WarpFault | None) -> None:
        self.fault = fault

    async def fetch(self, uri: str, checksum: str, size: int | None) -> bytes:
        """Answer."""
        if self.fault is not None:
            raise WarpError(self.fault, "as planned")
        return f"{uri} {checksum} {size}".encode()


async def test_bytes_pass() -> None:
    """What is asked and answered is not touched, and nothing is counted."""
    telemetry = Telemetry()
    before = telemetry.exposition()
    store = CountedStore(Failing(None), telemetry)
    assert await store.fetch("file:///a", "c", 3) == b"file:///a c 3"
    assert telemetry.exposition() == before


@pytest.mark.parametrize(
    ("fault", "series"),
    [
        (WarpFault.FORBIDDEN, 'evensky_uri_rejected_total{reason="outside"}'),
        (WarpFault.MISSING, 'evensky_storage_errors_total{kind="missing",op="read"}'),
        (WarpFault.TIMEOUT, 'evensky_storage_errors_total{kind="timeout",op="read"}'),
        (WarpFault.CHECKSUM, 'evensky_storage_errors_total{kind="checksum",op="read"}'),
        (WarpFault.UNREADABLE, 'evensky_storage_errors_total{kind="refused",op="read"}'),
        (WarpFault.INTERNAL, 'evensky_storage_errors_total{kind="other",op="read"}'),
    ],
)
async def test_each_fault_is_counted_once(fault: WarpFault, series: str) -> None:
    """A fault is counted under its name and raised as it came."""
    telemetry = Telemetry()
    store = CountedStore(Failing(fault), telemetry)
    with pytest.raises(WarpError) as raised:
        await store.fetch("file:///a", "c", None)
    assert raised.value.reason is fault
    assert f"{series} 1.0" in telemetry.exposition().decode()
