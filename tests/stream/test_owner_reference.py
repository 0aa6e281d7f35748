"""The published reference stays, and each way in which it changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

import core
import schemas
from stream import jobs
from tests.stream.chaos import StubPool
from tests.stream.night import FAST
from tests.stream.ownerbench import GROUP, KEY, Bench, arrived

SHARP = replace(FAST, reference_margin=0.1)
"""A margin that the names of warps can pass: their variances differ by a factor of two at most."""


@dataclass
class LosingPool(StubPool):
    """A pool whose warps may be lost: of what is lost nothing can be matched with any more."""

    lost: set[str] = field(default_factory=set)

    async def run(self, function: Any, /, *args: Any) -> Any:
        """Answer, unless a warp is lost."""
        gone = [a for a in args if isinstance(a, jobs.WarpInput) and a.checksum in self.lost]
        if gone:
            return jobs.JobFault(gone[0].visit, "missing", "it is gone by now")
        return await super().run(function, *args)


async def published(margin: float = SHARP.reference_margin, best: str = "80") -> Bench:
    """Publish a group of three, of which visit 3 with a variance by its name is the reference."""
    pool = LosingPool(Random(1))  # noqa: S311 - chance that can be had again
    policy = replace(SHARP, reference_margin=margin)
    bench = Bench(core.VerdictProfile.NONE, policy, pool)
    await bench.owner.take_over()
    names = {3: best, 4: "c0", 5: "c0"}
    await bench.live(*[arrived(v, name=name, expected=3) for v, name in names.items()])
    assert bench.summaries[-1].reference == 3
    bench.jobs()
    return bench


def changes(bench: Bench) -> dict[str, float]:
    """Return what was counted, by cause."""
    lines = bench.telemetry.exposition().decode().splitlines()
    counted = [one for one in lines if one.startswith("evensky_reference_changes_total{")]
    found = {one.partition('"')[2].partition('"')[0]: float(one.split()[-1]) for one in counted}
    return {cause: count for cause, count in found.items() if count}


def hold_changed(bench: Bench, reference: int | None, cause: str) -> None:
    """Hold that the newest revision has another reference, says so, and sends all models."""
    newest = bench.summaries[-1]
    assert (newest.reference, newest.reference_changed) == (reference, True)
    sent = [one.visit for one in bench.models if one.revision == newest.revision]
    assert sent == [one.visit for one in newest.members]
    assert changes(bench) == {cause: 1.0}


def withdrawn(visit: int, version: int = 0) -> schemas.WarpWithdrawn:
    """Return the withdrawal of a visit."""
    return schemas.WarpWithdrawn(**GROUP, visit=visit, version=version, reason="clouds")


async def test_it_stays_where_nothing_speaks_against_it() -> None:
    """A better visit within the margin does not move the zero point, nor does one that is lost."""
    bench = await published()
    await bench.update(arrived(6, name="60"), withdrawn(5))
    newest = bench.summaries[-1]
    costs = {one.visit: one.cost or math.nan for one in newest.members}
    assert costs[6] < costs[3]
    assert (newest.reference, newest.reference_changed, changes(bench)) == (3, False, {})


async def test_it_is_withdrawn() -> None:
    """Without its reference a revision chooses the best of those that are left."""
    bench = await published()
    await bench.update(withdrawn(3))
    hold_changed(bench, 4, "withdrawn")


async def test_a_manifest_leaves_it_out() -> None:
    """A reference that is not in the set is no member any more."""
    bench = await published()
    await bench.update(schemas.GroupManifest(**GROUP, visits=(4, 5)))
    hold_changed(bench, 4, "withdrawn")


async def test_it_is_replaced() -> None:
    """Another warp of its visit is a candidate like any other."""
    bench = await published()
    await bench.update(arrived(3, name="ff", version=1))
    hold_changed(bench, 4, "replaced")


async def test_it_is_replaced_and_chosen_again() -> None:
    """The same visit with another warp moves the zero point too: all models are sent."""
    bench = await published()
    await bench.update(arrived(3, name="40", version=1))
    newest = bench.summaries[-1]
    assert (newest.reference, newest.reference_changed) == (3, False)
    assert [one.visit for one in bench.models if one.revision == 2] == [3, 4, 5]
    assert changes(bench) == {"replaced": 1.0}


async def test_its_pixels_cannot_be_read_any_more() -> None:
    """When the only match that is to be made fails for the reference, another is chosen."""
    bench = await published()
    assert isinstance(bench.pool, LosingPool)
    bench.pool.lost = {arrived(3, name="80").checksum}
    await bench.update(arrived(6, name="f0"))
    hold_changed(bench, 4, "unreadable")
    assert bench.summaries[-1].members[0].status == "failed"


async def test_a_reference_whose_pixels_are_gone_stays_while_nobody_asks() -> None:
    """A revision in which nothing is to be matched does not look at the reference's pixels."""
    bench = await published()
    assert isinstance(bench.pool, LosingPool)
    bench.pool.lost = {arrived(3, name="80").checksum}
    await bench.update(withdrawn(5))
    assert (bench.summaries[-1].reference, changes(bench)) == (3, {})


async def test_a_manifest_names_another() -> None:
    """What a manifest names goes before what is pinned."""
    bench = await published()
    await bench.update(schemas.GroupManifest(**GROUP, visits=(3, 4, 5), reference=5))
    hold_changed(bench, 5, "manifest")


async def test_its_cost_is_beaten_by_the_margin() -> None:
    """A visit that is better by more than the margin takes its place."""
    bench = await published()
    await bench.update(arrived(6, name="00"))
    hold_changed(bench, 6, "cost")


@pytest.mark.parametrize(("margin", "reference"), [(math.inf, 3), (0.5, 3), (0.0, 6)])
async def test_the_margin_decides(margin: float, reference: int) -> None:
    """An infinite margin never gives way to a cost; none at all chooses anew each time."""
    bench = await published(margin)
    await bench.update(arrived(6, name="60" if margin == 0 else "00"))
    assert bench.summaries[-1].reference == reference
    assert changes(bench) == ({} if reference == 3 else {"cost": 1.0})


async def test_after_a_retraction_one_is_chosen_anew() -> None:
    """A revision without members has no reference, and the next one is free to choose."""
    bench = await published()
    await bench.update(*map(withdrawn, (3, 4, 5)))
    hold_changed(bench, None, "withdrawn")
    await bench.update(*[arrived(v, name="f0", version=1) for v in (4, 5)])
    lone, pair = bench.summaries[2:]
    assert (lone.status, lone.reference, lone.reference_changed) == ("incomplete", 4, True)
    assert (pair.reference, pair.reference_changed) == (4, False)
    assert changes(bench) == {"withdrawn": 1.0, "none_before": 1.0}


async def test_the_next_owner_keeps_it() -> None:
    """The pinned reference is read back from the state: a restart moves no zero point."""
    bench = await published()
    await bench.anew().take_over()
    header = bench.owner.state.groups[KEY].header
    digest = schemas.input_digest(arrived(3, name="80").checksum, 1.0, None, "unknown")
    assert (header.reference, header.reference_digest) == (3, digest)
    await bench.update(arrived(6, name="60"))
    assert (bench.summaries[-1].reference, changes(bench)) == (3, {})


async def test_the_log_tells_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a published group names the cause of a change, and none where there is none."""
    bench = await published()
    assert "reference_change=None" in capsys.readouterr().out
    await bench.update(withdrawn(3))
    assert "reference_change=withdrawn" in capsys.readouterr().out
