"""The workshop: what it asks for, in what order, and what it makes of faults."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

import core
import schemas
from core import groups
from core.groups.changed import replace as changed
from stream import fits, jobs
from stream.assemble import Assembler
from stream.batch import group_files
from stream.describe import Described
from stream.faults import StoreAwayError
from stream.fetch import Held, Want
from stream.fits import DecodeLimits, WarpError, WarpFault
from stream.results import LocalKeeper, Results
from stream.results import Shelf as Kept
from stream.revision import case_of
from stream.runner import Runner
from stream.suspects import Watch
from stream.workshop import Due, Fulfilled, Tried, Workshop
from tests.stream.night import CONFIG, FAST, arrival, write_larger_warp, write_warp

T = TypeVar("T")

GROUP = schemas.GroupId("live", "rings", 7, 3, "r")


class Shelf:
    """A store of files, which notes what is asked of it and may lose some."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lost: dict[str, int] = {}
        self.held = self.most = 0

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give the bytes, or what a file that is lost gives from the n-th time on."""
        self.held += len(wants)
        self.most = max(self.most, self.held)
        await asyncio.sleep(0)
        try:
            yield [await self._take(want) for want in wants]
        finally:
            self.held -= len(wants)

    async def available(self, error: StoreAwayError) -> None:
        """Be available at once."""

    async def _take(self, want: Want) -> Held:
        name = want.uri.rsplit("/", 1)[1]
        self.asked.append(name)
        if name in self.lost and self.asked.count(name) > self.lost[name]:
            return WarpError(WarpFault.MISSING, f"{name} is gone")
        path = Path(want.uri.removeprefix("file://"))
        data = await asyncio.to_thread(path.read_bytes)
        assert len(data) == want.size
        assert want.checksum
        return data


class Bench:
    """A pool that runs jobs at once, and notes them."""

    def __init__(self) -> None:
        self.done: list[tuple[str, tuple[int, ...]]] = []

    async def run(self, function: Callable[..., T], /, *args: Any) -> T:
        """Run a job here and now."""
        warps = [arg.visit for arg in args if isinstance(arg, jobs.WarpInput)]
        self.done.append((getattr(function, "__name__", "job"), tuple(warps)))
        return function(*args)


class Notes:
    """What the workshop told of measurements."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, measured: Sequence[jobs.Measured]) -> None:
        """Note one batch."""
        self.batches.append([one.visit for one in measured])


def frozen_of(paths: Sequence[Path], reference: int | None = None) -> groups.Frozen:
    """Return the revision of some files."""
    (batch,) = group_files(Described(path, arrival(path)) for path in paths)
    return batch.frozen(reference)


def work(
    frozen: groups.Frozen,
    shelf: Shelf,
    known: dict[int, groups.Measurement] | None = None,
    slots: int = 3,
) -> tuple[Fulfilled, Bench, Notes]:
    """Work a revision through."""
    bench, notes = Bench(), Notes()

    async def run() -> Fulfilled:
        workshop = Workshop(Runner(shelf, bench, CONFIG, DecodeLimits(), slots))
        return await workshop.fulfil(Due(GROUP, frozen), known or {}, notes)

    return asyncio.run(run()), bench, notes


def result_of(done: Fulfilled, visit: int) -> jobs.Matched | jobs.JobFault:
    """Return what became of a match that was made."""
    tried = done.matched[visit]
    assert isinstance(tried, Tried)
    return tried.result


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Return four warps."""
    return [write_warp(tmp_path, visit) for visit in (1, 2, 3, 4)]


def test_each_is_measured_once_and_matched_once(paths: list[Path]) -> None:
    """Every member is measured, then every one but the reference is matched to it."""
    done, bench, notes = work(frozen_of(paths), Shelf())
    assert done.reference in (1, 2, 3, 4)
    measured = [visits for name, visits in bench.done if name == "measure"]
    matched = [visits for name, visits in bench.done if name == "match"]
    others = {1, 2, 3, 4} - {done.reference}
    assert sorted(measured) == [(1,), (2,), (3,), (4,)]
    assert sorted(matched) == sorted((done.reference, visit) for visit in others)
    assert notes.batches == [[1, 2, 3, 4]]


def test_the_choice_is_cores(paths: list[Path]) -> None:
    """Reference and costs are what the core chooses for the same exposures."""
    done, _, _ = work(frozen_of(paths), Shelf())
    choice = core.select_reference([fits.decode(p.read_bytes()) for p in paths], CONFIG)
    assert done.reference == choice.index + 1
    assert tuple(done.costs.values()) == choice.costs


def test_known_measurements_are_used(paths: list[Path]) -> None:
    """What was measured before is not measured again."""
    first, _, _ = work(frozen_of(paths), Shelf())
    known = {v: m for v, m in first.measured.items() if isinstance(m, groups.Measurement) and v < 4}
    again, bench, notes = work(frozen_of(paths), Shelf(), known)
    assert [visits for name, visits in bench.done if name == "measure"] == [(4,)]
    assert notes.batches == [[4]]
    assert again.reference == first.reference
    assert again.costs == first.costs


def test_a_named_reference_is_taken(paths: list[Path]) -> None:
    """A manifest's reference goes before the costs."""
    for visit in (1, 2, 3, 4):
        done, _, _ = work(frozen_of(paths, visit), Shelf())
        assert done.reference == visit


