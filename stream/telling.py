"""What an owner tells the operators of each group: numbers, and one line a change of state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

import schemas
from core import groups
from stream import inbox
from stream.log.seam import Record
from stream.measures import ratio_of
from stream.references import ReferenceCause
from stream.revision import Revision
from stream.telemetry import Telemetry

__all__ = ["tell_dead", "tell_frozen", "tell_published"]

log = structlog.get_logger(__name__)


def tell_dead(
    telemetry: Telemetry, partition: int, dead: Sequence[tuple[Record, inbox.Dead]]
) -> None:
    """Count every dead letter, and log the first of a batch: a flood must not fill the logs."""
    for _, one in dead:
        telemetry.dead(one.error.reason)
    if dead:
        record, first = dead[0]
        log.warning(
            "dead letters",
            partition=partition,
            count=len(dead),
            first_offset=record.offset,
            first_reason=str(first.error.reason),
            first_why=str(first.error),
        )


def tell_frozen(telemetry: Telemetry, key: str, frozen: groups.Frozen) -> None:
    """Tell that a revision has become due."""
    band = schemas.GroupId.parse(key).band
    telemetry.completed(band, frozen.trigger, len(frozen.members))
    log.info(
        "group frozen",
        group=key,
        revision=frozen.revision,
        trigger=str(frozen.trigger),
        members=len(frozen.members),
        missing=len(frozen.missing),
    )


def tell_published(
    telemetry: Telemetry, key: str, revision: Revision, cause: ReferenceCause | None
) -> None:
    """Tell that a revision is published, and why its reference is another, if it is."""
    summary, group = revision.summary, revision.metric
    if cause is not None:
        telemetry.reference_changed(cause)
    telemetry.published(
        summary.band,
        summary.kind,
        models=len(revision.models),
        waited_s=group.complete_to_publish_s or 0.0,
        since_first_s=group.first_arrival_to_publish_s or 0.0,
    )
    for model in revision.models:
        sky_chi2 = None if model.quality is None else model.quality.sky_chi2
        telemetry.matched(summary.band, ratio=ratio_of(model), sky_chi2=sky_chi2)
    matched = (model.verdict for model in revision.models if model.status == "matched")
    for verdict, count in Counter(matched).items():
        telemetry.judged(summary.band, verdict, count)
    log.info(
        "group published",
        group=key,
        revision=summary.revision,
        status=summary.status,
        reference=summary.reference,
        reference_change=None if cause is None else str(cause),
        models=len(revision.models),
        failed=group.failed,
    )
    if summary.warnings:  # an update most often repeats what the first revision was warned of
        tell = log.warning if summary.revision == 1 else log.info
        tell("odd group", group=key, why=list(summary.warnings))
