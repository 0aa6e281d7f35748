"""Input that is gone before it was read: refused, and passed over where an operator accepts it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import structlog

import schemas
from stream.log.seam import LogRefusedError
from stream.owner import Status
from tests.stream.ownerbench import Bench, arrived, whole


async def _torn() -> Bench:
    """Publish a group and half of another, then lose two events that nobody has read."""
    bench = Bench()
    await bench.owner.take_over()
    await bench.live(*whole(0), arrived(1, 1, expected=2))
    bench.owner.lose("a test")
    bench.say(arrived(2, 1, expected=2), *whole(2), arrived(2, 1, expected=2, version=1))
    bench.log.begins[0] = 5
    return bench


def _again(bench: Bench, accepted: Mapping[int, int]) -> None:
    bench.shared = bench.shared_with(accepted_losses=accepted)
    bench.anew()


def _positions(bench: Bench) -> list[int]:
    """Return where each position that was written goes on."""
    written = [one for one in bench.log.kept[bench.log.topics.state, 0] if one.value is not None]
    values = [one.value for one in written if one.key == schemas.POSITION_KEY]
    return [schemas.unpack_position(value).next_offset for value in values if value is not None]


@pytest.mark.parametrize("accepted", [{}, {0: 4}, {1: 5}])
async def test_a_loss_is_refused(accepted: Mapping[int, int]) -> None:
    """Nothing accepted, or less, or for another partition: nothing is written."""
    bench = await _torn()
    written = len(bench.log.order)
    _again(bench, accepted)
    with pytest.raises(LogRefusedError, match=r"deleted 2 records .* --accept-loss 0:5"):
        await bench.owner.take_over()
    assert len(bench.log.order) == written


async def test_what_is_left_is_worked_on() -> None:
    """The groups that were open take what comes, and the loss is told once, with its size."""
    bench = await _torn()
    _again(bench, {0: 5})
    with structlog.testing.capture_logs() as told:
        await bench.owner.take_over()
    (warning,) = [one for one in told if one["log_level"] == "warning"]
    assert (warning["event"], warning["records"], warning["next_offset"]) == ("input is lost", 2, 5)
    await bench.hear()
    await bench.done()
    assert bench.revisions() == [(0, 1), (1, 1)]
    assert bench.owner.position.next_offset == 7


async def test_an_accepted_loss_is_durable() -> None:
    """The next start goes on behind it, without being told of it again, and writes nothing."""
    bench = await _torn()
    _again(bench, {0: 5})
    await bench.owner.take_over()
    assert _positions(bench)[-1] == 5
    bench.owner.lose("a test")
    written = len(bench.log.order)
    _again(bench, {})
    await bench.owner.take_over()
    assert bench.owner.status is Status.ACTIVE
    assert len(bench.log.order) == written
    await bench.hear()
    await bench.done()
    assert bench.revisions() == [(0, 1), (1, 1)]


async def test_a_first_start_may_come_late() -> None:
    """Where upstream published before there was a service, the beginning may be lost."""
    bench = Bench(accepted_losses={0: 2})
    bench.say(*whole(0), *whole(1))
    bench.log.begins[0] = 2
    await bench.owner.take_over()
    await bench.hear()
    await bench.done()
    assert bench.revisions() == [(1, 1)]
