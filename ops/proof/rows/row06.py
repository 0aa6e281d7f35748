"""Row 6: answers to commits come late or not at all, through a proxy before the broker."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from ops.broker.broker import Cluster
from ops.broker.proxy import Kind, Trouble, proxied
from ops.proof.ledger import Clerk, Ledger
from stream.log.kafka import KafkaSettings
from stream.log.topics import Topics

__all__ = ["Outcomes", "Troubles", "play"]

_PARTITIONS: Final = 6
_NUMBERS: Final = 100
_CLERKS: Final = 2
_COMMIT_S: Final = 2.0
_LATE_S: Final = (5.0, 60.0)
_LOOK_S: Final = 0.1
_PATIENCE_S: Final = 1200.0


class Troubles:
    """Draws what happens to requests: each answer to a commit may be late or lost.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - chance that can be had again
        self._lock = threading.Lock()
        self.over = False
        """Set once there was enough."""

    def __call__(self, kind: int) -> Trouble | None:
        """Draw for one request."""
        with self._lock:
            draw = 1.0 if self.over else self._random.random()
            late = self._random.uniform(*_LATE_S)
        match kind:
            case Kind.END_TXN if draw < 0.1:
                return Trouble(delay_s=late)
            case Kind.END_TXN if draw < 0.25:
                return Trouble(cut=True)
            case Kind.END_TXN if draw < 0.3:
                return Trouble(drop=True)
            case Kind.PRODUCE | Kind.TXN_OFFSET_COMMIT | Kind.ADD_PARTITIONS_TO_TXN if draw < 0.03:
                return Trouble(cut=draw < 0.02, drop=draw >= 0.02)
            case _:
                return None


@dataclass(frozen=True)
class Outcomes:
    """What became of it.

    Attributes
    ----------
    unknown : int
        Commits whose outcome nobody knew.
    lost : int
        Partitions that were lost for whatever reason.
    numbers : int
        How many numbers were written, and must be there once.
    troubles : mapping of str to int
        Requests that were troubled, by kind.
    violations : list of str
    """

    unknown: int
    lost: int
    numbers: int
    troubles: dict[str, int]
    violations: list[str]


async def play(cluster: Cluster, settings: KafkaSettings, rounds: int, seed: int) -> Outcomes:
    """Have clerks copy numbers until so many outcomes were unknown, then in peace to the end.

    Parameters
    ----------
    cluster : Cluster
    settings : KafkaSettings
        Of the judge; clerks come through the proxy.
    rounds : int
        Unknown outcomes.
    seed : int
    """
    name = f"row06-{uuid.uuid4().hex[:8]}"
    settings = dataclasses.replace(settings, app=name)
    ledger = Ledger(settings, Topics(name), _PARTITIONS)
    await ledger.open()
    troubled = dataclasses.replace(
        settings, bootstrap_servers=cluster.proxied, commit_timeout_s=_COMMIT_S
    )
    clerks = [Clerk(troubled, ledger.topics) for _ in range(_CLERKS)]
    troubles = Troubles(seed)
    with proxied(cluster.routes, troubles) as proxy:
        async with _working(clerks), asyncio.timeout(_PATIENCE_S):
            while _unknown(clerks) < rounds:
                await ledger.write(_NUMBERS)
                await _until_done(ledger, clerks, rounds)
            troubles.over = True
            await _until_done(ledger, clerks, None)
        made = {Kind(kind).name: count for kind, count in Counter(proxy.made).items()}
    lost = sum(len(clerk.lost) for clerk in clerks)
    numbers = ledger.written * _PARTITIONS
    return Outcomes(_unknown(clerks), lost, numbers, made, await ledger.violations())


def _unknown(clerks: list[Clerk]) -> int:
    return sum("Timeout" in error.why for clerk in clerks for error in clerk.lost)


async def _until_done(ledger: Ledger, clerks: list[Clerk], rounds: int | None) -> None:
    while not await ledger.done():
        if rounds is not None and _unknown(clerks) >= rounds:
            return
        await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def _working(clerks: list[Clerk]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(clerk.run()) for clerk in clerks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
