"""Every figure of a revision's messages, from findings that are made by hand."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from random import Random
from typing import Any

import numpy as np
import pytest

import core
import schemas
from core import groups
from stream import fits, jobs
from stream.assemble import Assembler
from stream.basis import Past
from stream.faults import WarpError, WarpFault
from stream.log.topics import Topics
from stream.revision import Revision, case_of
from stream.runner import Runner
from stream.workshop import Due, Fulfilled, Tried, Workshop
from tests.stream.chaos import StubPool, StubStore
from tests.stream.night import CONFIG
from tests.stream.test_workshop import result_of

GROUP = schemas.GroupId("live", "s", 1, 0, "r")
NOW, FROZEN_AT, SINCE = 1000.0, 900.0, 400.0


def _digest(visit: int) -> str:
    return f"{visit:064x}"


def _member(visit: int, **changes: Any) -> groups.FrozenMember:
    place: dict[str, Any] = {**GROUP.fields, "visit": visit, "uri": "file:///x"}
    made = schemas.WarpArrived(**{**place, "checksum": _digest(visit), "unit": "nJy", **changes})
    return groups.FrozenMember(visit, _digest(visit), schemas.pack_payload(made))


def _frozen(*visits: int, **changes: Any) -> groups.Frozen:
    made: dict[str, Any] = {
        "revision": 3,
        "kind": groups.Kind.UPDATE,
        "trigger": groups.Trigger.UPDATE,
        "members": tuple(_member(visit) for visit in visits),
        "withdrawn": (),
        "missing": (),
        "expected": None,
        "completeness": 1.0,
        "reference": None,
        "incomplete": False,
        "at": round(FROZEN_AT * 1000),
        "since": round(SINCE * 1000),
    }
    return groups.Frozen(**{**made, **changes})


def _matched(visit: int, mse: float | None = 4.2, var: float | None = 4.0) -> Tried:
    grid = np.ones((2, 2), np.float32)
    background = core.SplineBackground(
        grid,
        grid,
        np.ones((2, 2), np.int32),
        8,
        6,
        core.InterpStyle.CONSTANT,
        core.UndersampleStyle.REDUCE_INTERP_ORDER,
    )
    matched = jobs.Matched(visit, background, 0.1, mse, var, (5, 7), "matched", None)
    return Tried(1, dataclasses.replace(matched, timings={"decode": 2.0, "match": 0.5}))


def _done(*matched: Tried, **changes: Any) -> Fulfilled:
    measured = {v: groups.Measurement(10.0 + v, 2.0 * v, 100.0 * v) for v in (1, 2, 3, 4)}
    costs = {1: 0.25, 2: math.inf, 3: math.nan, 4: 0.5}
    made = {one.result.visit: one for one in matched}
    return Fulfilled(
        **{"reference": 1, "costs": costs, "measured": measured, "matched": made, **changes}
    )


def _made(frozen: groups.Frozen, done: Fulfilled, previous: int | None = 1) -> Revision:
    assembler = Assembler(CONFIG, core.VerdictProfile.LSST2017, "9.9")
    return assembler.revision(case_of(GROUP, frozen, done, Past(reference=previous)), NOW)


def _no_overlap(visit: int) -> Tried:
    why = "nothing in common"
    apart = jobs.Matched(visit, None, None, None, None, (0, 0), "no_overlap", why)
    return Tried(1, dataclasses.replace(apart, timings={"match": 0.5}))


@pytest.fixture
def mixed() -> Revision:
    """Make a revision with a member of each status, one of them matched badly."""
    frozen = _frozen(1, 2, 3, 4, 5, withdrawn=(0,), missing=(8, 9), completeness=0.75, expected=8)
    done = _done(_matched(2), _matched(4, mse=90.0), _no_overlap(3))
    done.measured[5] = groups.Failed("missing: it is gone")
    return _made(frozen, done)


def test_models_come_in_the_order_of_visits(mixed: Revision) -> None:
    """Withdrawn ones stand in their place among the others, in models, members and metrics."""
    assert [one.visit for one in mixed.models] == [0, 1, 2, 3, 4, 5]
    assert [one.visit for one in mixed.summary.members] == [0, 1, 2, 3, 4, 5]
    assert [one.visit for one in mixed.metrics] == [0, 1, 2, 3, 4, 5, None]
    statuses = ["withdrawn", "reference", "matched", "no_overlap", "matched", "failed"]
    for messages in (mixed.models, mixed.summary.members, mixed.metrics[:-1]):
        assert [one.status for one in messages] == statuses


def test_the_group_metric_counts(mixed: Revision) -> None:
    """Each count of the group's metric is that of its summary; members are those that stand."""
    metric = mixed.metrics[-1]
    counts = (metric.members, metric.matched, metric.no_overlap, metric.failed, metric.withdrawn)
    assert counts == (5, 2, 1, 1, 1)
    assert (metric.missing, metric.completeness) == (2, 0.75)
    judged = [one.verdict for one in mixed.summary.members]
    assert metric.rejected == judged.count("reject") == 3
    assert judged[1:3] == ["accept", "accept"]
    assert (metric.status, metric.reference, metric.trigger) == ("partial", 1, "update")


