"""The report: right models hold, wrong ones do not, and what is drawn is there."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import schemas
from core import MaskedImage
from stream import fits
from stream.demo.report import GroupResult, Report, report
from stream.gather import Gathered, gather, mse_ratio
from stream.log.embedded import EmbeddedPublisher
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.simulate import GroupCheck, GroupEntry, group_truth
from stream.simulate.verify import Spread, VisitCheck
from stream.wiring import reader_log
from tests.schemas import examples
from tests.stream.demo.conftest import Played

ENTRY = GroupEntry(
    campaign="live", skymap="s", tract=1, patch=2, band="r", visits=(1, 2), trigger="count"
)
Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


# -- the real night --------------------------------------------------------------------------------


def test_the_night_holds(reported: Report) -> None:
    """Models of a real run level the visits: far closer than before, within the noise of a fit."""
    assert reported.faults == []
    assert reported.holds
    assert reported.before > 2.0
    assert reported.after < 0.15
    assert all(group.check.rms_in_noise < 0.3 for group in reported.groups)


def test_groups_stand_in_the_surveys_order(played: Played, reported: Report) -> None:
    """Each group of the survey is judged once, with a model of each visit that is not rejected."""
    entries = played.night.survey.groups
    assert tuple(group.entry for group in reported.groups) == entries
    for group in reported.groups:
        assert sorted(group.models) == list(group.entry.visits)
        assert group.check.reference == group.summary.reference
        judged = {check.visit for check in group.check.visits}
        rejected = {model.visit for model in group.rejected}
        assert judged == set(group.entry.visits) - {group.summary.reference} - rejected


def test_models_are_those_that_the_summaries_name(played: Played, reported: Report) -> None:
    """The report reads models as a coadder must: by the ids of the newest summary."""
    for group in reported.groups:
        named = {member.model_id for member in played.summaries[group.entry.key].members}
        assert {model.model_id for model in group.models.values()} == named


def test_a_row_repeats_the_summary_and_averages_the_models(reported: Report) -> None:
    """Trigger, reference and counts are the summary's, rms and ratio the means of the models'."""
    for group in reported.groups:
        row = group.row
        matched = [m for m in group.models.values() if m.status == "matched"]
        assert (row.group, row.trigger) == (group.entry.key, group.entry.trigger)
        assert row.reference == group.summary.reference
        assert row.fit_rms == pytest.approx(np.mean([m.fit_rms or math.nan for m in matched]))
        assert row.ratio == pytest.approx(np.mean([mse_ratio(m) or math.nan for m in matched]))
        assert row.error == group.check.rms_in_noise
        left = [m.quality.sky_chi2 for m in matched if m.quality and m.quality.sky_chi2]
        assert row.sky_chi2 == pytest.approx(np.median(left))
        accepted = [m for m in matched if m.verdict == "accept"]
        assert row.accepted == f"{len(accepted)}/{len(matched)}"


def test_a_row_counts_against_what_was_expected(reported: Report) -> None:
    """Visits are counted against the manifest's or the count, and against the models if neither."""
    visits = {group.entry.trigger: group.row.visits for group in reported.groups}
    assert visits == {
        "manifest": "3/3", "count": "3/3", "closed": "3/3", "quiet": "3/3", "deadline": "3/4",
    }  # fmt: skip


def test_there_is_a_coadd_a_band_and_a_page(reported: Report) -> None:
    """Each band has its coadd, the group of the largest spread its page; all are whole PNGs."""
    worst = max(reported.groups, key=lambda group: group.check.before.std).entry
    names = [path.name for path in reported.pictures]
    assert names == ["coadd-r.png", "coadd-i.png", f"group-{worst.patch}-{worst.band}.png"]
    for path in reported.pictures:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n")
        assert data.endswith(b"IEND\xaeB`\x82")
        assert len(data) > 20_000


def gathered(played: Played, group: GroupResult) -> tuple[Gathered, list[int]]:
    """Gather a group for its pictures; return it and the visits that were read."""
    survey = played.night.survey
    truth = group_truth(survey, group.entry)
    files = {warp.visit: survey.path(warp) for warp in survey.warps_of(group.entry)}
    base, read = truth[group.check.reference].sky, []

    def decode(visit: int) -> MaskedImage:
        read.append(visit)
        return fits.decode(files[visit].read_bytes(), fits.DecodeLimits())

    def planted(visit: int) -> NDArray[np.float32]:
        return np.asarray(truth[visit].sources + base)

    config = played.night.settings.match_config()
    return gather(group.models.values(), decode, config, planted), read


def test_a_group_is_gathered_in_one_reading(played: Played, reported: Report) -> None:
    """Each warp is read once; each visit but the reference has a panel with its model's numbers."""
    for group in reported.groups:
        found, read = gathered(played, group)
        assert sorted(read) == list(group.entry.visits)
        assert [p.findings.visit for p in found.panels] == [
            visit for visit in group.models if visit != group.check.reference
        ]
        for panel in found.panels:
            told, model = panel.findings, group.models[panel.findings.visit]
            assert (told.fit_rms, told.ratio) == (model.fit_rms, mse_ratio(model))
            assert (told.verdict, told.note) == (model.verdict, "")


