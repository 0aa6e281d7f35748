"""A simulated survey on disk: LSST's FITS, the truth beside them, and a list of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig
from stream import fits
from stream.fitswriter import Compression
from stream.simulate.manifest import (
    MANIFEST,
    GroupEntry,
    SurveyError,
    SurveyManifest,
    WarpEntry,
)
from stream.simulate.spec import (
    GAIN,
    PIXEL_SCALE,
    READ_NOISE,
    ZERO_POINT,
    SurveySpec,
    plan_night,
)
from stream.simulate.survey import SimulatedWarp, simulate

__all__ = ["README", "good_pixels", "write_survey"]

README = "README.txt"
"""Name of the file that explains a survey's folder; its first line marks the folder as ours."""

_MARK = "A survey simulated by evensky"
_UNIT = "count"
_TRIGGERS = ("manifest", "count", "closed", "manifest", "quiet", "deadline")
_COMPRESSIONS: tuple[tuple[Compression, str], ...] = (
    (None, ""),
    ("gzip", ".gz"),
    ("gzip2", ".fz"),
    ("rice", ".fz"),
)
_POINTING = (150.1, 2.2)  # degrees: right ascension and declination of the tract's pixel (0, 0)

_TEXT = f"""{_MARK}

warps/          one FITS file a visit, patch and band, as the LSST stack writes its warps: IMAGE
                (counts, zero point {ZERO_POINT:g}), MASK, VARIANCE. Names: band-patch-visit.
truth/          what was planted, one file a warp (numpy's .npz): `sky` and `sources` (float32,
                counts, [y, x]), `good` (the pixels that a match may use), `noise` (counts a pixel).
                The model of a warp should be the reference's `sky` minus the warp's.
manifest.json   the groups, what completes each of them, and every file with its checksum and its
                flaws: a chip whose amplifiers differ, a large gap, sources that no mask covers.

Match a group by hand:    evensky match {{first}} -c bin_size=64 -o matched
Made from {{spec}}.
"""