def test_waits_are_counted_from_their_own_beginnings(mixed: Revision) -> None:
    """One wait is from the first arrival, the other from the freeze; both end at the writing."""
    metric = mixed.metrics[-1]
    assert metric.first_arrival_to_publish_s == NOW - SINCE
    assert metric.complete_to_publish_s == NOW - FROZEN_AT
    assert (mixed.summary.completed_at, mixed.summary.published_at) == (FROZEN_AT, NOW)


def test_a_warps_metric_has_its_measurement(mixed: Revision) -> None:
    """Mean, variance and number are those of the choice of the reference, null if there is none."""
    by_visit = {one.visit: one for one in mixed.metrics}
    found = by_visit[2]
    assert (found.mean, found.variance, found.count) == (12.0, 4.0, 200)
    for visit in (0, 5):
        gone = by_visit[visit]
        assert (gone.mean, gone.variance, gone.count) == (None, None, None)


def test_a_job_took_what_its_worker_spent(mixed: Revision) -> None:
    """The seconds of a match are those of its stages, null for whatever no match came out of."""
    seconds = {one.visit: one.job_s for one in mixed.metrics}
    assert seconds == {0: None, 1: None, 2: 2.5, 3: 0.5, 4: 2.5, 5: None, None: None}
    fault = Tried(1, jobs.JobFault(2, "killed", "three times"))
    assert _made(_frozen(1, 2), _done(fault)).metrics[1].job_s is None


def test_a_rejection_says_why(mixed: Revision) -> None:
    """Members and metrics give the verdict's reasons of a bad match; the model's reason is null."""
    model = mixed.models[4]
    assert (model.verdict, model.reason) == ("reject", None)
    assert "matched_mse / diff_im_var" in model.verdict_reasons[0]
    reasons = [
        None,
        None,
        None,
        "nothing in common",
        model.verdict_reasons[0],
        "missing: it is gone",
    ]
    assert [one.reason for one in mixed.summary.members] == reasons
    assert [one.reason for one in mixed.metrics] == [*reasons, None]


@pytest.mark.parametrize("steps", [1, 20])
def test_reasons_are_joined_and_bounded(steps: int) -> None:
    """Several reasons are one text with semicolons, cut where the field ends."""
    bad = _quality(sky_chi2=90.0, flags=("edge_step",) * steps)
    made = Assembler(CONFIG, core.VerdictProfile.SURVEY, "9.9").revision(
        case_of(GROUP, _frozen(1, 2), _done(_with_quality(2, bad)), Past(reference=1)), NOW
    )
    whole = "; ".join(made.models[1].verdict_reasons)
    assert whole.count("; edge_step") == steps
    assert (len(whole) > 1024) == (steps > 1)
    assert made.summary.members[1].reason == made.metrics[1].reason == whole[:1024]
    assert schemas.encode_value(made.summary)


