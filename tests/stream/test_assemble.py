"""The messages of a revision."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import core
import schemas
from core import groups
from core.groups.changed import replace as changed
from stream import jobs
from stream.assemble import Assembler
from stream.basis import Past
from stream.batch import BatchGroup, group_files, match_group, value_of
from stream.describe import Described
from stream.fetch import Held, Want
from stream.fits import DecodeLimits, decode
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.outbox import Outbox
from stream.rebuild import background
from stream.revision import Revision, case_of
from stream.runner import Runner
from stream.workshop import Fulfilled, Tried, Workshop
from tests.stream.night import CONFIG, arrival, write_larger_warp, write_warp
from tests.stream.test_workshop import Bench, Shelf

NOW = 1_790_000_100.0


def batch_of(paths: Sequence[Path], **changes: object) -> BatchGroup:
    """Return the group of some files, all announced alike."""
    (batch,) = group_files(Described(path, arrival(path, **changes)) for path in paths)
    return batch


def assembler(profile: core.VerdictProfile = core.VerdictProfile.SURVEY) -> Assembler:
    """Return what makes the messages."""
    return Assembler(CONFIG, profile, "9.9")


def revision_of(
    paths: Sequence[Path],
    reference: int | None = None,
    profile: core.VerdictProfile = core.VerdictProfile.SURVEY,
    shelf: Shelf | None = None,
) -> Revision:
    """Match some files."""

    async def run() -> Revision:
        workshop = Workshop(Runner(shelf or Shelf(), Bench(), CONFIG, DecodeLimits(), 3))
        return await match_group(batch_of(paths), reference, workshop, assembler(profile), NOW)

    return asyncio.run(run())


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Return three warps."""
    return [write_warp(tmp_path, visit) for visit in (1, 2, 3)]


def test_a_model_says_what_core_found(paths: list[Path]) -> None:
    """Model and figures in the message are those of a direct call of the core."""
    revision = revision_of(paths, reference=1)
    reference, science = (decode(path.read_bytes()) for path in paths[:2])
    match = core.match_background(reference, science, CONFIG)
    model = revision.models[1]
    assert (model.fit_rms, model.matched_mse, model.diff_im_var) == (
        match.fit_rms,
        match.matched_mse,
        match.diff_im_var,
    )
    assert model.model is not None
    image = background(model.model).image()
    np.testing.assert_array_equal(image, match.model.image(), strict=True)


def test_a_message_alone_rebuilds_the_image(paths: list[Path]) -> None:
    """From the bytes of a message comes the model's image, bit for bit."""
    model = revision_of(paths, reference=1).models[2]
    again = schemas.decode_value(value_of(model), schemas.BackgroundModel)
    assert again == model
    assert model.model is not None
    assert again.model is not None
    assert background(again.model) == background(model.model)


def test_the_reference_has_no_model(paths: list[Path]) -> None:
    """The reference is said to be it; nothing is fitted, and null is not 0."""
    model = revision_of(paths, reference=2).models[1]
    assert (model.status, model.is_reference, model.reference) == ("reference", True, 2)
    assert model.model is None
    assert (model.fit_rms, model.matched_mse, model.diff_im_var) == (None, None, None)
    assert model.verdict == "accept"


def test_ids_name_what_is_said(paths: list[Path]) -> None:
    """The same match has the same id whatever its revision; another warp has another."""
    first = revision_of(paths, reference=1)
    second = revision_of(paths, reference=1)
    other = revision_of(paths, reference=2)
    assert [m.model_id for m in first.models] == [m.model_id for m in second.models]
    assert len({m.model_id for m in (*first.models, *other.models)}) == 6
    for model in first.models:
        assert model.model_id == schemas.model_id(model)
        later = schemas.model_id_of(value_of(model))
        assert later == model.model_id


