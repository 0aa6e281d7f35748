"""What goes out beside the models: group summaries and flat metrics (DESIGN.md section 4)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from schemas.events import Identified
from schemas.fields import (
    MAX_VISITS,
    Digest,
    Kind,
    Line,
    Natural,
    Positive,
    Share,
    Status,
    Text,
    Trigger,
    Verdict,
    Visits,
    refuse_unless,
    require_digest,
    require_rising,
)

__all__ = ["BackgroundMetric", "GroupMatched", "MemberSummary"]

GroupStatus = Literal["complete", "partial", "incomplete", "retracted"]


class MemberSummary(Struct, frozen=True, kw_only=True):
    """One warp of a revision.

    Attributes
    ----------
    visit : int
        The visit's number.
    status : str
        What became of the warp.
    verdict : str
        Fit to be coadded or not.
    model_id : str or null
        Names the model message that holds for this revision, sent with it or before.
    cost : float or null
        Cost as a reference, lower is better; null if it could not be measured.
    reason : str or null
        Why, where the status is not the ordinary one, or the verdict a rejection.
    """

    visit: Natural
    status: Status
    verdict: Verdict = "none"
    model_id: Digest | None = None
    cost: float | None = None
    reason: Text | None = None

    def __post_init__(self) -> None:
        require_digest("model_id", self.model_id)


class GroupMatched(Identified, frozen=True, kw_only=True):
    """A revision of a group, whole: when every model named here is at hand, so is the revision.

    Attributes
    ----------
    revision : int
        1, 2, ... without a gap.
    kind : str
        Kind of the revision.
    supersedes : int or null
        The revision that this one takes the place of.
    status : str
        Whether all that was expected is in it.
    trigger : str
        The rule that completed the group.
    completeness : float
        Members over what was expected, from 0 to 1.
    expected : int or null
        How many visits were expected; null if nobody said.
    missing : tuple of int
        Visits that were expected by name and did not come.
    reference : int or null
        Visit of the reference.
    reference_changed : bool
        Whether it is another than in the revision before.
    members : tuple of MemberSummary
        One for each visit, in ascending order.
    config_digest : str
        The sha256 of the configuration of the matching.
    numerics_version : str
        Version of the arithmetic.
    software_version : str
        Version of evensky.
    completed_at : float
        Stream time at which the members were frozen, in seconds since 1970 (UTC).
    published_at : float
        When the owner published it, by its own clock, in seconds since 1970 (UTC).
    warnings : tuple of str
        What an astronomer should know of the whole group, each as a sentence.
    """

    ce_type: ClassVar[str] = "group.matched.v1"

    revision: Positive
    kind: Kind
    supersedes: Positive | None = None
    status: GroupStatus
    trigger: Trigger
    completeness: Share
    expected: Positive | None = None
    missing: Visits = ()
    reference: Natural | None = None
    reference_changed: bool = False
    members: Annotated[tuple[MemberSummary, ...], Meta(max_length=MAX_VISITS)]
    config_digest: Digest
    numerics_version: Line
    software_version: Line
    completed_at: float
    published_at: float
    warnings: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_digest("config_digest", self.config_digest)
        require_rising("missing", self.missing)
        visits = tuple(member.visit for member in self.members)
        require_rising("members", visits)
        refuse_unless(
            self.reference is None or self.reference in visits,
            f"the reference must be one of the members, and {self.reference} is not",
        )
        refuse_unless(
            self.supersedes is None or self.supersedes < self.revision,
            f"revision {self.revision} can only supersede a lower one, not {self.supersedes}",
        )


class BackgroundMetric(Identified, frozen=True, kw_only=True):
    """The numbers of one warp or one group, flat, for a time-series database.

    Strings and numbers only; what does not apply is null.

    Attributes
    ----------
    scope : str
        What the numbers are about.
    revision : int
        The group's revision.
    kind : str
        Kind of the revision.
    status : str
        The warp's or the group's.
    visit : int or null
        The warp's visit; null for a group.
    reference : int or null
        Visit of the reference.
    trigger : str or null
        The rule that completed the group.
    verdict : str or null
        Of the warp.
    reason : str or null
        Why, where the status is not the ordinary one, or the verdict a rejection.
    fit_rms : float or null
        As in the model, in the image's unit.
    matched_mse, diff_im_var : float or null
        As in the model, in the image's unit squared.
    ratio : float or null
        The quotient matched_mse / diff_im_var.
    mean, variance : float or null
        Of the warp's good pixels, in the image's unit and its square.
    count : int or null
        Good pixels of the warp.
    cost : float or null
        Cost as a reference.
    tiles, kappa, sky_chi2, worst_block, worst_x, worst_y : float or null
        As in the model's quality.
    sky_offset, sky_rms, sky_error, coverage, extrapolated_fraction : float or null
        As in the model's quality.
    members, matched, no_overlap, failed, withdrawn, rejected, missing : int or null
        How many, in the group.
    completeness : float or null
        Members over what was expected.
    job_s : float or null
        What a worker spent on this warp's match, all its stages together, in seconds; null if
        there was no match, or a fault ended it.
    first_arrival_to_publish_s, complete_to_publish_s : float or null
        How long the group waited, in seconds.
    decode_s, scale_s, measure_s, match_s : float or null
        What workers spent on this warp, stage by stage, in seconds; null for a stage that was not
        needed.
    """

    ce_type: ClassVar[str] = "background.metric.v1"

    scope: Literal["warp", "group"]
    revision: Positive
    kind: Kind
    status: Status | GroupStatus
    visit: Natural | None = None
    reference: Natural | None = None
    trigger: Trigger | None = None
    verdict: Verdict | None = None
    reason: Text | None = None
    fit_rms: float | None = None
    matched_mse: float | None = None
    diff_im_var: float | None = None
    ratio: float | None = None
    mean: float | None = None
    variance: float | None = None
    count: Natural | None = None
    cost: float | None = None
    tiles: Natural | None = None
    kappa: float | None = None
    sky_chi2: float | None = None
    worst_block: float | None = None
    worst_x: float | None = None
    worst_y: float | None = None
    sky_offset: float | None = None
    sky_rms: float | None = None
    sky_error: float | None = None
    coverage: Share | None = None
    extrapolated_fraction: Share | None = None
    members: Natural | None = None
    matched: Natural | None = None
    no_overlap: Natural | None = None
    failed: Natural | None = None
    withdrawn: Natural | None = None
    rejected: Natural | None = None
    missing: Natural | None = None
    completeness: Share | None = None
    job_s: float | None = None
    first_arrival_to_publish_s: float | None = None
    complete_to_publish_s: float | None = None
    decode_s: float | None = None
    scale_s: float | None = None
    measure_s: float | None = None
    match_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unless(
            (self.scope == "warp") == (self.visit is not None),
            f"visit belongs to scope 'warp', which must have it, not to {self.scope!r}",
        )