def test_with_the_models_a_coadd_has_the_references_sky(played: Played, reported: Report) -> None:
    """Less what was planted the coadd is far off before matching, and on the spot after it.

    What the models change in the coadd they change in its error, pixel by pixel.
    """
    for group in reported.groups:
        found, _ = gathered(played, group)
        tiles = found.before_error.tile(), found.after_error.tile()
        before, after = (float(np.nanmedian(tile.image)) for tile in tiles)
        noise = group.check.before.noise
        assert abs(before) > 0.5 * noise
        assert abs(after) < 0.1 * noise
        if group.rejected:
            continue  # the two coadds are of different warps
        apart = found.after.tile().image - found.before.tile().image
        errors = tiles[1].image - tiles[0].image
        assert np.allclose(apart, errors, atol=0.01, equal_nan=True)  # bright cores in float32


# -- wrong models ----------------------------------------------------------------------------------


async def published_models(played: Played) -> list[schemas.BackgroundModel]:
    """Return every model of the night."""
    log = reader_log(played.night.settings)
    await log.start()
    try:
        found = log.read([Topics().models], follow=False)
        read = [schemas.decode(r.key, r.headers, r.value)[1] async for r in found]
    finally:
        await log.close()
    return [message for message in read if isinstance(message, schemas.BackgroundModel)]


async def judged(
    played: Played, folder: Path, change: Change, *, named: bool, only: int | None = None
) -> Report:
    """Publish changed models after the night's, under the ids that are named or others; report."""
    log = folder / "copy.db"
    shutil.copy(played.night.settings.log, log)
    publisher = EmbeddedPublisher(log, Topics())
    await publisher.start()
    for place, model in enumerate(await published_models(played)):
        if model.model is None or (only is not None and place != only):
            continue
        values = schemas.NDArray.of(change(model.model.values.array().astype(np.float32)))
        wrong = msgspec.structs.replace(model.model, values=values)
        model_id = model.model_id if named else "0" * 64
        message = msgspec.structs.replace(model, model=wrong, model_id=model_id)
        sent = schemas.encode(message, id="x", source="test", time=schemas.time_text(0))
        partition = schemas.partition_of(sent.key, publisher.partitions)
        await publisher.publish(
            [Outgoing(Topics().models, partition, sent.key, sent.value, sent.headers)]
        )
    await publisher.close()
    copied = played.night.settings.model_copy(update={"log": log})
    return await report(played.night.survey, copied, played.summaries, folder / "pictures")


@pytest.mark.parametrize(
    "change", [np.negative, np.zeros_like, lambda values: values * np.float32(0.8)]
)
async def test_wrong_models_do_not_hold(played: Played, tmp_path: Path, change: Change) -> None:
    """Models of the wrong sign, of nothing, or a fifth too small are found out."""
    assert not (await judged(played, tmp_path, change, named=True)).holds


async def test_models_that_no_summary_names_do_not_count(
    played: Played, reported: Report, tmp_path: Path
) -> None:
    """Whatever else lies in the topic, only the named models are judged."""
    found = await judged(played, tmp_path, np.negative, named=False)
    assert (found.before, found.after) == (reported.before, reported.after)


# -- when it holds, as a law -----------------------------------------------------------------------

SPREADS = st.floats(0.01, 100.0)


def judged_model(visit: int, verdict: str = "accept", *reasons: str, chi2: float = 1.0) -> Any:
    """Return a matched model with a verdict."""
    return msgspec.structs.replace(
        examples.matched_model(),
        visit=visit,
        quality=schemas.Quality(sky_chi2=chi2),
        verdict=verdict,
        verdict_reasons=reasons,
    )


def result(
    before: float, after: float, *models: Any, noise: float = 2.0, **flaws: str
) -> GroupResult:
    """Return a group whose spread went from `before` to `after` counts; `v3` is visit 3's flaw."""
    check = GroupCheck(
        1,
        (VisitCheck(2, after, 0.0, noise),),
        Spread(before, before, noise),
        Spread(after, after, noise),
    )
    summary = schemas.GroupMatched(
        **schemas.GroupId.parse(ENTRY.key).fields,
        revision=1,
        kind="initial",
        status="complete",
        trigger="count",
        completeness=1.0,
        members=(),
        config_digest="0" * 64,
        numerics_version="1",
        software_version="1",
        completed_at=0.0,
        published_at=0.0,
    )
    by_visit = {model.visit: model for model in models or (judged_model(2),)}
    planted = {int(name.removeprefix("v")): (flaw,) for name, flaw in flaws.items()}
    return GroupResult(ENTRY, summary, by_visit, check, planted)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(SPREADS, SPREADS), min_size=1, max_size=5))
