"""From what was found out about a frozen revision to the messages that publish it.

One place for the service and for the batch command, so that both write the same bytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Literal, cast

import msgspec

import core
import schemas
from core import groups
from stream import jobs
from stream.basis import Basis, Past
from stream.figures import finite, in_tract, quality_of
from stream.rebuild import model_of
from stream.workshop import Announced, Fulfilled, Made, Tried

__all__ = ["Assembler", "Revision"]

_GroupStatus = Literal["complete", "partial", "incomplete", "retracted"]
_Made = tuple[groups.Sent, schemas.BackgroundModel | None]

_UNNAMED = 64 * "0"
_INCOMPLETE = "fewer members than a match needs"
_MOST_WARNINGS, _LONGEST_TEXT = 32, 1024  # what the message holds
_ALL_REASONS = 2**20  # characters in a summary, whose topic takes 4 MiB (stream/log/topics.py)
_STAGES = {stage: f"{stage}_s" for stage in ("decode", "scale", "measure", "match")}


@dataclass(frozen=True, slots=True)
class Revision:
    """The messages of one revision.

    Attributes
    ----------
    models : tuple of BackgroundModel
        Of the members whose model is another than the last one sent, ascending in visit; none if
        the revision is incomplete.
    summary : GroupMatched
    metrics : tuple of BackgroundMetric
        One a model, then one for the group.
    sent : tuple of (int, Sent)
        What is to be remembered of the visits that were worked on.
    values : mapping of int to bytes
        Bytes of models that were made ahead, by visit.
    """

    models: tuple[schemas.BackgroundModel, ...]
    summary: schemas.GroupMatched
    metrics: tuple[schemas.BackgroundMetric, ...]
    sent: tuple[tuple[int, groups.Sent], ...] = ()
    values: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Case:
    """What all messages of one revision have in common; `common` are fields of each of them."""

    group: schemas.GroupId
    frozen: groups.Frozen
    done: Fulfilled
    past: Past
    arrivals: Mapping[int, schemas.WarpArrived]
    members: Mapping[int, groups.FrozenMember]
    trigger: Any
    common: Mapping[str, Any]

    def member(self, visit: int | None) -> groups.FrozenMember | None:
        """Return a member by its visit; None for a visit that is none."""
        return None if visit is None else self.members.get(visit)

    def digest(self, visit: int | None) -> str | None:
        """Return the digest of a member's input; None for a visit that is no member."""
        member = self.member(visit)
        return None if member is None else member.digest

    def made(self, visit: int) -> Made | None:
        """Return a model that was made ahead, if this revision is the one it was made for."""
        tried = self.done.matched.get(visit)
        made = tried.made if isinstance(tried, Tried) else None
        if made is None or made.model.reference != self.done.reference:
            return None
        ours = (self.common["revision"], self.common["kind"])
        return made if (made.model.revision, made.model.kind) == ours else None


def _case(group: schemas.GroupId, frozen: groups.Frozen, done: Fulfilled, past: Past) -> _Case:
    return _Case(
        group,
        frozen,
        done,
        past,
        arrivals=done.arrivals or Announced(group, frozen),
        members={member.visit: member for member in frozen.members},
        trigger=str(frozen.trigger),
        common=group.fields | {"revision": frozen.revision, "kind": str(frozen.kind)},
    )


