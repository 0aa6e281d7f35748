"""Row 6: answers to commits come late or not at all, through a proxy before the broker."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from ops.broker.broker import Cluster
from ops.broker.proxy import Kind, Trouble, proxied
from ops.proof.ledger import Clerk, Ledger, ledger_settings, working
from ops.proof.row import Context, Row, RowResult, Terms
from stream.log.kafka import KafkaSettings
from stream.log.topics import Topics

__all__ = ["ROW", "Outcomes", "Troubles", "play"]

_PARTITIONS: Final = 6
_NUMBERS: Final = 100
_CLERKS: Final = 2
_COMMIT_S: Final = 2.0
_LATE_S: Final = (5.0, 60.0)
_CUT: Final = Trouble(cut=True)
_DROP: Final = Trouble(drop=True)
_LATE: Final = None
_OTHERS: Final = ((_CUT, 0.02), (_DROP, 0.01))
_CHANCES: Final[Mapping[int, tuple[tuple[Trouble | None, float], ...]]] = {
    Kind.END_TXN: ((_LATE, 0.1), (_CUT, 0.15), (_DROP, 0.05)),
    Kind.ADD_PARTITIONS_TO_TXN: _OTHERS,
    Kind.PRODUCE: _OTHERS,
    Kind.TXN_OFFSET_COMMIT: _OTHERS,
}
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
        self.over = False
        """Set once there was enough."""

    def __call__(self, kind: int) -> Trouble | None:
        """Draw for one request."""
        if self.over:
            return None
        draw = self._random.random()
        for trouble, chance in _CHANCES.get(kind, ()):
            draw -= chance
            if draw < 0:
                return trouble or Trouble(delay_s=self._random.uniform(*_LATE_S))
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
        async with working(*clerks), asyncio.timeout(_PATIENCE_S):
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


def run(terms: Terms, context: Context) -> RowResult:
    """Play until so many outcomes were unknown."""
    with context.one_broker() as broker:
        settings = ledger_settings(broker.bootstrap)
        found = asyncio.run(play(broker, settings, terms.rounds, terms.seed))
    figures = {
        "unknown outcomes": found.unknown,
        "partitions lost": found.lost,
        "numbers": found.numbers,
        **{f"troubled {name}": count for name, count in sorted(found.troubles.items())},
    }
    return RowResult(figures, tuple(found.violations))


ROW: Final = Row(
    number=6,
    title="commit answers dropped or late",
    hold="answers 5 to 60 s late, connections cut before the request and after it: after each "
    "unknown outcome the changelog decides, and nothing is torn, lost or doubled",
    rounds=100,
    counted="unknown outcomes",
    run=run,
)
