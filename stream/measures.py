"""Metrics of a revision: flat messages for a time-series database, one a model and one a group."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

import schemas
from core import groups
from stream import jobs
from stream.figures import finite
from stream.revision import Case
from stream.workshop import Fulfilled, Made, Tried

__all__ = ["group_metric", "measure_of", "ratio_of", "why", "without_group"]

_LONGEST_TEXT = 1024  # what the message holds
_STAGES = {stage: f"{stage}_s" for stage in ("decode", "scale", "measure", "match")}


def measure_of(case: Case, made: Made) -> bytes:
    """Return the value of the metric that goes with a model.

    Parameters
    ----------
    case : Case
    made : Made
        The model, and its metric but for what hangs on the whole group.
    """
    visit = made.model.visit
    blank = made.measure if _holds(made, case.done, visit) else without_group(case, made.model)
    return blank.filled(str(case.frozen.trigger), finite(case.done.costs.get(visit)))


def _holds(made: Made, done: Fulfilled, visit: int) -> bool:
    """Tell whether all that went into a metric is still so, should it be made ahead."""
    measured = done.measured.get(visit)
    known = measured if isinstance(measured, groups.Measurement) else None
    return made.measured == known and made.timings == done.timings.get(visit, {})


def without_group(case: Case, model: schemas.BackgroundModel) -> schemas.Blank:
    """Return the metric that goes with a model, but for what hangs on the whole group.

    That is what completed it, and the cost, which is one among all members.
    """
    measured = case.done.measured.get(model.visit)
    known = measured if isinstance(measured, groups.Measurement) else None
    metric = schemas.BackgroundMetric(
        **case.common,
        scope="warp",
        status=model.status,
        visit=model.visit,
        reference=model.reference,
        verdict=model.verdict,
        reason=why(model),
        fit_rms=model.fit_rms,
        matched_mse=model.matched_mse,
        diff_im_var=model.diff_im_var,
        ratio=ratio_of(model),
        mean=None if known is None else finite(known.mean),
        variance=None if known is None else finite(known.variance),
        count=None if known is None else int(known.count),
        job_s=_job_seconds(case, model.visit),
        **_stages(case, model.visit),
        **_figures(model.quality),
    )
    return schemas.blank(metric, "trigger", "cost")


def group_metric(case: Case, summary: schemas.GroupMatched, now: float) -> schemas.BackgroundMetric:
    """Return the metric of the group.

    Parameters
    ----------
    case : Case
    summary : GroupMatched
    now : float
        Wall time, seconds since 1970.
    """
    counts = Counter(member.status for member in summary.members)
    return schemas.BackgroundMetric(
        **case.common,
        scope="group",
        status=summary.status,
        reference=summary.reference,
        trigger=summary.trigger,
        members=len(case.arrivals),
        matched=counts["matched"],
        no_overlap=counts["no_overlap"],
        failed=counts["failed"],
        withdrawn=counts["withdrawn"],
        rejected=sum(member.verdict == "reject" for member in summary.members),
        missing=len(summary.missing),
        completeness=summary.completeness,
        first_arrival_to_publish_s=now - case.frozen.since / 1000,
        complete_to_publish_s=now - case.frozen.at / 1000,
    )


def ratio_of(model: schemas.BackgroundModel) -> float | None:
    """Return the mean square of a difference over its variance: 1 if all is well."""
    if model.matched_mse is None or not model.diff_im_var:
        return None
    return finite(model.matched_mse / model.diff_im_var)


def why(model: schemas.BackgroundModel) -> str | None:
    """Tell why the status is not the ordinary one, or why a match was rejected."""
    if model.status == "matched" and model.verdict == "reject":
        return "; ".join(model.verdict_reasons)[:_LONGEST_TEXT]
    return None if model.reason is None else model.reason[:_LONGEST_TEXT]


def _job_seconds(case: Case, visit: int) -> float | None:
    """Tell what a worker spent on the match of a visit; waiting and fetching are not in it."""
    tried = case.done.matched.get(visit)
    if not isinstance(tried, Tried) or isinstance(tried.result, jobs.JobFault):
        return None
    return sum(tried.result.timings.values(), start=0.0)


def _figures(quality: schemas.Quality | None) -> dict[str, Any]:
    """Lay the figures of the sky out flat."""
    return {} if quality is None else msgspec.structs.asdict(quality)


def _stages(case: Case, visit: int) -> dict[str, Any]:
    """Tell what workers spent on a visit, stage by stage."""
    spent = case.done.timings.get(visit, {})
    return {name: spent.get(stage) for stage, name in _STAGES.items()}