class Assembler:
    """Makes messages.

    Parameters
    ----------
    config : MatchConfig
        The configuration of the matching, whose digest every message carries.
    profile : VerdictProfile
        The rule for verdicts.
    software_version : str
        Version of evensky.
    limits : VerdictLimits, optional
        Limits of the rule ``survey``; the config digest does not hang on them.
    """

    def __init__(
        self,
        config: core.MatchConfig,
        profile: core.VerdictProfile,
        software_version: str,
        limits: core.VerdictLimits | None = None,
    ) -> None:
        self._profile = profile
        self._limits = core.VerdictLimits() if limits is None else limits
        self._basis = Basis(config, profile, self._limits)
        self._config_digest = schemas.config_digest(config.to_mapping())
        self._software_version = software_version

    def past(self, group: groups.Group, frozen: groups.Frozen, policy: groups.Policy) -> Past:
        """Tell what a revision can build on, once the one before it is published.

        Parameters
        ----------
        group : Group
        frozen : Frozen
            One of its revisions.
        policy : Policy
        """
        members = {member.visit: member for member in frozen.members}
        known = {visit: group.members.get(visit) for visit in (*members, *frozen.withdrawn)}
        return Past(
            reference=group.header.reference,
            reference_digest=group.header.reference_digest,
            pinned=groups.pinned(group, policy),
            sent={v: one.sent for v, one in known.items() if one is not None and one.sent},
            basis=lambda visit, reference: self._basis.of(members[visit], members[reference]),
        )

    def revision(
        self,
        group: schemas.GroupId,
        frozen: groups.Frozen,
        done: Fulfilled,
        *,
        past: Past | None = None,
        now: float,
    ) -> Revision:
        """Make the messages of a revision.

        Parameters
        ----------
        group : GroupId
        frozen : Frozen
            Its content.
        done : Fulfilled
            What the workshop found out.
        past : Past, optional
            What was published before; nothing, if not given.
        now : float
            Wall time, seconds since 1970; goes into the summary and the metrics only.
        """
        case = _case(group, frozen, done, past or Past())
        made = {} if frozen.incomplete else dict(self._made(case))
        standing = {visit: sent for visit, (sent, _) in made.items()}
        models = tuple(model for _, model in made.values() if model is not None)
        summary = self._summary(case, standing, now)
        metrics = (*_warp_metrics(case, models), _group_metric(case, summary, now))
        fresh = tuple(one for one in standing.items() if case.past.sent.get(one[0]) != one[1])
        ahead = {model.visit: case.made(model.visit) for model in models}
        values = {visit: one.value for visit, one in ahead.items() if one is not None}
        return Revision(models, summary, metrics, fresh, values)

    def ahead(
        self, group: schemas.GroupId, frozen: groups.Frozen, visit: int, tried: Tried
    ) -> Made:
        """Make the model of a match that is not due yet.

        Parameters
        ----------
        group : GroupId
        frozen : Frozen
            The revision that it is likely to be for, with at least the warp and its reference.
        visit : int
            Of the warp.
        tried : Tried
            The match.
        """
        done = Fulfilled(reference=tried.reference, matched={visit: tried})
        model = self._model(_case(group, frozen, done, Past()), visit)
        return Made(model, schemas.encode_value(model))

    def _made(self, case: _Case) -> Iterable[tuple[int, _Made]]:
        """Yield what stands of each visit after this revision, and the model if it is sent."""
        reference = case.member(case.done.reference)
        for visit in sorted((*case.arrivals, *case.frozen.withdrawn)):
            basis = self._basis.of(case.member(visit), reference)
            kept = case.past.kept(visit, basis)
            yield visit, (kept, None) if kept is not None else self._sent(case, visit, basis)

    def _sent(self, case: _Case, visit: int, basis: str) -> _Made:
        """Make a model; it is not sent if it says what the last one said."""
        made, before = case.made(visit), case.past.sent.get(visit)
        model = self._model(case, visit) if made is None else made.model
        status, verdict = intern(model.status), intern(model.verdict)  # one text for many visits
        sent = groups.Sent(basis, model.model_id, status, verdict, _why(model))
        said = before is not None and before.model_id == model.model_id
        return sent, None if said else model

    def _model(self, case: _Case, visit: int) -> schemas.BackgroundModel:
        reference = case.done.reference
        arrival = case.arrivals.get(visit)
        unnamed = schemas.BackgroundModel(
            **case.common,
            visit=visit,
            model_id=_UNNAMED,
            is_reference=visit == reference,
            reference=reference,
            scale=1.0 if arrival is None else arrival.scale,
            unit=None if arrival is None else arrival.unit,
            config_digest=self._config_digest,
            input_digest=case.digest(visit),
            reference_digest=case.digest(reference),
            numerics_version=core.NUMERICS_VERSION,
            **self._findings(case, visit),
        )
        return msgspec.structs.replace(unnamed, model_id=schemas.model_id(unnamed))

    def _findings(self, case: _Case, visit: int) -> dict[str, Any]:
        """Tell the fields that depend on what became of the warp."""
        if visit in case.frozen.withdrawn:
            return {"status": "withdrawn"}
        if visit == case.done.reference:
            return self._of_reference()
        return self._of_outcome(case, visit)

    def _of_outcome(self, case: _Case, visit: int) -> dict[str, Any]:
        tried = case.done.matched.get(visit)
        match tried.result if isinstance(tried, Tried) else case.done.measured.get(visit):
            case jobs.Matched(status="matched") as result:
                return self._of_match(case, result)
            case jobs.Matched() as result:
                return self._unusable(result.status, result.reason)
            case jobs.JobFault() as fault:
                return self._unusable("failed", f"{fault.reason}: {fault.message}")
            case groups.Failed() as failed:
                return self._unusable("failed", failed.reason)
            case _:
                return self._unusable("failed", "no warp of the group could be measured")

    def _of_reference(self) -> dict[str, Any]:
        return {"status": "reference", **self._judged(core.Verdict.ACCEPT)}

    def _unusable(self, status: str, reason: str | None) -> dict[str, Any]:
        judged = self._judged(core.Verdict.REJECT, ("there is no model",))
        return {"status": status, "reason": reason, **judged}

    def _of_match(self, case: _Case, result: jobs.Matched) -> dict[str, Any]:
        judgement = self._judgement(result)
        return {
            "status": "matched",
            "model": _model(result),
            "fit_rms": result.fit_rms,
            "matched_mse": result.matched_mse,
            "diff_im_var": result.diff_im_var,
            "quality": quality_of(result),
            "flags": _flags(case, result),
            **self._judged(judgement.verdict, judgement.reasons),
        }

    def _judgement(self, result: jobs.Matched) -> core.Judgement:
        fit_rms, matched_mse, diff_im_var = (
            math.nan if figure is None else figure
            for figure in (result.fit_rms, result.matched_mse, result.diff_im_var)
        )
        quality = in_tract(result)
        return core.judge(self._profile, fit_rms, matched_mse, diff_im_var, quality, self._limits)

    def _judged(self, verdict: core.Verdict, reasons: tuple[str, ...] = ()) -> dict[str, Any]:
        """Tell the verdict's fields, unless the profile judges nothing."""
        silent = self._profile is core.VerdictProfile.NONE
        return {
            "verdict": str(core.Verdict.NONE if silent else verdict),
            "verdict_profile": str(self._profile),
            "verdict_reasons": () if silent else reasons,
        }

    def _summary(
        self,
        case: _Case,
        standing: Mapping[int, groups.Sent],
        now: float,
    ) -> schemas.GroupMatched:
        frozen = case.frozen
        reference = case.done.reference
        return schemas.GroupMatched(
            **case.common,
            supersedes=frozen.revision - 1 or None,
            status=_status(frozen, standing.values()),
            trigger=case.trigger,
            completeness=frozen.completeness,
            expected=frozen.expected,
            missing=frozen.missing,
            reference=reference,
            reference_changed=frozen.revision > 1 and reference != case.past.reference,
            members=_members(case, standing) or _lone(case),
            config_digest=self._config_digest,
            numerics_version=core.NUMERICS_VERSION,
            software_version=self._software_version,
            completed_at=frozen.at / 1000,
            published_at=now,
            warnings=tuple(text[:_LONGEST_TEXT] for text in case.done.warnings[:_MOST_WARNINGS]),
        )