def test_a_lost_warp_fails_alone(paths: list[Path]) -> None:
    """A warp that cannot be had is neither measured nor matched, and the rest is done."""
    shelf = Shelf()
    shelf.lost[paths[1].name] = 0
    done, bench, notes = work(frozen_of(paths), shelf)
    assert isinstance(done.measured[2], groups.Failed)
    assert done.measured[2].reason.startswith("missing")
    assert 2 not in done.matched
    assert all(2 not in visits for _, visits in bench.done)
    assert notes.batches == [[1, 3, 4]]


def test_a_warp_lost_before_its_match_fails_alone(paths: list[Path]) -> None:
    """A warp that is lost between measuring and matching leaves the reference as it is."""
    shelf = Shelf()
    shelf.lost[paths[2].name] = 1
    done, _, _ = work(frozen_of(paths, 1), shelf)
    assert done.reference == 1
    fault = result_of(done, 3)
    assert isinstance(fault, jobs.JobFault)
    assert fault.reason == "missing"
    assert isinstance(result_of(done, 2), jobs.Matched)


def test_a_lost_reference_is_replaced(paths: list[Path]) -> None:
    """When the reference is lost another is chosen, and all are matched to that one."""
    shelf = Shelf()
    shelf.lost[paths[0].name] = 1
    done, _, _ = work(frozen_of(paths, 1), shelf)
    assert done.reference in (2, 3, 4)
    assert isinstance(done.measured[1], groups.Failed)
    assert {tried.reference for tried in done.matched.values()} == {done.reference}
    assert set(done.matched) == {2, 3, 4} - {done.reference}


def test_nothing_readable(paths: list[Path]) -> None:
    """When no warp can be had there is no reference, and that is an answer."""
    shelf = Shelf()
    shelf.lost = {path.name: 0 for path in paths}
    done, bench, notes = work(frozen_of(paths), shelf)
    assert done.reference is None
    assert done.matched == {}
    assert bench.done == []
    assert notes.batches == []


def test_no_more_than_the_slots(tmp_path: Path) -> None:
    """However large the group, only so many warps are held at the same time."""
    many = [write_warp(tmp_path, visit) for visit in range(1, 13)]
    shelf = Shelf()
    work(frozen_of(many), shelf, slots=2)
    assert shelf.most <= 4  # a match holds two


def test_a_group_of_one_needs_no_pixels(paths: list[Path]) -> None:
    """An incomplete revision is published without reading anything."""
    shelf = Shelf()
    done, bench, _ = work(frozen_of(paths[:1]), shelf)
    assert done.reference == 1
    assert shelf.asked == []
    assert bench.done == []


def test_other_units_are_not_compared(tmp_path: Path) -> None:
    """Warps in two units are not subtracted; no pixel of the stranger is read for a match."""
    paths = [write_warp(tmp_path, 1), write_warp(tmp_path, 2, BUNIT="adu")]
    done, bench, _ = work(frozen_of(paths, 1), Shelf())
    fault = result_of(done, 2)
    assert isinstance(fault, jobs.JobFault)
    assert (fault.reason, fault.visit) == ("wrong_unit", 2)
    assert all(name == "measure" for name, _ in bench.done)


