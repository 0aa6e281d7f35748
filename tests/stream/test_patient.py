"""A store that is waited for, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stream.faults import StoreAwayError, StoreTrouble
from stream.fetch import Held, Want
from stream.patient import GaveUpError, PatientStore

AWAY = StoreAwayError("/full", "no file can land there", StoreTrouble.FULL)


class Store:
    """A store that can be asked again after a pause, and gives nothing while it is away."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.away = True

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give bytes, or nothing."""
        if self.away:
            raise AWAY
        yield [b"" for _ in wants]

    async def available(self, error: StoreAwayError) -> None:
        """Wait."""
        assert error is AWAY
        await asyncio.sleep(self.pause_s)


async def asked(store: PatientStore) -> int:
    """Ask until files are given, and return how often that took."""
    tries = 0
    while True:
        tries += 1
        try:
            async with store.hold(Want("/w")):
                return tries
        except StoreAwayError as error:
            away = error
        await store.available(away)


@pytest.mark.parametrize("pause_s", [0.001, 60.0])
async def test_a_store_that_stays_away_is_given_up(pause_s: float) -> None:
    """However seldom it may be asked; the error says which it was, and why."""
    with pytest.raises(GaveUpError, match=r"/full: no file can land there; given up after"):
        await asked(PatientStore(Store(pause_s), 0.05))


async def test_each_file_gives_new_patience() -> None:
    """What comes slowly comes."""
    store = Store(0.03)
    patient = PatientStore(store, 0.05)
    for _ in range(4):
        store.away = True
        asyncio.get_running_loop().call_later(0.02, setattr, store, "away", False)
        assert await asked(patient) == 2
