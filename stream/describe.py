"""What a warp's own file says of it, as the message that announces it.

The batch command and `evensky announce` both go through here, so that the models of a set of files
are the same bytes whether they were matched in batch or live.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

import schemas
from stream import fits

__all__ = ["Described", "Override", "Undescribed", "describe"]

T = TypeVar("T")

_SKIES: Final[dict[str, Literal["intact", "subtracted"]]] = {
    "intact": "intact",
    "subtracted": "subtracted",
}


@dataclass(frozen=True, slots=True)
class Override:
    """Identity given by the user, which goes before what the headers say.

    Attributes
    ----------
    campaign, skymap, band : str or None
    tract, patch, visit : int or None
        None leaves the word to the header, then to the defaults ``live``, ``none``, 0, 0 and,
        for the band, ``none``.
    """

    campaign: str | None = None
    skymap: str | None = None
    tract: int | None = None
    patch: int | None = None
    band: str | None = None
    visit: int | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """A file that can be announced."""

    path: Path
    message: schemas.WarpArrived


@dataclass(frozen=True, slots=True)
class Undescribed:
    """A file that cannot be announced, and why."""

    path: Path
    reason: str
    message: str


def describe(path: Path, override: Override) -> Described | Undescribed:
    """Read a warp's headers and make its announcement.

    Parameters
    ----------
    path : Path
        A FITS file on this host. It is read whole, because its checksum is part of the message.
    override : Override
        Identity that goes before the headers.

    Returns
    -------
    Described or Undescribed
        A file that says too little, or is none, is named with the remedy instead of raising.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return Undescribed(path, "missing", f"cannot be read: {error.strerror}")
    try:
        return Described(path, _message(path, data, fits.identify(data), override))
    except fits.WarpError as error:
        return Undescribed(path, error.reason, error.message)
    except ValueError as error:
        return Undescribed(path, "identity", str(error))


def _message(
    path: Path, data: bytes, header: fits.WarpHeader, override: Override
) -> schemas.WarpArrived:
    return schemas.WarpArrived(
        campaign=_first(override.campaign, header.campaign, "live"),
        skymap=_first(override.skymap, header.skymap, "none"),
        tract=_first(override.tract, header.tract, 0),
        patch=_first(override.patch, header.patch, 0),
        band=_first(override.band, header.band, "none"),
        visit=_visit(override.visit, header.visit),
        uri=path.resolve().as_uri(),
        checksum=hashlib.sha256(data).hexdigest(),
        size=len(data),
        shape=header.shape,
        unit=header.unit,
        sky=_SKIES.get(header.sky, "unknown"),
    )


def _first(*candidates: T | None) -> T:
    return next(value for value in candidates if value is not None)


def _visit(given: int | None, header: int | None) -> int:
    visit = header if given is None else given
    if visit is None:
        raise ValueError("the header has no VISIT; say which visit it is with --visit NUMBER")
    return visit