def test_bytes_do_not_hold_the_time_or_the_place(paths: list[Path], tmp_path: Path) -> None:
    """Files that moved, matched at another time, give the same bytes."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = [elsewhere / path.name for path in paths]
    first = [value_of(model) for model in revision_of(paths).models]
    for old, new in zip(paths, moved, strict=True):
        old.rename(new)
    assert [value_of(model) for model in revision_of(moved).models] == first


def test_a_failed_warp_says_why(paths: list[Path]) -> None:
    """A failed warp has its reason in its model, its summary and its metric, and is rejected."""
    shelf = Shelf()
    shelf.lost[paths[1].name] = 0
    revision = revision_of(paths, reference=1, shelf=shelf)
    model, member, metric = revision.models[1], revision.summary.members[1], revision.metrics[1]
    for message in (model, member, metric):
        assert message.status == "failed"
        assert message.reason is not None
        assert message.reason.startswith("missing: ")
    assert model.verdict == "reject"
    assert revision.summary.status == "partial"
    assert revision.metrics[-1].failed == 1


def test_the_batch_refuses_another_shape_alone(tmp_path: Path) -> None:
    """Even as the reference that is asked for, a warp of another shape fails alone."""
    paths = [write_larger_warp(tmp_path, 1), *(write_warp(tmp_path, v) for v in (2, 3))]
    told = {one.visit: one for one in revision_of(paths, 1).models}
    status = {visit: one.status for visit, one in told.items()}
    assert status == {1: "failed", 2: "reference", 3: "matched"}
    assert (told[1].reason or "").startswith("wrong_shape: it has 96 x 96 pixels")


def test_the_summary_names_every_model(paths: list[Path]) -> None:
    """Each member of the summary carries the id of its model; costs are those of the choice."""
    revision = revision_of(paths)
    assert [m.model_id for m in revision.summary.members] == [m.model_id for m in revision.models]
    exposures = [decode(path.read_bytes()) for path in paths]
    costs = core.select_reference(exposures, CONFIG).costs
    assert tuple(m.cost for m in revision.summary.members) == costs
    assert revision.summary.status == "complete"
    assert revision.summary.published_at == NOW
    assert not revision.summary.reference_changed


def test_metrics_are_flat(paths: list[Path]) -> None:
    """A metric is strings and numbers only, one a warp and one for the group."""
    revision = revision_of(paths)
    assert [metric.scope for metric in revision.metrics] == ["warp", "warp", "warp", "group"]
    for metric in revision.metrics:
        for name in metric.__struct_fields__:
            value = getattr(metric, name)
            assert value is None or isinstance(value, str | int | float)
            assert not (isinstance(value, float) and not math.isfinite(value))
    assert revision.metrics[-1].members == 3
    assert revision.metrics[-1].matched == 2


class _FarShelf(Shelf):
    """A store that takes its time."""

    async def _take(self, want: Want) -> Held:
        await asyncio.sleep(0.5)
        return await super()._take(want)


def test_a_job_does_not_wait(paths: list[Path]) -> None:
    """However long a match waits for its bytes, its seconds are those of the worker's stages."""
    for one in revision_of(paths, 1, shelf=_FarShelf()).metrics[1:3]:
        stages = (one.decode_s or 0.0, one.scale_s or 0.0, one.match_s or 0.0)
        assert one.job_s is not None
        assert 0.0 < one.job_s <= sum(stages)


def test_no_profile_no_verdict(paths: list[Path]) -> None:
    """Without a rule nothing is judged, not even what failed."""
    shelf = Shelf()
    shelf.lost[paths[1].name] = 0
    revision = revision_of(paths, 1, core.VerdictProfile.NONE, shelf)
    assert {model.verdict for model in revision.models} == {"none"}
    assert all(model.verdict_reasons == () for model in revision.models)
    assert [one.reason is None for one in revision.summary.members] == [True, False, True]


def test_a_group_of_one(paths: list[Path]) -> None:
    """An incomplete revision has no models; its member is named, with no model to look for."""
    revision = revision_of(paths[:1])
    assert revision.models == ()
    (member,) = revision.summary.members
    assert (revision.summary.status, revision.summary.reference) == ("incomplete", 1)
    assert (member.visit, member.status, member.model_id) == (1, "reference", None)
    assert [metric.scope for metric in revision.metrics] == ["group"]


def test_mixed_skies_are_flagged(paths: list[Path]) -> None:
    """A warp whose sky was taken off, against one with its sky, says so."""
    (batch,) = group_files(
        Described(path, arrival(path, sky=sky))
        for path, sky in zip(paths, ("intact", "subtracted", "intact"), strict=True)
    )
    frozen = batch.frozen(1)
    done = _fulfilled(frozen)
    revision = assembler().revision(case_of(batch.group, frozen, done), NOW)
    assert revision.models[1].flags == ("mixed_sky",)
    assert revision.models[2].flags == ()


def test_a_retraction_withdraws_all(paths: list[Path]) -> None:
    """When no member is left each visit is told of once more, as withdrawn."""
    batch = batch_of(paths)
    frozen = changed(
        batch.frozen(None),
        revision=3,
        kind=groups.Kind.RETRACTION,
        trigger=groups.Trigger.UPDATE,
        members=(),
        withdrawn=(1, 2),
    )
    revision = assembler().revision(
        case_of(batch.group, frozen, Fulfilled(), Past(reference=1)), NOW
    )
    assert [(m.visit, m.status, m.input_digest) for m in revision.models] == [
        (1, "withdrawn", None),
        (2, "withdrawn", None),
    ]
    assert (revision.summary.status, revision.summary.supersedes) == ("retracted", 2)
    assert revision.summary.reference_changed


def test_nothing_measured(paths: list[Path]) -> None:
    """A group of which nothing can be read is published, without a reference and with reasons."""
    shelf = Shelf()
    shelf.lost = {path.name: 0 for path in paths}
    revision = revision_of(paths, shelf=shelf)
    assert revision.summary.reference is None
    assert {model.status for model in revision.models} == {"failed"}
    assert all(model.reason for model in revision.models)


def test_every_message_encodes(paths: list[Path]) -> None:
    """Whatever is assembled passes the schemas on its way out."""
    shelf = Shelf()
    shelf.lost[paths[2].name] = 1
    revision = revision_of(paths, reference=1, shelf=shelf)
    messages: list[schemas.Message] = [*revision.models, revision.summary, *revision.metrics]
    for message in messages:
        kind: type[schemas.Message] = type(message)
        assert schemas.decode_value(schemas.encode_value(message), kind) == message
    assert json.dumps([m.fit_rms for m in revision.models])


