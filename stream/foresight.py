"""Matches that were found ahead, by group, until a revision takes them or they are of no use.

They are kept under their jobs' names as well, as all results are (`stream/results`); here they are
at hand at once. Bounded in bytes: the group that was touched longest ago gives way first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Final

import numpy as np

from core import groups
from stream import jobs
from stream.workshop import Made, Tried

__all__ = ["AheadLimits", "Foresight", "Pair"]

_MIB: Final = 2**20
_REMEMBERED: Final = 64  # times as many as are worked on
_BESIDE: Final = 2048  # names, figures and the values' own weight


@dataclass(frozen=True, slots=True)
class AheadLimits:
    """Bounds of what is computed before it is due.

    Attributes
    ----------
    groups : int
        Groups of one partition that are worked on ahead at the same time; 0 computes nothing ahead.
    jobs : int
        Jobs of one group that are asked for at the same time.
    max_bytes : int
        Matches in the memory of the service, bytes.
    """

    groups: int = 16
    jobs: int = 64
    max_bytes: int = 64 * _MIB

    @property
    def remembered(self) -> int:
        """Groups of one partition of which it is remembered what was tried ahead."""
        return _REMEMBERED * self.groups


@dataclass(frozen=True, slots=True)
class Pair:
    """What was matched: a warp, and the reference, each with the digest of its input.

    Attributes
    ----------
    visit, reference : int
    digest, reference_digest : str
    """

    visit: int
    digest: str
    reference: int
    reference_digest: str

    def holds(self, digests: Mapping[int, str]) -> bool:
        """Tell whether both are still what they were."""
        ours = digests.get(self.visit) == self.digest
        return ours and digests.get(self.reference) == self.reference_digest


@dataclass(frozen=True, slots=True)
class _Held:
    pair: Pair
    tried: Tried
    size: int


class Foresight:
    """What one service has found ahead.

    Parameters
    ----------
    limits : AheadLimits
    on_settled : callable
        Told how many matches were ``used``, or thrown away as ``discarded``.

    Attributes
    ----------
    limits : AheadLimits
    """

    def __init__(
        self,
        limits: AheadLimits | None = None,
        on_settled: Callable[[str, int], None] = lambda _outcome, _count: None,
    ) -> None:
        self.limits = limits or AheadLimits()
        self._on_settled = on_settled
        self._held: OrderedDict[str, dict[int, _Held]] = OrderedDict()
        self._bytes = 0

    def put(self, key: str, pair: Pair, result: jobs.Matched, made: Made | None = None) -> None:
        """Hold a match; of each warp one is held, that against the newest reference.

        Parameters
        ----------
        key : str
            Of the group.
        pair : Pair
            What was matched.
        result : Matched
        made : Made, optional
            Its message.
        """
        held = self._held.setdefault(key, {})
        self._held.move_to_end(key)
        before = held.pop(pair.visit, None)
        if before is not None:
            self._bytes -= before.size
            self._on_settled("discarded", int(before.pair != pair))
        result = replace(result, absent=_one(result.absent))
        size = _BESIDE + _bytes_of(result) + (0 if made is None else _bytes_of_made(made))
        held[pair.visit] = _Held(pair, Tried(pair.reference, result, made), size)
        self._bytes += size
        while self._bytes > self.limits.max_bytes:
            self._evict()

    def discard(self) -> None:
        """Count a match that another reference made useless before it ended."""
        self._on_settled("discarded", 1)

    def pairs(self, key: str) -> Iterator[Pair]:
        """Yield what is held of a group."""
        yield from [one.pair for one in self._held.get(key, {}).values()]

    def find(
        self, key: str, frozen: groups.Frozen, known: Collection[int] = ()
    ) -> Mapping[int, Tried]:
        """Return the matches between warps as a revision holds them, by visit.

        Parameters
        ----------
        key : str
            Of the group.
        frozen : Frozen
        known : collection of int
            Visits whose matches are not asked for.
        """
        held = self._held.get(key, {})
        fresh = {visit: one for visit, one in held.items() if visit not in known}
        if not fresh:
            return {}
        digests = {member.visit: member.digest for member in frozen.members}
        return {visit: one.tried for visit, one in fresh.items() if one.pair.holds(digests)}

    def settle(self, key: str, reference: int | None) -> None:
        """Let go of a group whose revision is published with a reference."""
        held = self._held.pop(key, {})
        self._bytes -= sum(one.size for one in held.values())
        used = sum(one.pair.reference == reference for one in held.values())
        self._on_settled("used", used)
        self._on_settled("discarded", len(held) - used)

    def _evict(self) -> None:
        key, held = next(iter(self._held.items()))
        visit = next(iter(held))
        self._bytes -= held.pop(visit).size
        if not held:
            del self._held[key]


@lru_cache(maxsize=256)
def _one(absent: tuple[str, ...]) -> tuple[str, ...]:
    """Return one for all that are equal: each job's answer brings its own."""
    return absent


def _bytes_of_made(made: Made) -> int:
    """Return what messages take: the model's twice, which stands there as bytes and as arrays."""
    return 2 * len(made.value) + sum(map(len, made.measure.pieces))


def _bytes_of(result: jobs.Matched) -> int:
    """Return what the arrays of a match take, bytes."""
    background = result.background
    if background is None:
        return 0
    values = (getattr(background, one.name) for one in fields(background))
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))