def test_a_warps_metric_has_what_workers_spent_on_it() -> None:
    """Stage by stage; a stage that was not needed is null, and so are all of a withdrawn warp."""
    done = _done(_matched(2))
    done.spent(1, {"decode": 1.5, "scale": 0.0, "measure": 0.25})
    done.spent(2, {"match": 0.125})
    made = _made(_frozen(1, 2, withdrawn=(3,)), done).metrics
    stages = [(one.decode_s, one.scale_s, one.measure_s, one.match_s) for one in made]
    assert stages == [
        (1.5, 0.0, 0.25, None),
        (None, None, None, 0.125),
        (None, None, None, None),
        (None, None, None, None),
    ]


def test_a_summary_of_thousands_of_rejections_fits_its_topic() -> None:
    """However many are rejected for however much, each has a reason and the log takes them all."""
    visits = range(1, schemas.MAX_VISITS + 1)
    bad = _quality(sky_chi2=90.0, flags=("edge_step",) * 5)
    done = _done(*(_with_quality(visit, bad) for visit in visits[1:]))
    made = Assembler(CONFIG, core.VerdictProfile.SURVEY, "9.9").revision(
        case_of(GROUP, _frozen(*visits), done, Past(reference=1)), NOW
    )
    (spec,) = (one for one in Topics().specs(1) if one.name == Topics().groups)
    assert all(one.reason for one in made.summary.members[1:])
    size = len(schemas.encode_value(made.summary))
    assert size < int(spec.config["max.message.bytes"])


def _quality(**changes: Any) -> core.Quality:
    """Return figures of a sky, with some otherwise."""
    made: dict[str, Any] = {
        "tiles": 49, "kappa": 1.125, "sky_chi2": 1.5, "worst_block": 3.25, "worst_x": 12.5,
        "worst_y": -0.5, "sky_offset": -0.0625, "sky_rms": 0.25, "sky_error": 0.125,
        "coverage": 0.75, "extrapolated_fraction": 0.0, "flags": (),
    }  # fmt: skip
    return core.Quality(**{**made, **changes})


def _with_quality(visit: int, quality: core.Quality) -> Tried:
    tried = _matched(visit)
    assert isinstance(tried.result, jobs.Matched)
    return dataclasses.replace(tried, result=dataclasses.replace(tried.result, quality=quality))


def test_quality_is_told_in_the_tracts_pixels() -> None:
    """Every figure is the job's; the worst block's place has the origin (5, 7) added."""
    made = _made(_frozen(1, 2), _done(_with_quality(2, _quality())))
    told = made.models[1].quality
    assert told is not None
    assert (told.worst_x, told.worst_y) == (17.5, 6.5)
    for name in told.__struct_fields__:
        if name not in ("worst_x", "worst_y"):
            assert getattr(told, name) == getattr(_quality(), name)
        assert getattr(made.metrics[1], name) == getattr(told, name)
    assert made.models[0].quality is None
    assert made.metrics[0].sky_chi2 is None


@pytest.mark.parametrize(
    "name",
    [
        "kappa", "sky_chi2", "worst_block", "worst_x", "worst_y", "sky_offset", "sky_rms",
        "sky_error", "coverage", "extrapolated_fraction",
    ],
)  # fmt: skip
def test_a_figure_that_could_not_be_measured_is_null(name: str) -> None:
    """NaN stays out of messages and metrics, and leaves the other figures alone."""
    made = _made(_frozen(1, 2), _done(_with_quality(2, _quality(**{name: math.nan}))))
    told = made.models[1].quality
    assert told is not None
    nulls = [field for field in told.__struct_fields__ if getattr(told, field) is None]
    assert nulls == [name]
    assert getattr(made.metrics[1], name) is None
    assert schemas.encode_value(made.models[1])


