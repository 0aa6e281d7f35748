"""A finished result as bytes and back, bit for bit.

Whoever can write into the store could have written them, so nothing is unpickled: msgpack, held to
the types, behind a checksum that the job's name is part of. The visit is no part of the result, as
it is none of the name: whoever asks fills in its own.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

from msgspec import Struct

import core
import schemas
from stream import jobs
from stream.rebuild import background, model_of

__all__ = ["DamagedError", "Result", "decoded", "encoded"]

Result = jobs.Measured | jobs.Matched
"""What is kept. Faults are not: they are found again quickly, and may hang on settings (limits of
decoding, memory, time) that are no part of a job's name."""

_FORMAT: Final = 1
_DIGEST_BYTES: Final = 32


class DamagedError(Exception):
    """The bytes are not the result of this job, as this version writes it."""


class _Format(Struct, frozen=True):
    format: int


class _Measurement(Struct, frozen=True, kw_only=True, tag_field="kind", tag="measure"):
    format: int = _FORMAT
    mean: float
    variance: float
    count: float
    shape: tuple[int, int]
    origin: tuple[int, int]


class _Match(Struct, frozen=True, kw_only=True, tag_field="kind", tag="match"):
    format: int = _FORMAT
    status: Literal["matched", "no_overlap", "failed"]
    reason: str | None
    origin: tuple[int, int]
    model: schemas.Model | None
    fit_rms: float | None
    matched_mse: float | None
    diff_im_var: float | None
    quality: core.Quality | None
    absent: tuple[str, ...]


def encoded(name: str, result: Result) -> bytes:
    """Return the bytes under which a result is kept.

    Parameters
    ----------
    name : str
        Of the job.
    result : Measured or Matched
        Its visit and timings are not kept.

    Raises
    ------
    SchemaError, TypeError, ValueError
        The result is none that a message could carry.
    """
    body = schemas.pack_state(_kept(result))
    return _digest(name, body) + body


def decoded(name: str, data: bytes, arrival: schemas.WarpArrived, *, measured: bool) -> Result:
    """Return a result for the warp that it is wanted for.

    Parameters
    ----------
    name : str
        Of the job.
    data : bytes
        As found under this name.
    arrival : WarpArrived
        The warp: its visit and checksum become the result's.
    measured : bool
        Whether the job measures; otherwise it matches.

    Raises
    ------
    DamagedError
        They are not what `encoded` made of a result of this job.
    """
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(name, body):
        raise DamagedError("the checksum is not that of the content")
    try:
        if (found := schemas.unpack_state(body, _Format).format) != _FORMAT:
            raise DamagedError(f"it has format {found}, and this version reads {_FORMAT}")
        if measured:
            return _measured(schemas.unpack_state(body, _Measurement), arrival)
        return _matched(schemas.unpack_state(body, _Match), arrival.visit)
    except (schemas.StateError, schemas.SchemaError, core.CoreError, ValueError) as error:
        raise DamagedError(f"it is no result that could have been found: {error}") from error


def _digest(name: str, body: bytes) -> bytes:
    """Return a checksum; what is kept under another name, copied or renamed, does not have it."""
    return hashlib.sha256(b"evensky result\n" + name.encode() + b"\n" + body).digest()


def _kept(result: Result) -> _Measurement | _Match:
    if isinstance(result, jobs.Measured):
        return _Measurement(
            mean=result.mean,
            variance=result.variance,
            count=result.count,
            shape=result.shape,
            origin=result.origin,
        )
    fitted: Any = result.status
    return _Match(
        status=fitted,
        reason=result.reason,
        origin=result.origin,
        model=None if result.background is None else model_of(result.background, result.origin),
        fit_rms=result.fit_rms,
        matched_mse=result.matched_mse,
        diff_im_var=result.diff_im_var,
        quality=result.quality,
        absent=result.absent,
    )


def _measured(kept: _Measurement, arrival: schemas.WarpArrived) -> jobs.Measured:
    return jobs.Measured(
        visit=arrival.visit,
        checksum=arrival.checksum,
        mean=kept.mean,
        variance=kept.variance,
        count=kept.count,
        shape=kept.shape,
        origin=kept.origin,
    )


def _matched(kept: _Match, visit: int) -> jobs.Matched:
    return jobs.Matched(
        visit=visit,
        background=None if kept.model is None else background(kept.model),
        fit_rms=kept.fit_rms,
        matched_mse=kept.matched_mse,
        diff_im_var=kept.diff_im_var,
        origin=kept.origin,
        status=kept.status,
        reason=kept.reason,
        quality=kept.quality,
        absent=kept.absent,
    )
