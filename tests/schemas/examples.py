"""One example of every message type, and the record that each is part of."""

from __future__ import annotations

from typing import Final, cast

import msgpack
import msgspec
import numpy as np

from schemas import (
    BackgroundMetric,
    BackgroundModel,
    ClockTick,
    DeadLetter,
    DeadReason,
    Encoded,
    GroupClosed,
    GroupId,
    GroupManifest,
    GroupMatched,
    GroupReopened,
    GroupSealed,
    JobSuspected,
    MemberSummary,
    Message,
    Model,
    NDArray,
    Quality,
    WarpArrived,
    WarpWithdrawn,
    config_digest,
    encode,
    input_digest,
    model_id,
)

__all__ = ["EXAMPLES", "FURTHER", "NO_ID", "ZERO", "arrived", "matched_model", "raw", "record"]

ZERO: Final = "0" * 64
NO_ID: Final = ZERO
_CHECKSUM: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_CONFIG: Final = config_digest({"bin_size": 64, "grid_statistic": "MEAN"})


def arrived(**changes: object) -> WarpArrived:
    """Return the announcement of a warp, with some fields otherwise."""
    whole = WarpArrived(
        skymap="hsc_rings_v1",
        tract=9813,
        patch=42,
        band="r",
        visit=1228,
        uri="file:///warps/1228.fits",
        checksum=_CHECKSUM,
        version=3,
        size=123_456,
        shape=(4200, 4100),
        mjd_tai=61_234.567_89,
        scale=1.25,
        unit="nJy",
        sky="intact",
        psf_fwhm=0.71,
        expected=20,
    )
    return msgspec.structs.replace(whole, **changes)


def _model() -> Model:
    values = np.array([[1.5, np.nan, -0.25], [3.0, 2.0, 1.0]], dtype=np.float32)
    return Model(
        form="spline",
        x0=-100,
        y0=8000,
        width=180,
        height=120,
        values=NDArray.of(values),
        errors=NDArray.of(np.abs(values) / 8),
        counts=NDArray.of(np.array([[3600, 0, 12], [3600, 3599, 1]], dtype=np.int32)),
        interp_style="AKIMA_SPLINE",
        style_used="LINEAR",
        undersample_style="REDUCE_INTERP_ORDER",
    )


def _polynomial() -> Model:
    return msgspec.structs.replace(
        _model(),
        form="chebyshev",
        interp_style=None,
        style_used=None,
        order=3,
        order_x=1,
        order_y=1,
        weighting=True,
        coefficients=NDArray.of(np.array([1.25, -0.5, 1 / 3])),
        profile="survey",
    )


def matched_model(**changes: object) -> BackgroundModel:
    """Return the model of a matched warp under its own id, with some fields otherwise."""
    made = BackgroundModel(
        skymap="hsc_rings_v1",
        tract=9813,
        patch=42,
        band="r",
        visit=1230,
        revision=2,
        kind="update",
        model_id=NO_ID,
        is_reference=False,
        reference=1228,
        status="matched",
        model=_model(),
        fit_rms=0.125,
        matched_mse=17.5,
        diff_im_var=17.0,
        quality=Quality(tiles=16, kappa=1.25, sky_chi2=1.5, coverage=0.875),
        flags=("mixed_sky",),
        verdict="accept",
        verdict_profile="lsst2017",
        scale=1.25,
        unit="nJy",
        config_digest=_CONFIG,
        input_digest=input_digest(_CHECKSUM, 1.25, "nJy", "intact"),
        reference_digest=input_digest(ZERO, 1.0, None, "unknown"),
        numerics_version="1",
    )
    changed = msgspec.structs.replace(made, **changes)
    return msgspec.structs.replace(changed, model_id=model_id(changed))


def _summary() -> GroupMatched:
    return GroupMatched(
        skymap="hsc_rings_v1",
        tract=9813,
        patch=42,
        band="r",
        revision=2,
        kind="update",
        supersedes=1,
        status="partial",
        trigger="deadline",
        completeness=0.75,
        expected=4,
        missing=(1240,),
        reference=1228,
        members=(
            MemberSummary(visit=1228, status="reference", model_id=ZERO, cost=0.5),
            MemberSummary(visit=1230, status="matched", verdict="accept", model_id=_CHECKSUM),
            MemberSummary(visit=1232, status="failed", reason="truncated: 17 bytes are missing"),
        ),
        config_digest=_CONFIG,
        numerics_version="1",
        software_version="0.1.0",
        completed_at=1_772_341_567.25,
        published_at=1_772_341_570.5,
        warnings=("visit 1240 has no good pixel",),
    )


_GROUP: Final = GroupId("live", "hsc_rings_v1", 9813, 42, "r")
_PLACE: Final = _GROUP.fields

EXAMPLES: Final[tuple[Message, ...]] = (
    arrived(),
    WarpWithdrawn(**_PLACE, visit=1228, version=4, reason="satellite trail"),
    GroupManifest(
        **_PLACE, version=2, visits=(1228, 1230, 2**63 - 1), reference=1230, deadline=3.6e3
    ),
    GroupClosed(**_PLACE, version=1),
    GroupSealed(**_PLACE, version=1),
    GroupReopened(**_PLACE, version=2),
    ClockTick(partition=7),
    JobSuspected(**_PLACE, visit=1228, job=ZERO, alone=True),
    matched_model(),
    _summary(),
    BackgroundMetric(
        **_PLACE,
        scope="warp",
        revision=1,
        kind="initial",
        status="matched",
        visit=1230,
        reference=1228,
        verdict="accept",
        fit_rms=0.125,
        ratio=1.03,
        job_s=0.25,
        sky_chi2=1.125,
        decode_s=0.125,
        match_s=0.0625,
    ),
    DeadLetter(
        reason=DeadReason.BAD_MSGPACK,
        stage="decode",
        message="the value is not msgpack",
        topic="evensky.warps",
        partition=3,
        offset=17,
        timestamp=1_772_341_567_250,
        key=b"\xff\x00",
        headers=(("ce_id", b"17"), ("ce_id", b"\xfe")),
        value=b"\xc1",
        value_size=1,
    ),
)

FURTHER: Final[tuple[Message, ...]] = (
    matched_model(model=_polynomial(), verdict_profile="survey", flags=("extrapolated",)),
)
"""Further records whose bytes are kept: another form of a model."""


def raw(value: object) -> bytes:
    """Return msgpack bytes of a value as a stranger may write them, without our rules."""
    return cast("bytes", msgpack.packb(value))


def record(message: Message) -> Encoded:
    """Return the record of a message, always the same."""
    return encode(
        message, id="1f6b-17", source="urn:test:upstream", time="2026-03-01T05:06:07.250000Z"
    )
