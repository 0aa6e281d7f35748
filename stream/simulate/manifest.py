"""The list of what a simulated survey holds: its groups, how each completes, and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["MANIFEST", "GroupEntry", "SurveyError", "SurveyManifest", "WarpEntry", "read_manifest"]

MANIFEST = "manifest.json"
"""Name of the list in the survey's folder. It is written last: a folder that has it is whole."""

_FORMAT = "evensky-survey"
_VERSION = 1


class SurveyError(Exception):
    """A survey cannot be written to, or read from, a folder; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class GroupEntry:
    """One group of the survey, and how it comes to be complete.

    Attributes
    ----------
    campaign, skymap, tract, patch, band : str or int
        The group's identity.
    visits : tuple of int
        The visits that there are.
    trigger : str
        What is to complete it: ``manifest``, ``count``, ``closed``, ``quiet`` or ``deadline``.
    expected_visits : tuple of int or None
        What its manifest is to name (``manifest``; with a visit that never comes: ``deadline``).
    expected_count : int or None
        What its arrivals are to carry as `expected` (``count``).
    """

    campaign: str
    skymap: str
    tract: int
    patch: int
    band: str
    visits: tuple[int, ...]
    trigger: str
    expected_visits: tuple[int, ...] | None = None
    expected_count: int | None = None

    @property
    def key(self) -> str:
        """``campaign/skymap/tract/patch/band``."""
        return f"{self.campaign}/{self.skymap}/{self.tract}/{self.patch}/{self.band}"


@dataclass(frozen=True, kw_only=True)
class WarpEntry:
    """One warp's file, all that its announcement says, and the file of its truth.

    `file` and `truth` are relative to the survey's folder; `psf_fwhm` is in pixels, `mjd_tai` in
    days, `origin` is ``(x0, y0)``, `shape` ``(height, width)``; `flaws` are what was planted that
    should keep a coadder from using it, as in `SimulatedWarp`.
    """

    file: str
    truth: str
    campaign: str
    skymap: str
    tract: int
    patch: int
    band: str
    visit: int
    mjd_tai: float
    checksum: str
    size: int
    shape: tuple[int, int]
    origin: tuple[int, int]
    psf_fwhm: float
    unit: str
    sky: str
    scale: float
    flaws: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of its group."""
        return f"{self.campaign}/{self.skymap}/{self.tract}/{self.patch}/{self.band}"


@dataclass(frozen=True)
class SurveyManifest:
    """A simulated survey on disk.

    Attributes
    ----------
    directory : Path
        Its folder.
    spec : mapping
        The specification that it was made from.
    groups : tuple of GroupEntry
        Its groups, by patch, then band.
    warps : tuple of WarpEntry
        Its warps, in order of time.
    """

    directory: Path
    spec: Mapping[str, object]
    groups: tuple[GroupEntry, ...]
    warps: tuple[WarpEntry, ...]

    def warps_of(self, group: GroupEntry) -> tuple[WarpEntry, ...]:
        """Return a group's warps in order of time."""
        return tuple(warp for warp in self.warps if warp.key == group.key)

    def path(self, warp: WarpEntry) -> Path:
        """Return where a warp's file is."""
        return self.directory / warp.file

    def to_json(self) -> str:
        """Return the list as the text of its file."""
        value = {
            "format": _FORMAT,
            "version": _VERSION,
            "spec": dict(self.spec),
            "groups": [asdict(group) for group in self.groups],
            "warps": [asdict(warp) for warp in self.warps],
        }
        return json.dumps(value, indent=1) + "\n"


def read_manifest(directory: Path) -> SurveyManifest:
    """Read the list of a survey that `write_survey` wrote.

    Raises
    ------
    SurveyError
        If there is none, or it is not one of ours.
    """
    path = directory / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SurveyError(
            f"{path} cannot be read ({reason}); run `evensky simulate {directory}` first"
        ) from error
    except ValueError as error:
        raise SurveyError(f"{path} is not a survey's list: {error}") from error
    if not isinstance(value, dict) or (value.get("format"), value.get("version")) != (_FORMAT, 1):
        raise SurveyError(f"{path} is not a list that this version of evensky wrote")
    return _parsed(directory, value)


def _parsed(directory: Path, value: Mapping[str, Any]) -> SurveyManifest:
    try:
        return SurveyManifest(
            directory=directory,
            spec=value["spec"],
            groups=tuple(GroupEntry(**_tuples(entry)) for entry in value["groups"]),
            warps=tuple(WarpEntry(**_tuples(entry)) for entry in value["warps"]),
        )
    except (KeyError, TypeError) as error:
        raise SurveyError(f"{directory / MANIFEST} lacks something: {error}") from error


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, Sequence) and not isinstance(v, str) else v
            for k, v in entry.items()}  # fmt: skip
