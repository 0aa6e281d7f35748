"""What upstream says can be had again, and is what is wanted at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

import schemas
from ops.proof.hooks import Hooks, Trap
from ops.proof.load import Load, Wanted, Warp, make_warps, records, wanted
from ops.proof.service import Pace
from stream import fits
from stream.decodelimits import DecodeLimits
from stream.log.seam import Poll, Record
from stream.log.topics import Topics

WARPS = [Warp(Path(f"w{n}.fits"), f"{n:064x}", 1) for n in range(3)]


def load(seed: int = 1) -> Load:
    """Return a small load."""
    return Load(WARPS, 5, 4, seed)


def _wanted(loaded: Load, kind: str) -> Wanted:
    return wanted((one.message, one.time_us) for one in getattr(loaded, kind)())


@pytest.mark.parametrize("kind", ["plain", "troubled", "mixed"])
def test_a_seed_says_the_same_again(kind: str) -> None:
    """The same seed gives the same records, byte for byte, and another seed others."""
    made = [records(getattr(load(seed), kind)(), Topics(), 4) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_order_and_copies_do_not_change_what_is_wanted() -> None:
    """Shuffled and multiplied events ask for the same members."""
    one = load()
    said = one.troubled()
    mixed = one.shuffled(said)
    assert len(mixed) > len(said)
    assert wanted((m.message, m.time_us) for m in mixed) == wanted(
        (m.message, m.time_us) for m in said
    )


def test_what_is_withdrawn_or_outside_the_set_is_not_wanted() -> None:
    """A withdrawal takes a visit away, a set those that it does not name, a version replaces."""
    one = load()
    said = [one.manifest(0, (1, 2)), *(one.arrival(0, visit) for visit in (1, 2, 3))]
    said += [one.withdrawal(0, 1), one.arrival(0, 2, version=1)]
    found = wanted((m.message, m.time_us) for m in said)
    (members,) = found.values()
    assert set(members) == {2}
    last = said[-1].message
    assert isinstance(last, schemas.WarpArrived)
    assert members[2] == schemas.input_digest(last.checksum, last.scale, last.unit, last.sky)


def test_mixed_groups_want_all_their_members() -> None:
    """Groups of every way to be complete have each of their visits at the end."""
    assert {len(members) for members in _wanted(load(), "mixed").values()} == {4}


def test_warps_are_true_and_differ(tmp_path: Path) -> None:
    """Each file can be decoded, has its checksum, and is another one."""
    warps = make_warps(tmp_path, 3)
    assert len({one.checksum for one in warps}) == 3
    for one in warps:
        assert fits.decode(one.path.read_bytes(), DecodeLimits()).shape == (32, 32)


def test_hooks_go_through_a_command_line() -> None:
    """What is told to a process is what it reads."""
    hooks = Hooks((Trap("restore", "stop", 2, 1.5),), 2.0, (7,), {3: "loop"}, 1.0, naive=True)
    assert Hooks.parse(hooks.text()) == hooks


def test_a_point_that_is_none_is_refused() -> None:
    """A trap at a place that nobody passes would never spring."""
    with pytest.raises(ValueError, match="no point"):
        Trap("publish.somewhere")


def test_records_are_held_back_by_their_stamps() -> None:
    """At a slow pace the first record comes at once and a later one not yet; none is lost."""
    found = [Record("warps", 0, n, 1000 + 3_600_000 * n, b"", b"") for n in range(2)]
    slow, fast = Pace(1.0), Pace(1e12)
    assert slow.held_back(Poll(records={0: found})).records == {0: found[:1]}
    assert slow.held_back(Poll()).records == {}
    assert slow.held_back(Poll(revoked=frozenset({0}), records={0: found[1:]})).records == {}
    delivered = [fast.held_back(Poll(records={0: found})).records, fast.held_back(Poll()).records]
    assert [one for batch in delivered for one in batch.get(0, ())] == found