def _status(frozen: groups.Frozen, standing: Iterable[groups.Sent]) -> _GroupStatus:
    """Tell whether the revision holds all that was expected of it."""
    if frozen.kind is groups.Kind.RETRACTION:
        return "retracted"
    if frozen.incomplete:
        return "incomplete"
    whole = frozen.completeness >= 1 and all(one.status != "failed" for one in standing)
    return "complete" if whole else "partial"


def _members(case: _Case, standing: Mapping[int, groups.Sent]) -> tuple[schemas.MemberSummary, ...]:
    """Name the members; in a group of thousands each reason is cut, so that all have room."""
    room = min(_LONGEST_TEXT, _ALL_REASONS // max(len(standing), 1))
    return tuple(
        schemas.MemberSummary(
            visit=visit,
            status=cast("Any", one.status),
            verdict=cast("Any", one.verdict),
            model_id=one.model_id,
            cost=finite(case.done.costs.get(visit)),
            reason=None if one.reason is None else one.reason[:room],
        )
        for visit, one in standing.items()
    )


def _why(model: schemas.BackgroundModel) -> str | None:
    """Tell why the status is not the ordinary one, or why a match was rejected."""
    if model.status == "matched" and model.verdict == "reject":
        return "; ".join(model.verdict_reasons)[:_LONGEST_TEXT]
    return None if model.reason is None else model.reason[:_LONGEST_TEXT]


def _lone(case: _Case) -> tuple[schemas.MemberSummary, ...]:
    """Name the members of a revision that has no models."""
    return tuple(
        schemas.MemberSummary(
            visit=visit,
            status="reference" if visit == case.done.reference else "failed",
            reason=None if visit == case.done.reference else _INCOMPLETE,
        )
        for visit in case.arrivals
    )


def _model(result: jobs.Matched) -> schemas.Model | None:
    return None if result.background is None else model_of(result.background, result.origin)


def _flags(case: _Case, result: jobs.Matched) -> tuple[str, ...]:
    """Add to the quality's flags what the whole revision tells."""
    compared = case.arrivals.keys() & {result.visit, case.done.reference}
    skies = {case.arrivals[visit].sky for visit in compared}
    quality = result.quality
    found = set() if quality is None else set(quality.flags)
    if len(skies) > 1:
        found.add("mixed_sky")
    if quality is not None and quality.extrapolated_fraction > 0:
        found.add("extrapolated")
    return tuple(sorted(found))


def _warp_metrics(
    case: _Case, models: Iterable[schemas.BackgroundModel]
) -> Iterable[schemas.BackgroundMetric]:
    for model in models:
        measured = case.done.measured.get(model.visit)
        known = measured if isinstance(measured, groups.Measurement) else None
        yield schemas.BackgroundMetric(
            **case.common,
            scope="warp",
            status=model.status,
            visit=model.visit,
            reference=model.reference,
            trigger=case.trigger,
            verdict=model.verdict,
            reason=_why(model),
            fit_rms=model.fit_rms,
            matched_mse=model.matched_mse,
            diff_im_var=model.diff_im_var,
            ratio=_ratio(model.matched_mse, model.diff_im_var),
            mean=None if known is None else finite(known.mean),
            variance=None if known is None else finite(known.variance),
            count=None if known is None else int(known.count),
            cost=finite(case.done.costs.get(model.visit)),
            job_s=_job_seconds(case, model.visit),
            **_stages(case, model.visit),
            **_figures(model.quality),
        )


def _job_seconds(case: _Case, visit: int) -> float | None:
    """Tell what a worker spent on the match of a visit; waiting and fetching are not in it."""
    tried = case.done.matched.get(visit)
    if not isinstance(tried, Tried) or isinstance(tried.result, jobs.JobFault):
        return None
    return sum(tried.result.timings.values(), start=0.0)


def _figures(quality: schemas.Quality | None) -> dict[str, Any]:
    """Lay the figures of the sky out flat."""
    return {} if quality is None else msgspec.structs.asdict(quality)


def _stages(case: _Case, visit: int) -> dict[str, Any]:
    """Tell what workers spent on a visit, stage by stage."""
    spent = case.done.timings.get(visit, {})
    return {name: spent.get(stage) for stage, name in _STAGES.items()}


def _group_metric(
    case: _Case, summary: schemas.GroupMatched, now: float
) -> schemas.BackgroundMetric:
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


def _ratio(matched_mse: float | None, diff_im_var: float | None) -> float | None:
    if matched_mse is None or not diff_im_var:
        return None
    return finite(matched_mse / diff_im_var)
