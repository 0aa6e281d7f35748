"""What comes in: the messages of the input topic (DESIGN.md section 4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Final, NamedTuple

from msgspec import Meta, Struct

from schemas.fields import (
    MAX_VISITS,
    Digest,
    Factor,
    Line,
    Name,
    Natural,
    Sky,
    Text,
    Visits,
    refuse_unless,
    require_digest,
    require_positive,
    require_rising,
)
from schemas.identity import GroupId

__all__ = [
    "MAX_DEADLINE_S",
    "ClockTick",
    "GroupClosed",
    "GroupManifest",
    "GroupReopened",
    "GroupSealed",
    "Identified",
    "JobSuspected",
    "WarpArrived",
    "WarpWithdrawn",
]

MAX_DEADLINE_S: Final = 1e9
"""Longest deadline of a manifest, in seconds (some 30 years), so that sums of times hold."""


class _Address(NamedTuple):
    group: GroupId
    key: str
    routing_key: bytes


@lru_cache(maxsize=8192, typed=True)
def _address(campaign: str, skymap: str, tract: int, patch: int, band: str) -> _Address:
    """Return an identity and its keys, made once although each event asks for them three times."""
    group = GroupId(campaign, skymap, tract, patch, band)
    return _Address(group, group.key, group.key.encode())


class Identified(Struct, frozen=True, kw_only=True):
    """A message about a group.

    Attributes
    ----------
    campaign : str
        The release run or the template's epoch.
    skymap : str
        Name of the sky map that numbers tracts and patches.
    tract, patch : int
        Where on the sky.
    band : str
        Name of the filter.
    """

    campaign: Name = "live"
    skymap: Name
    tract: Natural
    patch: Natural
    band: Name

    def __post_init__(self) -> None:
        _ = self._address  # a message whose identity is impossible cannot be made

    @property
    def _address(self) -> _Address:
        return _address(self.campaign, self.skymap, self.tract, self.patch, self.band)

    @property
    def group(self) -> GroupId:
        """The group that this message is about."""
        return self._address.group

    @property
    def group_key(self) -> str:
        """The group's key, one text for all messages about it."""
        return self._address.key

    @property
    def routing_key(self) -> bytes:
        """The record key: the group's, UTF-8."""
        return self._address.routing_key


class WarpArrived(Identified, frozen=True, kw_only=True):
    """A visit was warped onto the patch's grid and can be read.

    Attributes
    ----------
    visit : int
        The visit's number.
    uri : str
        Where the warp's file is.
    checksum : str
        The sha256 of the file's bytes, lower-case hexadecimal.
    version : int
        Of the arrivals and withdrawals of a visit the highest version is the true one.
    size : int or null
        Bytes of the file.
    shape : tuple of int or null
        Height and width of the image, in pixels.
    mjd_tai : float or null
        Middle of the exposure, modified Julian date, TAI, in days.
    scale : float
        Multiplies the image (and its square the variance) to bring it to the common zero point.
    unit : str or null
        Unit of the scaled image, for example ``nJy``.
    sky : str
        What upstream did with the sky: nothing, took it off, put it back, or nobody knows.
    psf_fwhm : float or null
        Width of the point-spread function, in arcseconds.
    expected : int or null
        How many visits the group will have in all.
    """

    ce_type: ClassVar[str] = "warp.arrived.v1"

    visit: Natural
    uri: Annotated[str, Meta(min_length=1, max_length=2048)]
    checksum: Digest
    version: Natural = 0
    size: Natural | None = None
    shape: tuple[Natural, Natural] | None = None
    mjd_tai: float | None = None
    scale: Factor = 1.0
    unit: Line | None = None
    sky: Sky = "unknown"
    psf_fwhm: Factor | None = None
    expected: Annotated[int, Meta(ge=1, le=MAX_VISITS)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_digest("checksum", self.checksum)
        require_positive("scale", self.scale)
        require_positive("psf_fwhm", self.psf_fwhm)


class WarpWithdrawn(Identified, frozen=True, kw_only=True):
    """A warp is not to be used any more.

    Attributes
    ----------
    visit : int
        The visit's number.
    version : int
        As in an arrival; a withdrawal takes back arrivals of its own and lower versions.
    reason : str
        Why, for people.
    """

    ce_type: ClassVar[str] = "warp.withdrawn.v1"

    visit: Natural
    version: Natural = 0
    reason: Text


class GroupManifest(Identified, frozen=True, kw_only=True):
    """The exact set of visits that the group will have.

    Attributes
    ----------
    version : int
        The manifest of the highest version is the true one.
    visits : tuple of int
        The visits, each once, in ascending order; 1 to 10,000.
    reference : int or null
        A visit of the set that must be the reference.
    deadline : float or null
        Seconds from this manifest after which the group is matched as it is.
    """

    ce_type: ClassVar[str] = "group.manifest.v1"

    version: Natural = 0
    visits: Annotated[Visits, Meta(min_length=1)]
    reference: Natural | None = None
    deadline: Annotated[float, Meta(gt=0, le=MAX_DEADLINE_S)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_unless(bool(self.visits), "visits must name at least one visit")
        require_rising("visits", self.visits)
        require_positive("deadline", self.deadline)
        refuse_unless(
            self.reference is None or self.reference in self.visits,
            f"reference must be one of the visits, and {self.reference} is not",
        )


class GroupClosed(Identified, frozen=True, kw_only=True):
    """Upstream has no more warps for the group for now.

    Attributes
    ----------
    version : int
        The highest version is the true one.
    """

    ce_type: ClassVar[str] = "group.closed.v1"

    version: Natural = 0


class GroupSealed(Identified, frozen=True, kw_only=True):
    """The group's history ends here.

    Attributes
    ----------
    version : int
        Among seals and reopenings the highest version is the true one.
    """

    ce_type: ClassVar[str] = "group.sealed.v1"

    version: Natural = 0


class GroupReopened(Identified, frozen=True, kw_only=True):
    """A seal is taken back.

    Attributes
    ----------
    version : int
        Among seals and reopenings the highest version is the true one.
    """

    ce_type: ClassVar[str] = "group.reopened.v1"

    version: Natural = 0


class ClockTick(Struct, frozen=True, kw_only=True):
    """Time has passed in a partition; its owner writes it when a timer is due.

    Attributes
    ----------
    partition : int
        The partition that it was written to.
    """

    ce_type: ClassVar[str] = "clock.tick.v1"

    partition: Natural

    @property
    def routing_key(self) -> bytes:
        """A key that no group can have; ticks are written to their partition explicitly."""
        return f"clock/{self.partition}".encode()


class JobSuspected(Identified, frozen=True, kw_only=True):
    """A process died while this job ran in it.

    Attributes
    ----------
    visit : int
        The visit whose warp was being worked on.
    job : str
        The job's name: a sha256 of what it computes.
    alone : bool
        Whether nothing else ran beside it.
    """

    ce_type: ClassVar[str] = "job.suspected.v1"

    visit: Natural
    job: Digest
    alone: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        require_digest("job", self.job)