def test_a_report_holds_iff_all_is_closer_and_ten_times_so(
    pairs: list[tuple[float, float]],
) -> None:
    """Every group closer, and their rms together ten times: neither alone is enough."""
    found = Report(tuple(result(*pair) for pair in pairs), ())
    before, after = (math.sqrt(sum(x * x for x in side) / len(pairs)) / 2.0
                     for side in zip(*pairs, strict=True))  # fmt: skip
    assert (found.before, found.after) == pytest.approx((before, after))
    assert found.holds == (all(b > a for b, a in pairs) and before > 10 * after)


def test_one_group_undone_spoils_the_night() -> None:
    """A group that lies further apart than before is no success, however good the others are."""
    good = [result(100.0, 0.1)] * 5
    assert Report(tuple(good), ()).holds
    assert not Report((*good, result(0.1, 0.2)), ()).holds


def test_ten_times_is_not_less() -> None:
    """Just under ten times closer does not hold, just over does."""
    assert not Report((result(10.0, 1.001),), ()).holds
    assert Report((result(10.0, 0.999),), ()).holds


def test_no_spread_at_all_does_not_hold() -> None:
    """NaN, as visits that nowhere meet have, is never a success, and neither is no group."""
    assert not Report((result(math.nan, math.nan),), ()).holds
    assert not Report((), ()).holds


def test_a_group_without_models_has_a_row_of_dashes() -> None:
    """Where nothing was matched there are no numbers, and no zero that looks like one."""
    row = dataclasses.replace(result(1.0, 1.0), models={}).row
    assert (row.fit_rms, row.ratio, row.reference) == (None, None, None)
    assert (row.visits, row.accepted, row.sky_chi2) == ("0/0", "0/0", None)


@pytest.mark.parametrize(
    ("flaw", "reason", "right"),
    [
        ("amplifier_step", "edge_step: a jump", True),
        ("amplifier_step", "sky_chi2 is 9, over 3", True),
        ("amplifier_step", "worst_block is 9, over 6", True),
        ("amplifier_step", "coverage is 0.1, under 0.2", False),
        ("gap", "extrapolated_fraction is 0.4, over 0.15", True),
        ("gap", "coverage is 0.1, under 0.2", True),
        ("gap", "sky_chi2 is 9, over 3", False),
        ("undetected", "sources_unmasked: stars", True),
        ("undetected", "worst_block is 9, over 6", False),
    ],
)
def test_a_flaw_must_be_rejected_for_what_it_is(flaw: str, reason: str, right: bool) -> None:
    """A bad warp that is accepted, or rejected for something else, spoils the night."""
    models = judged_model(2), judged_model(3, "reject", "mse/var is 2, over 1", reason)
    found = Report((result(100.0, 0.1, *models, v3=flaw),), ())
    assert found.holds == right
    assert [("visit 3" in fault, flaw in fault) for fault in found.faults] == [(True, True)] * (
        not right
    )
    accepted = judged_model(2), judged_model(3, "accept", reason)
    assert not Report((result(100.0, 0.1, *accepted, v3=flaw),), ()).holds


def test_a_false_alarm_in_ten_is_forgiven() -> None:
    """More rejected warps without a flaw than that are too many."""
    models = [judged_model(2, "reject", "x"), *(judged_model(visit) for visit in range(3, 12))]
    assert Report((result(100.0, 0.1, *models),), ()).holds
    found = Report((result(100.0, 0.1, *models[:-1]),), ())
    assert found.faults == ["1 of 9 warps without a flaw were rejected"]


def test_the_sky_that_is_left_must_be_noise() -> None:
    """The median sky_chi2 of accepted models is near 1; rejected ones have no say."""
    bad = judged_model(9, "reject", "edge_step", chi2=50.0)
    for chi2, right in ((0.6, False), (0.8, True), (1.3, True), (1.5, False)):
        models = [judged_model(visit, chi2=chi2) for visit in range(2, 5)]
        assert Report((result(100.0, 0.1, *models, bad, v9="amplifier_step"),), ()).holds == right
    unmeasured = msgspec.structs.replace(judged_model(2), quality=None)
    found = Report((result(100.0, 0.1, unmeasured),), ())
    assert (found.sky_chi2, found.holds) == (None, False)


async def test_groups_without_a_reference_are_judged_and_not_drawn(
    played: Played, reported: Report, tmp_path: Path
) -> None:
    """Where nothing could be read the night fails, and is told like any other.

    Pictures are drawn of what there is.
    """
    lost, kept = played.night.survey.groups[:2]
    nothing = msgspec.structs.replace(
        played.summaries[lost.key], status="incomplete", reference=None, members=()
    )
    summaries = {lost.key: nothing, kept.key: played.summaries[kept.key]}
    two = dataclasses.replace(played.night.survey, groups=(lost, kept))
    found = await report(two, played.night.settings, summaries, tmp_path)
    assert not found.holds
    assert found.groups[0].check.rms == math.inf
    assert found.groups[1].check == reported.groups[1].check
    names = [path.name for path in found.pictures]
    assert names == [f"coadd-{kept.band}.png", f"group-{kept.patch}-{kept.band}.png"]
    one = dataclasses.replace(two, groups=(lost,))
    assert (await report(one, played.night.settings, summaries, tmp_path)).pictures == ()
