"""When an owner that lost a partition asks the group for a rebalance."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from stream.log.holdings import Status
from stream.log.kafka import KafkaOwner, KafkaSettings
from stream.log.topics import Topics


@dataclasses.dataclass
class _Member:
    """A member that has nothing, and counts how often it was made to join."""

    joins: int = 0
    ousted: bool = False

    def join(self) -> None:
        self.joins += 1

    async def fetch(self, *_: object) -> dict[int, Any]:
        return {}


@pytest.mark.parametrize(("rebalanced", "joins"), [(False, 1), (True, 0)])
async def test_a_loss_asks_for_no_rebalance_that_comes_anyhow(rebalanced: bool, joins: int) -> None:
    """What was lost just before a rebalance comes with it; else the owner joins anew, once."""
    settings = KafkaSettings("broker:9092", app="night", rejoin_first_s=1e-9, rejoin_most_s=1e-9)
    owner, member = KafkaOwner(settings, Topics()), _Member()
    owner._member = member  # type: ignore[assignment]  # noqa: SLF001 - the seam to the client
    owner._assigned([0])  # noqa: SLF001 - what the client calls
    owner._lost(owner._holdings.get(0, Status.FENCING), TimeoutError())  # noqa: SLF001 - as a commit that failed
    if rebalanced:
        owner._revoked()  # noqa: SLF001 - what the client calls
    for _ in range(3):
        await owner.poll(10, 0.0)
    assert member.joins == joins
