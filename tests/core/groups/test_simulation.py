"""A seeded simulation: a long log, an owner that crashes, and what must hold after each step."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field

import pytest

from core.groups import Event, Frozen, Policy, Transition
from tests.core.groups.drive import (
    Changelog,
    Record,
    Run,
    arrived,
    closed,
    counters,
    eligible,
    manifest,
    published,
    standing,
    withdrawn,
)

_POLICY = Policy(quorum=3, quiet_ms=300, deadline_ms=2000, update_quiet_ms=100, update_max_ms=400)
_KEYS = tuple(f"live/sky/1/{patch}/r" for patch in range(12))


def _event(chance: random.Random) -> Event | None:
    """Draw an event: mostly arrivals, some twice, some late, some withdrawn."""
    visit, version = chance.randrange(12), chance.choice((0, 0, 0, 1, 2))
    kind = chance.random()
    if kind < 0.70:
        return arrived(visit, version, time=chance.randrange(3))
    if kind < 0.82:
        return withdrawn(visit, version)
    if kind < 0.90:
        visits = chance.sample(range(12), chance.randrange(1, 9))
        return manifest(*visits, version=chance.randrange(9), deadline=chance.choice((None, 900)))
    return closed(chance.randrange(4)) if kind < 0.93 else None


def _log(chance: random.Random, length: int) -> list[Record]:
    now, log = 0, list[Record]()
    for _ in range(length):
        now += chance.choice((0, 1, 3, 10, 40)) if chance.random() < 0.98 else 3000
        log.append((now, chance.choice(_KEYS), _event(chance)))
        if log and chance.random() < 0.1:
            _, key, again = chance.choice(log)
            log.append((now, key, again))
    return [*log, (now + 10_000, _KEYS[0], None)]


@dataclass
class _Owner:
    """An owner that commits now and then, publishes when it likes and loses its memory."""

    log: list[Record]
    chance: random.Random
    live: Run = field(default_factory=lambda: Run(_POLICY))
    place: int = 0
    committed: tuple[int, Changelog] = field(default_factory=lambda: (0, Changelog()))
    frozen: dict[tuple[str, int], Frozen] = field(default_factory=dict)
    crashes: int = 0

    def run(self) -> None:
        """Read the log to its end, through all crashes, then publish what is left."""
        while self.place < len(self.log):
            self.act()
            self.check()
        for key in _KEYS:
            while self.publish(key):
                self.check()

    def act(self) -> None:
        """Read a record, publish, commit or crash."""
        kind = self.chance.random()
        if kind < 0.90:
            self.live.read([self.log[self.place]])
            self.place += 1
        elif kind < 0.95:
            self.publish(self.chance.choice(_KEYS))
        elif kind < 0.99:
            self.commit()
        else:
            self.crash()

    def commit(self) -> None:
        """Make all that was put durable, with the place in the log."""
        self.committed = (self.place, deepcopy(self.live.changelog))

    def publish(self, key: str) -> bool:
        """Publish the next revision of a group, with all that was put before it."""
        group = self.live.partition.groups.get(key)
        if group is None or not group.frozen:
            return False
        self.live.at(self.live.partition.clock, published(min(group.frozen)), key=key)
        self.commit()
        return True

    def crash(self) -> None:
        """Go on from what was committed."""
        self.place, changelog = self.committed
        self.live.changelog = deepcopy(changelog)
        self.live.crash()
        self.crashes += 1

    def check(self) -> None:
        """Hold the invariants to what the last step said."""
        for key, put in self.live.said:
            self.check_frozen(key, put)
        self.live.said.clear()
        key = self.log[min(self.place, len(self.log)) - 1][1]
        if key in self.live.partition.groups:
            self.check_group(key)

    def check_frozen(self, key: str, put: Transition) -> None:
        """Hold what is frozen again after a crash to what was frozen before."""
        for one in put.frozen:
            assert self.frozen.setdefault((key, one.revision), one) == one

    def check_group(self, key: str) -> None:
        """Counters, marks, line and timers are what counting plainly gives."""
        group = self.live.partition.groups[key]
        header = group.header
        plain = counters(group)
        assert {name: getattr(header, name) for name in plain} == plain
        assert set(group.frozen) == set(range(header.published + 1, header.frozen + 1))
        newest = self.frozen.get((key, header.frozen))
        held = {v: m.frozen for v, m in group.members.items() if m.frozen is not None}
        assert held == standing(newest)
        due = self.live.partition.timers().get(key)
        assert due is None or due > self.live.partition.clock
        waits = header.changed > 0 or header.opened_at is not None
        assert due is not None or not waits


@pytest.mark.parametrize("seed", range(5))
def test_owner_that_crashes_tells_the_history_of_one_that_does_not(seed: int) -> None:
    """Through crashes, repeats and publishing at odd times each revision is the same."""
    chance = random.Random(seed)  # noqa: S311 - a seeded simulation, no secret
    log = _log(chance, 600)
    calm = Run(_POLICY).read(log)
    owner = _Owner(log, chance)
    owner.run()
    assert owner.crashes > 2
    told = {(key, one.revision): one for key in _KEYS for one in calm.history(key)}
    assert owner.frozen == told
    assert len(told) > len(_KEYS)
    for key, group in owner.live.partition.groups.items():
        assert group.header.published == group.header.frozen
        newest = owner.frozen.get((key, group.header.frozen))
        assert standing(newest) == eligible(group)
