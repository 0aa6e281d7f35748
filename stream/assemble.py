"""From what was found out about a frozen revision to the messages that publish it.

One place for the service and for the batch command, so that both write the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from sys import intern
from typing import Any, Literal, cast

import msgspec

import core
import schemas
from core import groups
from stream import jobs
from stream.basis import Basis, Past
from stream.figures import finite, in_tract, quality_of
from stream.measures import group_metric, measure_of, why, without_group
from stream.rebuild import model_of
from stream.revision import Case, Revision, Row, Told, Unfolding, case_of
from stream.workshop import Fulfilled, Made, Tried

__all__ = ["Assembler"]

_GroupStatus = Literal["complete", "partial", "incomplete", "retracted"]

_UNNAMED = 64 * "0"
_INCOMPLETE = "fewer members than a match needs"
_MOST_WARNINGS, _LONGEST_TEXT = 32, 1024  # what the message holds
_ALL_REASONS = 2**20  # characters in a summary, whose topic takes 4 MiB (stream/log/topics.py)


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
        return Past(
            reference=group.header.reference,
            reference_digest=group.header.reference_digest,
            pinned=groups.pinned(group, policy),
            sent=_sent_before(group, frozen),
            basis=lambda visit, reference: self._basis.of(members[visit], members[reference]),
        )

    def revision(self, case: Case, now: float) -> Revision:
        """Make the messages of a revision.

        Parameters
        ----------
        case : Case
        now : float
            Wall time, seconds since 1970; goes into the summary and the group's metric only.
        """
        return self.unfold(case, now).revision

    def unfold(self, case: Case, now: float) -> Unfolding:
        """Write up all that takes long, and leave the rest to whoever writes the revision.

        Parameters
        ----------
        case, now
            As for `revision`.
        """
        frozen = case.frozen
        visits = () if frozen.incomplete else sorted((*case.members, *frozen.withdrawn))
        kept = self._kept(case, visits)
        missing = (visit for visit in visits if visit not in kept and visit not in case.made)
        whole = replace(case, made={**case.made, **{v: self._made(case, v) for v in missing}})

        def conclude(rows: Mapping[int, Row]) -> Revision:
            summary = self._summary(whole, rows, now)
            return Revision(rows, summary, group_metric(whole, summary, now))

        rows = ((visit, self._row(whole, visit, kept.get(visit))) for visit in visits)
        return Unfolding(whole, rows, conclude)

    def _kept(self, case: Case, visits: Sequence[int]) -> Mapping[int, groups.Sent]:
        """Return what was sent of visits, where it would be sent again as it was."""
        if not case.past.sent:
            return {}
        found = ((v, case.past.kept(v, self._basis_of(case, v))) for v in visits)
        return {visit: sent for visit, sent in found if sent is not None}

    @staticmethod
    def _row(case: Case, visit: int, kept: groups.Sent | None) -> Row:
        """Say all that a revision says of one visit."""
        if kept is not None:
            return Row(kept, fresh=False, summary=_member(case, visit, kept), told=None)
        made, before = case.made[visit], case.past.sent.get(visit)
        sent, told = made.sent, None
        if before is None or before.model_id != sent.model_id:
            told = Told(made.model, made.value, measure_of(case, made))
        return Row(sent, fresh=sent != before, summary=_member(case, visit, sent), told=told)

    def _basis_of(self, case: Case, visit: int) -> str:
        return self._basis.of(case.member(visit), case.member(case.done.reference))

    def ahead(
        self,
        group: schemas.GroupId,
        frozen: groups.Frozen,
        visit: int,
        tried: Tried,
        measured: groups.Measurement | None,
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
        measured : Measurement or None
            Of the warp, where that is known.
        """
        done = Fulfilled(reference=tried.reference, matched={visit: tried})
        if measured is not None:
            done.measured[visit] = measured
        if isinstance(tried.result, jobs.Matched):
            done.spent(visit, tried.result.timings)
        return self._made(case_of(group, frozen, done, Past()), visit)

    def _made(self, case: Case, visit: int) -> Made:
        """Write up a visit."""
        done, frozen, model = case.done, case.frozen, self._model(case, visit)
        measured = done.measured.get(visit)
        return Made(
            (done.reference, frozen.revision, str(frozen.kind)),
            model,
            schemas.encode_value(model),
            _sent_as(self._basis_of(case, visit), model),
            without_group(case, model),
            measured if isinstance(measured, groups.Measurement) else None,
            done.timings.get(visit, {}),
        )

    def _model(self, case: Case, visit: int) -> schemas.BackgroundModel:
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

    def _findings(self, case: Case, visit: int) -> dict[str, Any]:
        """Tell the fields that depend on what became of the warp."""
        if visit in case.frozen.withdrawn:
            return {"status": "withdrawn"}
        if visit == case.done.reference:
            return self._of_reference()
        return self._of_outcome(case, visit)

    def _of_outcome(self, case: Case, visit: int) -> dict[str, Any]:
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

    def _of_match(self, case: Case, result: jobs.Matched) -> dict[str, Any]:
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

    def _summary(self, case: Case, rows: Mapping[int, Row], now: float) -> schemas.GroupMatched:
        frozen = case.frozen
        reference = case.done.reference
        return schemas.GroupMatched(
            **case.common,
            supersedes=frozen.revision - 1 or None,
            status=_status(frozen, rows.values()),
            trigger=cast("Any", str(frozen.trigger)),
            completeness=frozen.completeness,
            expected=frozen.expected,
            missing=frozen.missing,
            reference=reference,
            reference_changed=frozen.revision > 1 and reference != case.past.reference,
            members=tuple(row.summary for row in rows.values()) or _lone(case),
            config_digest=self._config_digest,
            numerics_version=core.NUMERICS_VERSION,
            software_version=self._software_version,
            completed_at=frozen.at / 1000,
            published_at=now,
            warnings=tuple(text[:_LONGEST_TEXT] for text in case.done.warnings[:_MOST_WARNINGS]),
        )