def _fulfilled(frozen: groups.Frozen) -> Fulfilled:
    """Return results without pixels: a flat model for each visit but the reference."""
    grid = np.ones((2, 2), np.float32)
    flat = core.SplineBackground(
        values=grid,
        errors=grid,
        counts=np.ones((2, 2), np.int32),
        width=20,
        height=20,
        interp_style=core.InterpStyle("LINEAR"),
        undersample_style=core.UndersampleStyle("REDUCE_INTERP_ORDER"),
    )
    visits = [member.visit for member in frozen.members]
    return Fulfilled(
        reference=visits[0],
        costs=dict.fromkeys(visits, 1.0),
        measured=dict.fromkeys(visits, groups.Measurement(1.0, 1.0, 9.0)),
        matched={
            visit: Tried(
                visits[0],
                jobs.Matched(visit, flat, 0.1, 1.0, 1.0, (0, 0), "matched", None),
            )
            for visit in visits[1:]
        },
    )


def _with_made_ahead(batch: BatchGroup, assumed: groups.Frozen, done: Fulfilled) -> Fulfilled:
    """Return the same with the messages of each match made ahead, for an assumed revision."""
    matched = dict(done.matched)
    for visit, tried in done.matched.items():
        measured = done.measured[visit]
        assert isinstance(tried, Tried)
        assert isinstance(measured, groups.Measurement)
        made = assembler().ahead(batch.group, assumed, visit, tried, measured)
        matched[visit] = replace(tried, made=made)
    return replace(done, matched=matched)


def _records(batch: BatchGroup, frozen: groups.Frozen, done: Fulfilled) -> list[Outgoing]:
    unfolding = assembler().unfold(case_of(batch.group, frozen, done), NOW)
    return list(Outbox(Topics(), 0, "test").revision(unfolding, NOW))


def _timed(done: Fulfilled) -> Fulfilled:
    """Return the same with a match's timings, and what was spent so far."""
    for visit, tried in done.matched.items():
        assert isinstance(tried, Tried)
        assert isinstance(tried.result, jobs.Matched)
        timed = replace(tried.result, timings={"match": visit / 8})
        done.matched[visit] = replace(tried, result=timed)
        done.spent(visit, timed.timings)
    return done


def test_what_was_made_ahead_is_what_would_be_made(paths: list[Path]) -> None:
    """Records are the same to the byte whether rows were made ahead or when the group was due."""
    batch = batch_of(paths)
    frozen = batch.frozen(1)
    done = _timed(_fulfilled(frozen))
    done.costs = {1: 0.25, 2: math.nan, 3: 0.75}
    ahead = _with_made_ahead(batch, frozen, done)
    assert case_of(batch.group, frozen, ahead).made.keys() == {2, 3}
    assert _records(batch, frozen, ahead) == _records(batch, frozen, done)


def test_a_revision_unfolds_while_it_is_written(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes long is done before the first record; the summary knows of no row left out."""
    batch = batch_of(paths)
    case = case_of(batch.group, batch.frozen(1), _timed(_fulfilled(batch.frozen(1))))
    whole = assembler().revision(case, NOW)
    unfolding = assembler().unfold(case, NOW)
    records = Outbox(Topics(), 0, "test").revision(unfolding, NOW)
    monkeypatch.setattr(schemas, "model_id", None)
    first = next(records)
    assert (first.topic, first.value) == (Topics().models, whole.told[0].value)
    assert unfolding.revision.rows == whole.rows
    assert unfolding.revision.summary == whole.summary
    with pytest.raises(StopIteration):
        next(unfolding.told())


def test_what_was_made_for_another_revision_is_not_sent(paths: list[Path]) -> None:
    """A row that was made for another revision than the one that came is made anew."""
    batch = batch_of(paths)
    frozen = batch.frozen(1)
    done = _timed(_fulfilled(frozen))
    for assumed in (changed(frozen, revision=2), changed(frozen, kind=groups.Kind.UPDATE)):
        ahead = _with_made_ahead(batch, assumed, done)
        assert not case_of(batch.group, frozen, ahead).made
        assert _records(batch, frozen, ahead) == _records(batch, frozen, done)


def test_a_metric_made_ahead_gives_way_to_what_is_known_now(paths: list[Path]) -> None:
    """What was measured or spent since then is in the metrics, as if nothing had been made."""
    batch = batch_of(paths)
    frozen = batch.frozen(1)
    done = _timed(_fulfilled(frozen))
    ahead = _with_made_ahead(batch, frozen, done)
    for one in (done, ahead):
        one.measured[2] = groups.Measurement(3.0, 2.0, 8.0)
        one.timings = {**one.timings, 3: {"decode": 9.0, "match": 1.0}}
    metrics = assembler().revision(case_of(batch.group, frozen, ahead), NOW).metrics
    assert [metrics[1].mean, metrics[2].decode_s] == [3.0, 9.0]
    assert _records(batch, frozen, ahead) == _records(batch, frozen, done)