@pytest.mark.parametrize(
    ("flags", "fraction", "told"),
    [
        ((), 0.0, ()),
        ((), 1e-6, ("extrapolated",)),
        (("edge_step", "sources_unmasked"), 0.0, ("edge_step", "sources_unmasked")),
        (("sources_unmasked",), 0.5, ("extrapolated", "sources_unmasked")),
        ((), math.nan, ()),
    ],
)
def test_flags_are_the_qualitys_and_the_gaps(
    flags: tuple[str, ...], fraction: float, told: tuple[str, ...]
) -> None:
    """What quality flags is flagged, and a model that runs where nothing was seen."""
    quality = _quality(flags=flags, extrapolated_fraction=fraction)
    assert _made(_frozen(1, 2), _done(_with_quality(2, quality))).models[1].flags == told


def test_a_verdict_has_the_limits_that_were_set() -> None:
    """One sky is accepted or rejected as the limits say; the digest of the config stays."""
    done = _done(_with_quality(2, _quality(sky_chi2=2.5, worst_block=5.0)))
    seen = []
    for limits in (None, core.VerdictLimits(sky_chi2=3.0), core.VerdictLimits(worst_block=4.0)):
        assembler = Assembler(CONFIG, core.VerdictProfile.SURVEY, "9.9", limits)
        model = assembler.revision(
            case_of(GROUP, _frozen(1, 2), done, Past(reference=1)), NOW
        ).models[1]
        reasons = [reason.split()[0] for reason in model.verdict_reasons]
        seen.append((model.verdict, model.verdict_profile, reasons, model.config_digest))
    digest = schemas.config_digest(CONFIG.to_mapping())
    assert seen == [
        ("accept", "survey", [], digest),
        ("accept", "survey", [], digest),
        ("reject", "survey", ["worst_block"], digest),
    ]


def test_a_reason_names_a_place_in_the_tract() -> None:
    """Where the worst block lies is said as the message's quality has it."""
    quality = _quality(worst_block=9.0)
    made = Assembler(CONFIG, core.VerdictProfile.SURVEY, "9.9").revision(
        case_of(GROUP, _frozen(1, 2), _done(_with_quality(2, quality)), Past(reference=1)), NOW
    )
    model = made.models[1]
    assert model.quality is not None
    place = f"({model.quality.worst_x:.0f}, {model.quality.worst_y:.0f})"
    assert [place in reason for reason in model.verdict_reasons] == [True]


def test_a_summary_carries_the_groups_warnings() -> None:
    """As many and as long as a message holds; a group without any has none."""
    done = _done(_matched(2), warnings=("all levels are negative", "x" * 2000, *["again"] * 40))
    warnings = _made(_frozen(1, 2), done).summary.warnings
    assert warnings[:3] == ("all levels are negative", "x" * 1024, "again")
    assert len(warnings) == 32
    assert _made(_frozen(1, 2), _done(_matched(2))).summary.warnings == ()


def test_a_ratio_is_of_mse_and_variance(mixed: Revision) -> None:
    """It is null wherever one of them is null, or the variance is nothing."""
    assert mixed.metrics[2].ratio == pytest.approx(1.05)
    for mse, var in ((None, 4.0), (4.0, None), (4.0, 0.0), (1e308, 1e-308)):
        made = _made(_frozen(1, 2), _done(_matched(2, mse, var)))
        assert made.metrics[1].ratio is None


def test_a_cost_that_is_no_number_is_null(mixed: Revision) -> None:
    """NaN and infinity do not go into messages."""
    costs = {one.visit: one.cost for one in mixed.summary.members}
    assert costs == {0: None, 1: 0.25, 2: None, 3: None, 4: 0.5, 5: None}
    assert {one.visit: one.cost for one in mixed.metrics[:-1]} == costs


