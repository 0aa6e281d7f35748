"""Each warp is decoded once while its planes are in the spool, and answers are what they were."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import core
import schemas
from stream import jobs, warpjobs
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.fetch import Held, Want
from stream.jobs import JobFault, Measured, WarpInput
from stream.planes import Errand, Planes
from stream.spool import Cause, PlaneFiles, Spool, key_of
from stream.spool.place import laid_bytes
from tests.schemas import examples
from tests.stream.warps import checksum, warp

T = TypeVar("T")

CONFIG = core.MatchConfig(bin_size=8)
SHAPE = (24, 16)
ROOM = laid_bytes(SHAPE)
VISITS = (1, 2, 3, 4)


def sky(visit: int) -> core.MaskedImage:
    """Return noise on a level of the visit's own."""
    random = np.random.default_rng(visit)
    image = (10.0 * visit + random.normal(0.0, 1.0, SHAPE)).astype(np.float32)
    return core.MaskedImage(
        image, np.zeros(SHAPE, np.int32), np.ones(SHAPE, np.float32), {}, (0, 0)
    )


FILES = {visit: warp(sky(visit), visit).data for visit in VISITS}


def arrival(visit: int, scale: float = 1.0) -> schemas.WarpArrived:
    """Return the announcement of a visit's warp."""
    data = FILES[visit]
    assert isinstance(data, bytes)
    return msgspec.structs.replace(
        examples.arrived(),
        visit=visit,
        uri=f"/{visit}",
        checksum=checksum(data),
        size=len(data),
        scale=scale,
    )


@dataclass
class Bench:
    """A store and a pool in one, which note what they are asked for, and a spool between them."""

    spool: Spool | None
    causes: list[Cause] = field(default_factory=list)
    fetched: Counter[str] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    lost: frozenset[str] = frozenset()
    before: Callable[[Sequence[WarpInput]], None] = lambda _: None

    def __post_init__(self) -> None:
        self.planes = Planes(self, self.spool, self.causes.append)

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give bytes, but of files that are lost."""
        await asyncio.sleep(0)
        self.fetched.update(want.uri for want in wants)
        gone = WarpError(WarpFault.MISSING, "it is gone")
        files: Any = [gone if want.uri in self.lost else FILES[int(want.uri[1:])] for want in wants]
        yield files

    async def available(self, error: object) -> None:
        """Wait for nothing: nobody is ever away."""

    async def do(
        self,
        job: Callable[..., T],
        _arrivals: Sequence[schemas.WarpArrived],
        warps: Sequence[WarpInput],
    ) -> T | JobFault:
        """Do a job here and now."""
        self.before(warps)
        await asyncio.sleep(0)
        self.done.append(f"{job.__name__} {' '.join(str(one.visit) for one in warps)}")
        return job(*warps, CONFIG, DecodeLimits())

    async def measure(self, visit: int, scale: float = 1.0) -> Measured | JobFault:
        """Have a warp measured."""
        return await self.planes.run(Errand.of(self.do, jobs.measure, [arrival(visit, scale)]))

    async def match(self, reference: int, visit: int) -> Any:
        """Have a warp matched."""
        arrivals = [arrival(reference), arrival(visit)]
        return await self.planes.run(Errand.of(self.do, jobs.match, arrivals))


def answer(result: Any) -> dict[str, Any]:
    """Return what a job found, but for the time that it took."""
    return {name: value for name, value in asdict(result).items() if name != "timings"}


def spool_of(folder: Path, warps: int) -> Spool:
    """Return a spool that has room for so many warps."""
    made = Spool(PlaneFiles(folder / "planes"), warps * ROOM, ROOM)
    made.learn(SHAPE)
    return made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench with room for all, and hold that the spool leaves nothing behind."""
    spool = spool_of(tmp_path, len(VISITS))
    yield Bench(spool)
    asyncio.run(spool.close())
    assert list((tmp_path / "planes").glob("*")) == []


def key(visit: int) -> str:
    """Return the key of a visit's planes."""
    return key_of(arrival(visit).checksum, 1.0)