def test_another_shape_is_measured_once_and_never_matched(tmp_path: Path) -> None:
    """A warp of another shape fails with both boxes named; known boxes need no pixels for that."""
    paths = [write_larger_warp(tmp_path, 1), *(write_warp(tmp_path, v) for v in (2, 3))]
    done, bench, _ = work(frozen_of(paths), Shelf())
    failed = done.measured[1]
    assert isinstance(failed, groups.Failed)
    assert failed.reason.startswith("wrong_shape: it has 96 x 96 pixels at (")
    assert "its group 64 x 64 pixels at (" in failed.reason
    assert (done.reference, list(done.matched)) in [(2, [3]), (3, [2])]
    assert sorted(visits for name, visits in bench.done if name == "measure") == [(1,), (2,), (3,)]
    assert [1 in visits for name, visits in bench.done if name == "match"] == [False]
    known = {v: groups.Measurement(100.0, 4.0, 1e3, (0, 0, 9 - v // 2, 8)) for v in (1, 2, 3)}
    done, bench, _ = work(frozen_of(paths), Shelf(), known)
    assert isinstance(done.measured[1], groups.Failed)
    assert [name for name, _ in bench.done] == ["match"]


def test_what_jobs_took_is_kept_by_visit(paths: list[Path]) -> None:
    """Each visit has the stages of its measurement and of its match, summed; faults have none."""
    shelf = Shelf()
    shelf.lost[paths[3].name] = 0
    done, _, _ = work(frozen_of(paths), shelf)
    assert set(done.timings) == {1, 2, 3}
    for visit, stages in done.timings.items():
        own = {"measure"} if visit == done.reference else {"measure", "match"}
        assert own <= set(stages) <= {"decode", "scale", *own}
        assert all(seconds >= 0.0 for seconds in stages.values())


def test_stages_add_up() -> None:
    """What a visit cost in several jobs is one sum a stage."""
    done = Fulfilled()
    done.spent(7, {"decode": 0.5, "measure": 0.25})
    done.spent(7, {"decode": 1.0, "match": 0.125})
    assert done.timings == {7: {"decode": 1.5, "measure": 0.25, "match": 0.125}}


@pytest.mark.parametrize(
    ("planes", "warnings"),
    [
        (("CR", "GHOST"), ("GHOST",)),
        (("CR", "SAT"), ()),
        (("GHOST", "WRAITH"), ("GHOST", "WRAITH")),
    ],
)
def test_a_plane_that_no_warp_defines_is_warned_of(
    paths: list[Path], planes: tuple[str, ...], warnings: tuple[str, ...]
) -> None:
    """A name in no file at all is most likely misspelt; in one file it may well be missing."""
    config = dataclasses.replace(CONFIG, bad_mask_planes=planes)

    async def run() -> Fulfilled:
        workshop = Workshop(Runner(Shelf(), Bench(), config, DecodeLimits(), 3))
        return await workshop.fulfil(Due(GROUP, frozen_of(paths)), {}, Notes())

    told = " ".join(asyncio.run(run()).warnings)
    assert [name for name in (*planes, "BAD") if name in told] == list(warnings)
    assert ("no warp" in told) == bool(warnings)


def test_odd_costs_are_warned_of(tmp_path: Path) -> None:
    """What the choice of the reference finds odd is told with the revision."""
    paths = [write_warp(tmp_path, visit, sky=-100.0 - visit) for visit in (1, 2, 3)]
    done, _, _ = work(frozen_of(paths), Shelf())
    assert any("negative" in text for text in done.warnings)


# -- results that are known ------------------------------------------------------------------------


def reworked(
    frozen: groups.Frozen, folder: Path, counts: list[str]
) -> tuple[Fulfilled, Bench, Shelf]:
    """Work a revision through with results kept in a folder; note where they came from."""
    bench, shelf = Bench(), Shelf()

    async def run() -> Fulfilled:
        results = Results([Kept("local", LocalKeeper(folder, 2**26))], counts.append)
        runner = Runner(shelf, bench, CONFIG, DecodeLimits(), 3)
        workshop = Workshop(runner.equip(results, Watch(lambda _: FAST, lambda: 0.0)))
        try:
            return await workshop.fulfil(Due(GROUP, frozen), {}, Notes())
        finally:
            await results.close()

    return asyncio.run(run()), bench, shelf


def messages(done: Fulfilled, frozen: groups.Frozen) -> list[bytes]:
    """Return the bytes of the models that are made of what was found."""
    revision = Assembler(CONFIG, core.VerdictProfile.SURVEY, "test").revision(
        case_of(GROUP, frozen, done), 0.0
    )
    return [schemas.encode_value(model) for model in revision.models]


def test_known_results_are_not_computed_again(paths: list[Path], tmp_path: Path) -> None:
    """What was found once is found again, without reading a file; the models are the same bytes."""
    frozen, counts = frozen_of(paths), list[str]()
    plain, _, _ = work(frozen, Shelf())
    first, bench, _ = reworked(frozen, tmp_path / "kept", counts)
    assert (len(bench.done), counts) == (7, [])
    again, bench, shelf = reworked(frozen, tmp_path / "kept", counts)
    assert (bench.done, shelf.asked, len(counts)) == ([], [], 7)
    assert messages(plain, frozen) == messages(first, frozen) == messages(again, frozen)
    assert again.costs == plain.costs


def test_damaged_results_are_computed_again(paths: list[Path], tmp_path: Path) -> None:
    """Whatever happens to the files, the models are the same bytes."""
    frozen, counts = frozen_of(paths), list[str]()
    first, _, _ = reworked(frozen, tmp_path / "kept", counts)
    files = sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    files[0].write_bytes(b"")
    files[1].write_bytes(files[2].read_bytes())
    files[3].write_bytes(files[3].read_bytes()[:-1])
    again, bench, _ = reworked(frozen, tmp_path / "kept", counts)
    assert (len(bench.done), len(counts)) == (3, 4)
    assert messages(first, frozen) == messages(again, frozen)


def test_faults_are_not_kept(paths: list[Path], tmp_path: Path) -> None:
    """A fault may hang on limits, on the storage or on a visit's name: it is found anew."""
    odd = arrival(paths[1], scale=1e30)  # which float32 cannot hold
    frozen, counts = frozen_of(paths), list[str]()
    member = changed(
        frozen.members[1],
        payload=schemas.pack_payload(odd),
        digest=schemas.arrival_digest(odd),
    )
    frozen = changed(frozen, members=(frozen.members[0], member, *frozen.members[2:]))
    for found_again in (0, 5):
        done, bench, _ = reworked(frozen, tmp_path / "kept", counts)
        assert isinstance(done.measured[2], groups.Failed)
        assert ("measure", (2,)) in bench.done
        assert len(counts) == found_again


class Doubt(Notes):
    """A keeper of measurements that waits, and may fail, or is cancelled."""

    def __init__(self, bench: Bench, error: Exception | None = None) -> None:
        super().__init__()
        self.bench, self.error = bench, error
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, measured: Sequence[jobs.Measured]) -> None:
        """Keep them when told to."""
        await super().__call__(measured)
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        self.seen = [name for name, _ in self.bench.done]
        if self.error is not None:
            raise self.error


async def _doubted(paths: list[Path], error: Exception | None) -> tuple[Doubt, asyncio.Task[Any]]:
    """Work a revision through up to where its measurements are to be kept."""
    bench = Bench()
    doubt = Doubt(bench, error)
    workshop = Workshop(Runner(Shelf(), bench, CONFIG, DecodeLimits(), 3))
    due = Due(GROUP, frozen_of(paths))
    working = asyncio.create_task(workshop.fulfil(due, {}, doubt))
    await doubt.begun.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    return doubt, working


async def test_nothing_is_matched_before_measurements_are_kept(paths: list[Path]) -> None:
    """A plan may be made while they are written, but no job of it is begun."""
    doubt, working = await _doubted(paths, None)
    doubt.go_on.set()
    done = await working
    assert doubt.seen == ["measure"] * 4
    assert len(done.matched) == 3


async def test_measurements_that_cannot_be_kept_end_the_work(paths: list[Path]) -> None:
    """Whatever is wrong with keeping them is raised, and nothing is matched."""
    doubt, working = await _doubted(paths, RuntimeError("no log"))
    doubt.go_on.set()
    with pytest.raises(RuntimeError, match="no log"):
        await working
    assert [name for name, _ in doubt.bench.done] == ["measure"] * 4


async def test_who_is_cancelled_keeps_nothing_more(paths: list[Path]) -> None:
    """The keeping ends with the work that asked for it."""
    doubt, working = await _doubted(paths, None)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await asyncio.sleep(0)
    assert doubt.seen == ["cancelled"]