def test_a_model_names_what_it_was_made_of(mixed: Revision) -> None:
    """The digests are of the warp and of the reference, unit and scale those announced."""
    frozen = _frozen(1, members=(_member(1), _member(2, scale=1.5, unit="nJy")))
    reference, model = _made(frozen, _done(_matched(2))).models
    assert (model.input_digest, model.reference_digest) == (_digest(2), _digest(1))
    assert (model.scale, model.unit) == (1.5, "nJy")
    assert (reference.input_digest, reference.reference_digest) == (_digest(1), _digest(1))
    withdrawn = mixed.models[0]
    assert (withdrawn.input_digest, withdrawn.unit, withdrawn.scale) == (None, None, 1.0)
    assert model.model is not None
    place = (model.model.x0, model.model.y0, model.model.width, model.model.height)
    assert place == (5, 7, 8, 6)


def test_complete_is_whole_and_without_a_failure() -> None:
    """A revision that misses a visit, or lost one, is partial; no overlap is no failure."""
    whole = _done(_matched(2))
    assert _made(_frozen(1, 2), whole).summary.status == "complete"
    assert _made(_frozen(1, 2, completeness=0.9), whole).summary.status == "partial"
    assert _made(_frozen(1, 2), _done(_no_overlap(2))).summary.status == "complete"
    failed = Tried(1, jobs.JobFault(2, "killed", "three times"))
    assert _made(_frozen(1, 2), _done(failed)).summary.status == "partial"


@pytest.mark.parametrize(
    ("revision", "previous", "changed"),
    [(1, None, False), (2, 1, False), (2, 2, True), (5, None, True)],
)
def test_a_changed_reference_is_said(revision: int, previous: int | None, changed: bool) -> None:
    """It changed if the revision before had another; a first revision changes nothing."""
    summary = _made(_frozen(1, 2, revision=revision), _done(_matched(2)), previous).summary
    assert summary.reference_changed == changed
    assert summary.supersedes == (revision - 1 or None)


def test_nobody_can_be_the_reference() -> None:
    """Where nothing could be measured each member fails with a reason, and there are no digests."""
    done = Fulfilled(None, {}, {1: groups.Failed("a: b"), 2: groups.Measurement(1.0, 1.0, 1.0)}, {})
    made = _made(_frozen(1, 2), done, None)
    assert [one.status for one in made.models] == ["failed", "failed"]
    assert [one.reason for one in made.models] == ["a: b", "no warp of the group could be measured"]
    assert {one.reference_digest for one in made.models} == {None}


class _Deadly(StubPool):
    """A pool whose workers die of matches."""

    async def run(self, function: Any, /, *args: Any) -> Any:
        """Give a match up."""
        if function is jobs.match:
            raise WarpError(WarpFault.KILLED, "three times")
        return await super().run(function, *args)


@pytest.mark.parametrize("units", [("nJy", "adu"), ("nJy", None), (None, "adu"), (None, None)])
async def test_a_fault_of_a_match_is_the_warps(units: tuple[str | None, str | None]) -> None:
    """A match that kills costs the warp, not the reference; only two units differ, not none."""
    members = tuple(
        _member(v, unit=unit, checksum=c * 64)
        for v, unit, c in zip((1, 2), units, "78", strict=True)
    )
    frozen = _frozen(1, members=members, reference=1)
    pool = _Deadly(Random(0))  # noqa: S311 - chance that can be had again
    workshop = Workshop(Runner(StubStore(), pool, CONFIG, fits.DecodeLimits(), 2))
    done = await workshop.fulfil(Due(GROUP, frozen), {}, lambda _: asyncio.sleep(0))
    fault = result_of(done, 2)
    assert isinstance(fault, jobs.JobFault)
    assert (done.reference, fault.visit) == (1, 2)
    assert fault.reason == ("wrong_unit" if None not in units else WarpFault.KILLED)