def test_each_warp_is_decoded_once(bench: Bench) -> None:
    """A group within the spool is fetched and decoded once, however it is matched."""

    async def play() -> None:
        await asyncio.gather(*map(bench.measure, VISITS))
        await asyncio.gather(*(bench.match(2, visit) for visit in (1, 3, 4)))
        await asyncio.gather(*(bench.match(3, visit) for visit in (1, 2, 4)))

    asyncio.run(play())
    assert bench.causes == [Cause.FIRST] * 4
    assert bench.fetched == {f"/{visit}": 1 for visit in VISITS}
    assert not any(one.startswith("load") for one in bench.done)


def test_many_who_want_a_reference_that_left_decode_it_once(bench: Bench) -> None:
    """One loads it, the others wait; a late visit costs itself and the reference."""

    async def play() -> None:
        await asyncio.gather(*map(bench.measure, VISITS))
        assert bench.spool is not None
        with bench.spool.pinned(key(2)) as path:
            assert path is not None
            bench.spool.drop(key(2), path)
        bench.causes.clear()
        await asyncio.gather(*(bench.match(2, visit) for visit in (1, 3, 4)))

    asyncio.run(play())
    assert bench.causes == [Cause.DAMAGED]
    assert bench.done.count("load 2") == 1


def test_a_load_that_is_called_off_is_done_by_one_who_waits(bench: Bench) -> None:
    """A partition that is lost takes its own job along, and nobody else's."""
    begun = asyncio.Event()

    def tell(warps: Sequence[WarpInput]) -> None:
        if [one.visit for one in warps] == [2]:
            begun.set()

    async def play() -> list[Any]:
        await asyncio.gather(*map(bench.measure, (1, 3, 4)))
        bench.before = tell
        tasks = [asyncio.create_task(bench.match(2, visit)) for visit in (1, 3, 4)]
        await begun.wait()
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    lost, *found = asyncio.run(play())
    assert isinstance(lost, asyncio.CancelledError)
    assert [one.status for one in found] == ["matched"] * 2
    assert bench.causes[3:] == [Cause.RESTART, Cause.RETRY]
    assert bench.done.count("load 2") == 1


def test_many_who_find_one_damage_decode_it_once(bench: Bench) -> None:
    """All who map a damaged reference at the same time wait for one decode."""

    async def play() -> None:
        await asyncio.gather(*map(bench.measure, VISITS))
        assert bench.spool is not None
        with bench.spool.pinned(key(2)) as path:
            assert path is not None
            damage(path, "flip")
        matched = await asyncio.gather(*(bench.match(2, visit) for visit in (1, 3, 4)))
        assert [one.status for one in matched] == ["matched"] * 3

    asyncio.run(play())
    assert bench.causes[4:] == [Cause.DAMAGED]


def test_a_late_visit_costs_two_decodes_after_a_restart(tmp_path: Path) -> None:
    """The spool of a process that is no more is gone, and that is the cause."""
    bench = Bench(spool_of(tmp_path, 4))

    async def play() -> None:
        await bench.measure(1)
        await bench.match(2, 1)

    asyncio.run(play())
    assert bench.causes == [Cause.FIRST, Cause.RESTART]


def test_a_scale_makes_another_warp(bench: Bench) -> None:
    """What is laid is scaled."""

    async def play() -> list[Any]:
        return [await bench.measure(1, scale) for scale in (1.0, 2.0, 1.0, 2.0)]

    one, two, *again = asyncio.run(play())
    assert two.mean == 2 * one.mean
    assert again == [one, two]
    assert bench.causes == [Cause.FIRST] * 2


def test_what_is_in_the_spool_needs_no_storage(bench: Bench) -> None:
    """A file that was lost after it was decoded is not missed."""

    async def play() -> Any:
        await asyncio.gather(*map(bench.measure, VISITS))
        bench.lost = frozenset(f"/{visit}" for visit in VISITS)
        return await bench.match(1, 2)

    assert asyncio.run(play()).status == "matched"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_fault_names_the_warp_that_has_it(bench: Bench, lost: int) -> None:
    """Whether it is the reference or the warp that cannot be had."""

    async def play() -> Any:
        bench.lost = frozenset({f"/{lost}"})
        return await bench.match(1, 2)

    fault = asyncio.run(play())
    assert (fault.visit, fault.reason) == (lost, "missing")


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_what_is_damaged_is_decoded_again(bench: Bench, harm: str) -> None:
    """A file that is not as it was laid is found out, and the answer is what it would have been."""

    async def play() -> Any:
        plain = await Bench(None).match(1, 2)
        await asyncio.gather(bench.measure(1), bench.measure(2))
        assert bench.spool is not None
        with bench.spool.pinned(key(2)) as path:
            assert path is not None
            damage(path, harm)
        np.testing.assert_equal(answer(await bench.match(1, 2)), answer(plain))

    asyncio.run(play())
    assert bench.causes == [Cause.FIRST, Cause.FIRST, Cause.DAMAGED]