def _sent_before(group: groups.Group, frozen: groups.Frozen) -> dict[int, groups.Sent]:
    """Return what was last sent of a revision's visits; nothing before any was published."""
    if not group.header.published:
        return {}
    visits = (*(member.visit for member in frozen.members), *frozen.withdrawn)
    known = ((visit, group.members.get(visit)) for visit in visits)
    return {visit: one.sent for visit, one in known if one is not None and one.sent is not None}


def _sent_as(basis: str, model: schemas.BackgroundModel) -> groups.Sent:
    """Return what is remembered of a model; equal texts are one, for a partition has many."""
    status, verdict = intern(model.status), intern(model.verdict)
    return groups.Sent(basis, model.model_id, status, verdict, why(model))


def _status(frozen: groups.Frozen, rows: Iterable[Row]) -> _GroupStatus:
    """Tell whether the revision holds all that was expected of it."""
    if frozen.kind is groups.Kind.RETRACTION:
        return "retracted"
    if frozen.incomplete:
        return "incomplete"
    whole = frozen.completeness >= 1 and all(row.sent.status != "failed" for row in rows)
    return "complete" if whole else "partial"


def _member(case: Case, visit: int, sent: groups.Sent) -> schemas.MemberSummary:
    """Name a member; in a group of thousands each reason is cut, so that all have room."""
    reason = sent.reason
    if reason is not None:
        members = len(case.members) + len(case.frozen.withdrawn)
        reason = reason[: min(_LONGEST_TEXT, _ALL_REASONS // members)]
    return schemas.MemberSummary(
        visit=visit,
        status=cast("Any", sent.status),
        verdict=cast("Any", sent.verdict),
        model_id=sent.model_id,
        cost=finite(case.done.costs.get(visit)),
        reason=reason,
    )


def _lone(case: Case) -> tuple[schemas.MemberSummary, ...]:
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


def _flags(case: Case, result: jobs.Matched) -> tuple[str, ...]:
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