def write_survey(
    spec: SurveySpec, directory: Path, on_warp: Callable[[int, int], None] | None = None
) -> SurveyManifest:
    """Simulate a survey into a folder.

    Parameters
    ----------
    spec : SurveySpec
        What to simulate.
    directory : Path
        A new or empty folder, or one that this function wrote before: that survey is replaced.
    on_warp : callable, optional
        Called with (warps written, warps in all).

    Returns
    -------
    SurveyManifest
        What was written; also in ``manifest.json``, which is written last.

    Raises
    ------
    SurveyError
        If the folder holds something else or cannot be written.
    """
    try:
        _prepare(directory, spec)
        warps = _write_warps(spec, directory, on_warp or _ignore)
        manifest = SurveyManifest(directory, spec.to_mapping(), _groups(spec), warps)
        _replace(directory / MANIFEST, manifest.to_json().encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SurveyError(
            f"cannot write a survey to {directory}: {reason}; name a folder that can be written"
        ) from error
    return manifest


def good_pixels(image: MaskedImage) -> NDArray[np.bool_]:
    """Return the pixels that a match may use: finite, and in no bad plane of LSST's defaults."""
    bad = image.bits(MatchConfig().bad_mask_planes)
    return np.asarray(np.isfinite(image.image) & ((image.mask & bad) == 0))


def _ignore(_done: int, _total: int) -> None:
    return


def _prepare(directory: Path, spec: SurveySpec) -> None:
    if directory.exists() and not directory.is_dir():
        raise SurveyError(f"{directory} is a file; name a folder")
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        _clear(directory)
    for name in ("warps", "truth"):
        (directory / name).mkdir(exist_ok=True)
    (directory / README).write_text(_explanation(spec), encoding="utf-8")


def _explanation(spec: SurveySpec) -> str:
    made_from = ", ".join(f"{name} {value}" for name, value in spec.to_mapping().items())
    first = f"warps/{spec.bands[0]}-{spec.boxes[0].patch}-*"
    return _TEXT.replace("{first}", first).replace("{spec}", made_from)


def _clear(directory: Path) -> None:
    """Remove an earlier survey, and nothing else; refuse a folder that holds something else."""
    readme = directory / README
    if not readme.is_file() or not readme.read_text(errors="replace").startswith(_MARK):
        raise SurveyError(
            f"{directory} is not empty and holds no simulated survey; name a new or empty folder"
        )
    (directory / MANIFEST).unlink(missing_ok=True)
    for pattern in ("warps/*.fits*", "truth/*.npz"):
        for path in directory.glob(pattern):
            path.unlink()


def _write_warps(
    spec: SurveySpec, directory: Path, on_warp: Callable[[int, int], None]
) -> tuple[WarpEntry, ...]:
    total = spec.visits * spec.patches * len(spec.bands)
    entries: list[WarpEntry] = []
    for warp in simulate(spec):
        entries.append(_write_warp(spec, directory, warp))
        on_warp(len(entries), total)
    return tuple(entries)


def _write_warp(spec: SurveySpec, directory: Path, warp: SimulatedWarp) -> WarpEntry:
    name = f"{warp.plan.band}-{warp.box.patch}-{warp.plan.visit}"
    compression, suffix = _COMPRESSIONS[warp.plan.index % len(_COMPRESSIONS)]
    file, truth = f"warps/{name}.fits{suffix}", f"truth/{name}.npz"
    data = fits.encode(
        warp.image,
        _header(spec, warp),
        compression=compression,
        wcs=_wcs(warp.image.origin),
    )
    (directory / file).write_bytes(data)
    _write_truth(directory / truth, warp)
    return _entry(spec, warp, file, truth, data)


def _write_truth(path: Path, warp: SimulatedWarp) -> None:
    good = good_pixels(warp.image)
    variance = warp.image.variance[good]
    noise = np.sqrt(np.median(variance)) if variance.size else np.float32(np.nan)
    np.savez(path, sky=warp.sky, sources=warp.sources, good=good, noise=noise)


def _entry(spec: SurveySpec, warp: SimulatedWarp, file: str, truth: str, data: bytes) -> WarpEntry:
    return WarpEntry(
        file=file,
        truth=truth,
        campaign=spec.campaign,
        skymap=spec.skymap,
        tract=spec.tract,
        patch=warp.box.patch,
        band=warp.plan.band,
        visit=warp.plan.visit,
        mjd_tai=warp.plan.mjd,
        checksum=hashlib.sha256(data).hexdigest(),
        size=len(data),
        shape=warp.image.shape,
        origin=warp.image.origin,
        psf_fwhm=warp.plan.fwhm,
        unit=_UNIT,
        sky="intact",
        scale=1.0,
        flaws=warp.flaws,
    )


def _header(spec: SurveySpec, warp: SimulatedWarp) -> dict[str, str | int | float | bool]:
    """Return the cards that say whose warp it is, when it was taken, and where it lies."""
    return {
        "SKYMAP": spec.skymap,
        "TRACT": spec.tract,
        "PATCH": warp.box.patch,
        "BAND": warp.plan.band,
        "VISIT": warp.plan.visit,
        "MJD": warp.plan.mjd,
        "TELESCOP": "evensky simulator",
        "EXPTIME": 30.0,
        "FWHM": warp.plan.fwhm,
        "TRANSP": warp.plan.transparency,
        "SKYSUB": False,
        "BUNIT": _UNIT,
        "MAGZERO": ZERO_POINT,
        "GAIN": round(GAIN * warp.plan.transparency, 4),
        "RDNOISE": READ_NOISE,
    }


def _wcs(origin: tuple[int, int]) -> dict[str, str | int | float | bool]:
    scale = PIXEL_SCALE / 3600.0
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": _POINTING[0],
        "CRVAL2": _POINTING[1],
        "CRPIX1": 1.0 - origin[0],
        "CRPIX2": 1.0 - origin[1],
        "CDELT1": -scale,
        "CDELT2": scale,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "RADESYS": "ICRS",
    }


def _groups(spec: SurveySpec) -> tuple[GroupEntry, ...]:
    plans = plan_night(spec)
    return tuple(
        _group(spec, number, patch, band, tuple(p.visit for p in plans if p.band == band))
        for number, (patch, band) in enumerate(_names(spec))
    )


def _names(spec: SurveySpec) -> Iterator[tuple[int, str]]:
    for box in spec.boxes:
        for band in spec.bands:
            yield box.patch, band


def _group(
    spec: SurveySpec, number: int, patch: int, band: str, visits: tuple[int, ...]
) -> GroupEntry:
    """Say how the group is to complete: each of the rules once, the rest by manifest."""
    trigger = _TRIGGERS[number] if number < len(_TRIGGERS) else "manifest"
    never = visits[-1] + 500  # the visit that the deadline's manifest waits for in vain
    expected = {"manifest": visits, "deadline": (*visits, never)}.get(trigger)
    return GroupEntry(
        campaign=spec.campaign,
        skymap=spec.skymap,
        tract=spec.tract,
        patch=patch,
        band=band,
        visits=visits,
        trigger=trigger,
        expected_visits=expected,
        expected_count=len(visits) if trigger == "count" else None,
    )


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