def damage(name: str, harm: str) -> None:
    """Harm a file."""
    path = Path(name)
    content = bytearray(path.read_bytes())
    path.unlink()
    if harm == "cut":
        path.write_bytes(content[: -ROOM // 2])
    elif harm == "flip":
        content[-4096] ^= 1
        path.write_bytes(content)


def test_what_is_damaged_each_time_is_done_without_the_spool(bench: Bench) -> None:
    """A disk that cannot be trusted ends no job."""

    def harm(warps: Sequence[WarpInput]) -> None:
        for one in warps:
            if one.planes is not None:
                damage(one.planes, "cut")

    async def play() -> Any:
        bench.before = harm
        return await bench.match(1, 2)

    assert asyncio.run(play()).status == "matched"
    assert bench.causes[-2:] == [Cause.DAMAGED] * 2


def test_a_full_disk_costs_a_match_one_decode_a_warp(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk did not take once is not decoded again for each match only to be laid."""

    async def play() -> list[Any]:
        monkeypatch.setattr(warpjobs, "lay", lambda _place, _exposure: False)
        full = [await bench.match(1, visit) for visit in (2, 3)]
        monkeypatch.undo()
        return [*full, await bench.measure(4), await bench.match(4, 1)]

    first, second, _, third = asyncio.run(play())
    assert {first.status, second.status, third.status} == {"matched"}
    assert bench.done == ["load 1", "match 1 2", "match 1 3", "measure 4", "load 1", "match 4 1"]
    assert len(bench.causes) == 1 + 2 + 2 + 1 + 1


def test_without_room_both_are_decoded_for_the_match(tmp_path: Path) -> None:
    """A spool that is full of what is in use decides what a job costs, not what it says."""
    bench = Bench(spool_of(tmp_path, 1))

    async def play() -> None:
        await bench.measure(3)
        assert bench.spool is not None
        with bench.spool.pinned(key(3)):
            assert (await bench.match(1, 2)).status == "matched"
            assert (await bench.match(1, 2)).status == "matched"

    asyncio.run(play())
    assert bench.causes == [Cause.FIRST, *[Cause.RESTART] * 2, *[Cause.NO_ROOM] * 2]


JOBS = st.lists(
    st.one_of(
        st.sampled_from(VISITS).map(lambda visit: (visit,)),
        st.permutations(VISITS).map(lambda visits: tuple(visits[:2])),
    ),
    min_size=1,
    max_size=12,
)


@given(JOBS, st.integers(0, 5), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_no_answer_hangs_on_the_spool(
    tmp_path_factory: pytest.TempPathFactory,
    tasks: list[tuple[int, ...]],
    warps: int,
    at_once: int,
) -> None:
    """On, off, too small for one or for a match, alone or beside others: the same answers.

    And each decode beyond a warp's first has a cause.
    """
    folder = tmp_path_factory.mktemp("spool")

    async def play(bench: Bench) -> list[Any]:
        turns = asyncio.Semaphore(at_once)

        async def one(visits: tuple[int, ...]) -> Any:
            async with turns:
                return await (bench.measure(*visits) if len(visits) == 1 else bench.match(*visits))

        return await asyncio.gather(*map(one, tasks))

    plain = asyncio.run(play(Bench(None)))
    bench = Bench(spool_of(folder, warps))
    found = asyncio.run(play(bench))
    np.testing.assert_equal([*map(answer, found)], [*map(answer, plain)])
    firsts = [one for one in bench.causes if one in (Cause.FIRST, Cause.RESTART)]
    assert len(firsts) == len({visit for visits in tasks for visit in visits})
    if warps >= len(VISITS):
        assert len(bench.causes) == len(firsts)


def test_planted_skies_come_out_of_the_spool(bench: Bench) -> None:
    """A difference of levels is found from planes that were mapped."""

    async def play() -> Any:
        await asyncio.gather(*map(bench.measure, VISITS))
        return await bench.match(4, 1)

    found = asyncio.run(play())
    assert np.nanmedian(found.background.image()) == pytest.approx(30.0, abs=0.5)
