"""How workers measure and match warps: what `stream.jobs` names.

A worker keeps the warps that it decoded last, so that a reference is decoded once a worker and not
once a match.
"""

from __future__ import annotations

import math
import mmap
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import core
from stream import fits
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.jobs import JobFault, Matched, Measured, WarpInput
from stream.task import MatchBackgroundsTask

__all__ = ["matched", "measured"]


def measured(
    warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> Measured | JobFault:
    """Do `stream.jobs.measure`."""
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


def matched(
    reference: WarpInput, science: WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> Matched | JobFault:
    """Do `stream.jobs.match`."""
    task = MatchBackgroundsTask(config)
    try:
        first, second = _ready(task, reference, limits), _ready(task, science, limits)
        _check_same_box(first, second, science.visit)
        answer = _match(task, first, second, science.visit)
    except _WarpFaultError as fault:
        return fault.job_fault
    except MemoryError:
        return _out_of_memory(science.visit)
    known = first.planes.keys() | second.planes.keys()
    absent = tuple(name for name in config.bad_mask_planes if name not in known)
    return replace(answer, absent=absent, timings=task.timings())


def _match(
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
            exposure = fits.decode(_content(warp.data), limits)
        return task.scaleExposure(exposure, warp.scale, f"visit {warp.visit}")
    except WarpError as error:
        raise _fault(warp, error.reason, error.message) from error
    except core.ScalerError as error:
        raise _fault(warp, WarpFault.WRONG_SCALE, str(error)) from error


def _content(data: bytes | Path) -> bytes | mmap.mmap:
    """Map a file that has landed; an empty one cannot be mapped."""
    if isinstance(data, bytes):
        return data
    with data.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""


def _fault(warp: WarpInput, reason: WarpFault, message: str) -> _WarpFaultError:
    return _WarpFaultError(JobFault(warp.visit, reason.value, message))
