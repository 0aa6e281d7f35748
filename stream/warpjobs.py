"""How workers decode, measure and match warps: what `stream.jobs` names.

A warp's planes come from the spool if they lie there, and else from its file; a worker keeps none
from one job to the next.
"""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import replace
from io import FileIO

import core
from stream import fits
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.jobs import JobFault, Loaded, Matched, Measured, Unlaid, WarpInput
from stream.spool.files import DamagedError, lay, mapped
from stream.task import MatchBackgroundsTask

__all__ = ["loaded", "matched", "measured"]


def loaded(warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits) -> Loaded | JobFault:
    """Do `stream.jobs.load`."""
    task = MatchBackgroundsTask(config)
    try:
        exposure = _ready(task, warp, limits)
    except _AnswerError as error:
        return error.answer
    return Loaded(warp.visit, exposure.shape, task.timings())


def measured(
    warp: WarpInput, config: core.MatchConfig, limits: DecodeLimits
) -> Measured | JobFault:
    """Do `stream.jobs.measure`."""
    task = MatchBackgroundsTask(config)
    try:
        exposure = _ready(task, warp, limits)
        taken = task.measureExposure(exposure)
    except _AnswerError as error:
        return error.answer
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
    except _AnswerError as error:
        return error.answer
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
        raise _AnswerError(JobFault(visit, WarpFault.WRONG_SHAPE.value, message))


class _AnswerError(Exception):
    """Carries the answer that names the warp at fault, or the one that the spool does not have."""

    def __init__(self, answer: JobFault) -> None:
        super().__init__(answer)
        self.answer = answer


# Planes of warps


def _ready(task: MatchBackgroundsTask, warp: WarpInput, limits: DecodeLimits) -> core.MaskedImage:
    """Return the warp decoded and scaled, from the spool if it lies there."""
    if warp.planes is None:
        return _read(task, warp, limits)
    try:
        with task.timer("map"):
            return mapped(warp.planes)
    except DamagedError as error:
        answer = Unlaid(warp.visit, WarpFault.INTERNAL.value, str(error), warp.planes)
        raise _AnswerError(answer) from error


def _read(task: MatchBackgroundsTask, warp: WarpInput, limits: DecodeLimits) -> core.MaskedImage:
    try:
        with task.timer("decode"):
            exposure = fits.decode(_content(warp.data), limits)
        exposure = task.scaleExposure(exposure, warp.scale, f"visit {warp.visit}")
    except WarpError as error:
        if error.reason is WarpFault.OUT_OF_MEMORY:  # for the pool to judge, not the warp's fault
            raise MemoryError(error.message) from error
        raise _fault(warp, error.reason, error.message) from error
    except core.ScalerError as error:
        raise _fault(warp, WarpFault.WRONG_SCALE, str(error)) from error
    if warp.place is not None:
        with task.timer("lay"):
            lay(warp.place, exposure)
    return exposure


def _content(data: bytes | str) -> bytes | mmap.mmap:
    """Map a file that has landed; an empty one cannot be mapped."""
    if isinstance(data, bytes):
        return data
    with FileIO(data) as file:
        size = os.fstat(file.fileno()).st_size
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""


def _fault(warp: WarpInput, reason: WarpFault, message: str) -> _AnswerError:
    return _AnswerError(JobFault(warp.visit, reason.value, message))
