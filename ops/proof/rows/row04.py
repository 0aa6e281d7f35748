"""Row 4: a second member joins while the first is between its records and its commit."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.proof.ledger import Clerk, Ledger, ledger_settings
from ops.proof.row import Context, Row, RowResult, Terms
from stream.log.kafka import KafkaSettings
from stream.log.topics import Topics

__all__ = ["ROW", "Round", "play"]

_NAIVE_ROUNDS: Final = 5
_PARTITIONS: Final = 2  # with two members, one of them goes to the second and one comes back
_NUMBERS: Final = 20
_PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.1


class _Worker(Protocol):
    """Whoever copies the input into the output."""

    copied: asyncio.Event

    async def run(self) -> None: ...


@dataclass
class _Gate:
    """Where a worker waits with its records sent and its commit not yet asked for."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    refused: int = 0
    committed: int = 0


_gate: ContextVar[_Gate | None] = ContextVar("gate", default=None)


@contextmanager
def _gates() -> Iterator[None]:
    """Have each commit wait at the gate of the task that asks for it, if it has one."""
    commit = AIOKafkaProducer.commit_transaction

    async def commit_transaction(self: AIOKafkaProducer) -> None:
        gate = _gate.get()
        if gate is None or gate.opened.is_set():
            await commit(self)
            return
        gate.reached.set()
        await gate.opened.wait()
        gate.refused += 1
        await commit(self)
        gate.refused -= 1
        gate.committed += 1

    AIOKafkaProducer.commit_transaction = commit_transaction
    try:
        yield
    finally:
        AIOKafkaProducer.commit_transaction = commit


@dataclass
class _Naive:
    """As aiokafka documents it: one producer a process, the offsets in its transactions."""

    settings: KafkaSettings
    topics: Topics
    copied: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Work until it is cancelled."""
        where: dict[str, Any] = {"bootstrap_servers": self.settings.bootstrap_servers}
        consumer = AIOKafkaConsumer(
            self.topics.warps,
            group_id=self.settings.app,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **where,
        )
        producer = AIOKafkaProducer(transactional_id=f"naive-{uuid.uuid4().hex}", **where)
        try:
            await consumer.start()
            await producer.start()
            while True:
                await self._copy(producer, await consumer.getmany(timeout_ms=100))
        finally:
            await producer.stop()
            await consumer.stop()

    async def _copy(self, producer: AIOKafkaProducer, found: dict[Any, list[Any]]) -> None:
        if not found:
            return
        async with producer.transaction():
            for place, records in found.items():
                for one in records:
                    for topic in (self.topics.models, self.topics.groups):
                        await producer.send(topic, one.value, one.value, place.partition)
            offsets = {place: records[-1].offset + 1 for place, records in found.items()}
            await producer.send_offsets_to_transaction(offsets, self.settings.app)
        self.copied.set()


@dataclass
class Round:
    """What became of one round.

    Attributes
    ----------
    committed : int
        Held commits that succeeded although somebody else had the partition by then, or might.
    refused : int
        Held commits that were refused.
    violations : list of str
    """

    committed: int
    refused: int
    violations: list[str]


async def play(settings: KafkaSettings, *, naive: bool = False) -> Round:
    """Have a second member join between the records and the commit of the first.

    Parameters
    ----------
    settings : KafkaSettings
        Topics and names are made from a name of the round's own.
    naive : bool
        By the recipe of aiokafka's documentation instead of our log.
    """
    name = f"row04-{uuid.uuid4().hex[:8]}"
    settings = dataclasses.replace(settings, app=name)
    topics = Topics(name)
    ledger = Ledger(settings, topics, _PARTITIONS)
    await ledger.open()
    await ledger.write(_NUMBERS)
    make: Callable[[KafkaSettings, Topics], _Worker] = _Naive if naive else Clerk
    first, second, gate = make(settings, topics), make(settings, topics), _Gate()
    with _gates():
        async with _working(first, gate), asyncio.timeout(_PATIENCE_S):
            await gate.reached.wait()
            async with _working(second, None):
                await second.copied.wait()
                gate.opened.set()
                while not await ledger.done():  # noqa: ASYNC110 - a broker tells nobody
                    await asyncio.sleep(_LOOK_S)
    return Round(gate.committed, gate.refused, await ledger.violations())


@asynccontextmanager
async def _working(worker: _Worker, gate: _Gate | None) -> AsyncIterator[None]:
    """Let a worker work for the time of a block, behind a gate or freely."""

    async def work() -> None:
        _gate.set(gate)
        await worker.run()

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def run(terms: Terms, context: Context) -> RowResult:
    """Play rounds on our log, and some by the naive recipe, which must fail."""
    with context.one_broker() as broker:
        settings = ledger_settings(broker.bootstrap)
        ours = [asyncio.run(play(settings)) for _ in range(terms.rounds)]
        number = min(_NAIVE_ROUNDS, terms.rounds)
        naive = [asyncio.run(play(settings, naive=True)) for _ in range(number)]
    doubling = sum(any("doubled" in told for told in one.violations) for one in naive)
    violations = [told for one in ours for told in one.violations]
    if not doubling:
        violations.append(f"the naive recipe doubled nothing in {number} rounds: no test")
    unrefused = sum(not one.refused for one in ours)
    if unrefused:
        violations.append(f"in {unrefused} rounds no commit of an earlier owner was refused")
    figures = {
        "commits refused": sum(one.refused for one in ours),
        "naive rounds": number,
        "naive rounds that doubled": doubling,
    }
    return RowResult(figures, tuple(violations))


ROW: Final = Row(
    number=4,
    title="a member joins between send and commit",
    hold="the commit that a rebalance has overtaken is refused, nothing is doubled; the recipe of "
    "the client's documentation (one producer a process) doubles in the same run",
    rounds=50,
    counted="rounds",
    run=run,
)
