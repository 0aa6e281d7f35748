"""Row 5: brokers are killed while transactions are open, one of three, or all."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from dataclasses import dataclass
from random import Random
from typing import Final

from ops.broker.broker import Cluster
from ops.proof.ledger import Clerk, Ledger, ledger_settings, working
from ops.proof.row import Context, Row, RowResult, Terms
from stream.log.topics import Topics

__all__ = ["ROW", "Outage", "play"]

_NODES: Final = 3
_PARTITIONS: Final = 6
_NUMBERS: Final = 600
_CLERKS: Final = 2
_DOWN_S: Final = 60.0
_AGAIN_S: Final = 60.0
_LOOK_S: Final = 0.5
_ROUNDS: Final = 30


@dataclass
class Outage:
    """What was seen.

    Attributes
    ----------
    kills : int
    numbers : int
        How many were written, and must be there once.
    longest_s : float
        Longest time from a kill, or from the return of all brokers, to the end of all work.
    lost : int
        Partitions that clerks lost.
    violations : list of str
    """

    kills: int
    numbers: int
    longest_s: float
    lost: int
    violations: list[str]


async def play(cluster: Cluster, rounds: int, down_s: float, seed: int) -> Outage:
    """Kill one broker a round while clerks copy numbers, and all of them at the end.

    Parameters
    ----------
    cluster : Cluster
        Of three nodes.
    rounds : int
    down_s : float
        How long all are down at the end, seconds.
    seed : int
    """
    name = f"row05-{uuid.uuid4().hex[:8]}"
    settings = dataclasses.replace(ledger_settings(cluster.bootstrap), app=name)
    ledger = Ledger(settings, Topics(name), _PARTITIONS)
    await ledger.open()
    clerks = [Clerk(settings, ledger.topics) for _ in range(_CLERKS)]
    random = Random(seed)  # noqa: S311 - chance that can be had again
    longest = 0.0
    async with working(*clerks):
        for number in range(rounds + 1):
            await _write_until_busy(ledger, clerks)
            nodes = range(_NODES) if number == rounds else [random.randrange(_NODES)]
            await asyncio.to_thread(_kill, cluster, nodes)
            if number == rounds:
                await asyncio.sleep(down_s)
                await asyncio.to_thread(_launch, cluster, nodes)
            longest = max(longest, await _until_done(ledger))
            if number < rounds:
                await asyncio.to_thread(_launch, cluster, nodes)
    lost = sum(len(clerk.lost) for clerk in clerks)
    numbers = ledger.written * _PARTITIONS
    return Outage(rounds + 1, numbers, longest, lost, await ledger.violations())


async def _write_until_busy(ledger: Ledger, clerks: list[Clerk]) -> None:
    """Write numbers, and wait until somebody copies them: transactions are open then."""
    for clerk in clerks:
        clerk.copied.clear()
    await ledger.write(_NUMBERS)
    waiting = [asyncio.ensure_future(clerk.copied.wait()) for clerk in clerks]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


def _kill(cluster: Cluster, nodes: range | list[int]) -> None:
    for node in nodes:
        cluster.kill(node)


def _launch(cluster: Cluster, nodes: range | list[int]) -> None:
    for node in nodes:
        cluster.launch(node)
    cluster.wait_ready()


async def _until_done(ledger: Ledger) -> float:
    began = time.monotonic()
    while not await ledger.done():  # noqa: ASYNC110 - a broker tells nobody
        await asyncio.sleep(_LOOK_S)
    return time.monotonic() - began


def run(terms: Terms, context: Context) -> RowResult:
    """Play on a cluster of its own."""
    down_s = _DOWN_S if terms.rounds >= _ROUNDS else terms.rounds
    with context.cluster(_NODES) as cluster:
        found = asyncio.run(play(cluster, terms.rounds, down_s, terms.seed))
    violations = found.violations
    if terms.rounds >= _ROUNDS and found.longest_s > _AGAIN_S:
        violations.append(f"working again only after {found.longest_s:.0f} s")
    figures = {
        "kills": found.kills,
        "all down, s": down_s,
        "numbers": found.numbers,
        "partitions lost": found.lost,
        "longest until all was done, s": found.longest_s,
    }
    return RowResult(figures, tuple(violations))


ROW: Final = Row(
    number=5,
    title="brokers killed in open transactions",
    hold="one of three brokers killed while transactions are open, and in the end all for 60 s: "
    "nothing torn, lost or doubled, and all done 60 s after the brokers are back",
    rounds=_ROUNDS,
    counted="brokers killed",
    run=run,
)
