"""The two jobs that workers do: measure a warp, and match a warp to the reference.

Pure functions of picklable values, but for the clock of the task that they run through: what a
stage took is part of the answer. A fault of the data is an answer too, not an exception: the warp
fails alone. A worker keeps the warps that it decoded last, so that a reference is decoded once a
worker and not once a match.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import core
from stream import fits
from stream.faults import WarpError, WarpFault
from stream.hdus import DecodeLimits
from stream.task import MatchBackgroundsTask

__all__ = ["JobFault", "Matched", "Measured", "WarpInput", "match", "measure"]


@dataclass(frozen=True, slots=True)
class WarpInput:
    """A warp as it goes to a worker.

    Attributes
    ----------
    visit : int
        Which visit it is.
    checksum : str
        sha256 of `data`, verified by whoever fetched them.
    data : bytes
        The file.
    scale : float
        Multiplies the image; its square multiplies the variance.
    """

    visit: int
    checksum: str
    data: bytes
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class JobFault:
    """A warp that cannot be used.

    Attributes
    ----------
    visit : int
        The warp at fault, which in a match can be the reference.
    reason : str
        Value of a `WarpFault`.
    message : str
        What is wrong with it.
    """

    visit: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What the choice of a reference needs to know of a warp.

    Attributes
    ----------
    visit, checksum
        As given.
    mean, variance : float
        Of the good pixels, in the unit of the scaled image and its square; NaN if there are none.
    count : float
        How many pixels are good.
    shape : (int, int)
        Rows and columns.
    origin : (int, int)
        (x0, y0) in the tract, pixels.
    timings : mapping of str to float
        Seconds in each stage: "decode", "scale", "measure"; a stage that was not needed is absent.
    """

    visit: int
    checksum: str
    mean: float
    variance: float
    count: float
    shape: tuple[int, int]
    origin: tuple[int, int]
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of one match.

    Attributes
    ----------
    visit : int
        The warp that was matched to the reference.
    background : core.Background or None
        The difference *reference - warp*; None unless the status is "matched".
    fit_rms : float or None
        In the image's unit; None, like the two below, also if too few pixels are good for it.
    matched_mse, diff_im_var : float or None
        In the square of the image's unit.
    origin : (int, int)
        (x0, y0) of both warps, pixels.
    status : str
        "matched", "no_overlap" or "failed".
    reason : str or None
        Why there is no model.
    quality : core.Quality or None
        Figures of the sky that the match leaves, local pixels; None unless the status is
        "matched".
    absent : tuple of str
        Names of bad mask planes that neither file defines.
    timings : mapping of str to float
        Seconds in each stage: "decode", "scale", "match"; a stage that was not needed is absent.
    """

    visit: int
    background: core.Background | None
    fit_rms: float | None
    matched_mse: float | None
    diff_im_var: float | None
    origin: tuple[int, int]
    status: str
    reason: str | None
    quality: core.Quality | None = None
    absent: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict, compare=False)


def measure(warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits) -> Measured | JobFault:
    """Decode a warp and take the statistics that a reference is chosen by.

    Parameters
    ----------
    warp : WarpInput
        The file and its scale.
    config : core.MatchConfig
        How backgrounds are matched.
    limits : DecodeLimits
        What the file may ask for.
    """
    task = MatchBackgroundsTask(config)
    try:
        exposure = _ready(task, warp, limits)
        taken = task.measureExposure(exposure)
    except _WarpFaultError as fault:
        return fault.job_fault
    except MemoryError:
        return _out_of_memory(warp.visit)
    return Measured(
        visit=warp.visit,
        checksum=warp.checksum,
        mean=taken.mean,
        variance=taken.variance,
        count=taken.count,
        shape=exposure.shape,
        origin=exposure.origin,
        timings=task.timings(),
    )


def match(
    reference: WarpInput, science: WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> Matched | JobFault:
    """Fit the smooth difference *reference - science*, both scaled first.

    Parameters
    ----------
    reference, science : WarpInput
        The files and their scales.
    config : core.MatchConfig
        How backgrounds are matched.
    limits : DecodeLimits
        What the files may ask for.

    Returns
    -------
    Matched or JobFault
        A fault if one of the two cannot be used at all; no overlap and a fit that failed are
        results.
    """
    task = MatchBackgroundsTask(config)
    try:
        first, second = _ready(task, reference, limits), _ready(task, science, limits)
        _check_same_box(first, second, science.visit)
        answer = _matched(task, first, second, science.visit)
    except _WarpFaultError as fault:
        return fault.job_fault
    except MemoryError:
        return _out_of_memory(science.visit)
    known = first.planes.keys() | second.planes.keys()
    absent = tuple(name for name in config.bad_mask_planes if name not in known)
    return replace(answer, absent=absent, timings=task.timings())


def _matched(
    task: MatchBackgroundsTask,
    reference: core.MaskedImage,
    science: core.MaskedImage,
    visit: int,
) -> Matched:
    blank = Matched(visit, None, None, None, None, science.origin, "failed", None)
    try:
        fit = task.matchExposures(reference, science, quality=True)
    except core.NoOverlapError as error:
        return replace(blank, status="no_overlap", reason=str(error))
    except core.CoreError as error:
        return replace(blank, reason=str(error))
    return replace(
        blank,
        status="matched",
        background=fit.model,
        fit_rms=_number(fit.fit_rms),
        matched_mse=_number(fit.matched_mse),
        diff_im_var=_number(fit.diff_im_var),
        quality=fit.quality,
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _check_same_box(reference: core.MaskedImage, science: core.MaskedImage, visit: int) -> None:
    ours, theirs = ((e.shape, e.origin) for e in (science, reference))
    if ours != theirs:
        message = f"shape and origin are {ours}, those of the reference {theirs}"
        raise _WarpFaultError(JobFault(visit, WarpFault.WRONG_SHAPE.value, message))


class _WarpFaultError(Exception):
    """Carries the answer that names the warp at fault."""

    def __init__(self, job_fault: JobFault) -> None:
        super().__init__(job_fault)
        self.job_fault = job_fault


def _out_of_memory(visit: int) -> JobFault:
    message = "the job needs more memory than a worker may have"
    return JobFault(visit, WarpFault.OUT_OF_MEMORY.value, message)


# Decoded warps of this worker


class _Kept:
    """Decoded and scaled warps, the one used longest ago dropped first, bounded in bytes."""

    def __init__(self) -> None:
        self._warps: OrderedDict[tuple[str, float], core.MaskedImage] = OrderedDict()

    def get(self, key: tuple[str, float]) -> core.MaskedImage | None:
        if key in self._warps:
            self._warps.move_to_end(key)
        return self._warps.get(key)

    def put(self, key: tuple[str, float], exposure: core.MaskedImage, most_bytes: int) -> None:
        self._warps[key] = exposure
        while self._warps and self.size > most_bytes:
            self._warps.popitem(last=False)

    @property
    def size(self) -> int:
        return sum(map(_nbytes, self._warps.values()))


_kept = _Kept()


def _nbytes(exposure: core.MaskedImage) -> int:
    return exposure.image.nbytes + exposure.mask.nbytes + exposure.variance.nbytes


def _ready(task: MatchBackgroundsTask, warp: WarpInput, limits: DecodeLimits) -> core.MaskedImage:
    """Return the warp decoded and scaled, from what this worker keeps if it is there."""
    key = (warp.checksum, warp.scale)
    exposure = _kept.get(key)
    if exposure is None:
        exposure = _read(task, warp, limits)
        _kept.put(key, exposure, limits.cache_bytes)
    return exposure


def _read(task: MatchBackgroundsTask, warp: WarpInput, limits: DecodeLimits) -> core.MaskedImage:
    try:
        with task.timer("decode"):
            exposure = fits.decode(warp.data, limits)
        return task.scaleExposure(exposure, warp.scale, f"visit {warp.visit}")
    except WarpError as error:
        raise _fault(warp, error.reason, error.message) from error
    except core.ScalerError as error:
        raise _fault(warp, WarpFault.WRONG_SCALE, str(error)) from error


def _fault(warp: WarpInput, reason: WarpFault, message: str) -> _WarpFaultError:
    return _WarpFaultError(JobFault(warp.visit, reason.value, message))
