"""The result itself: the background model of one warp (DESIGN.md section 4)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct

from schemas.arrays import NDArray
from schemas.events import Identified
from schemas.fields import (
    MAX_INTEGER,
    Digest,
    Factor,
    Kind,
    Line,
    Natural,
    Positive,
    Share,
    Status,
    Text,
    Verdict,
    refuse_unless,
    require_digest,
    require_positive,
)
from schemas.identity import model_key

__all__ = ["BackgroundModel", "Model", "Quality"]

Coordinate = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]
InterpStyle = Literal["CONSTANT", "LINEAR", "NATURAL_SPLINE", "CUBIC_SPLINE", "AKIMA_SPLINE"]
UndersampleStyle = Literal["THROW_EXCEPTION", "REDUCE_INTERP_ORDER", "INCREASE_NXNYSAMPLE"]
Labels = Annotated[tuple[Line, ...], Meta(max_length=32)]

_GRID_AXES: Final = 2


class Model(Struct, frozen=True, kw_only=True):
    """The smooth difference reference - warp, in a form that rebuilds its image bit for bit.

    Attributes
    ----------
    form : str
        A spline over the grid, or a Chebyshev polynomial fitted to it.
    x0, y0 : int
        Corner of the bounding box, in pixels of the tract.
    width, height : int
        Size of the bounding box, in pixels.
    values : NDArray
        Statistic of the difference in each bin, ``<f4`` ``[ny, nx]``, in the image's unit; NaN
        where a bin has none.
    errors : NDArray
        Standard error of each value, as `values`.
    counts : NDArray
        Accepted pixels in each bin, ``<i4`` ``[ny, nx]``.
    interp_style : str or null
        Interpolation asked for, in LSST's words; null for a polynomial that has none.
    style_used : str or null
        Interpolation used after the grid's size was looked at.
    undersample_style : str or null
        What was to be done with too few bins, in LSST's words.
    order_x, order_y : int or null
        Order of the polynomial, as used: its total degree, so that both are the same.
    weighting : bool or null
        Whether the polynomial was fitted with weights.
    coefficients : NDArray or null
        Of the polynomial, ``<f8``, by total degree and falling power of x.
    order : int or null
        Order of the polynomial that was asked for.
    profile : str
        Whose rules turn the grid into an image: ``lsst``, LSST's to the bit, or ``survey``, the
        same with its known faults cured (MATCHING.md section 14).
    """

    form: Literal["spline", "chebyshev"]
    x0: Coordinate
    y0: Coordinate
    width: Side
    height: Side
    values: NDArray
    errors: NDArray
    counts: NDArray
    interp_style: InterpStyle | None = None
    style_used: InterpStyle | None = None
    undersample_style: UndersampleStyle | None = None
    order_x: Natural | None = None
    order_y: Natural | None = None
    weighting: bool | None = None
    coefficients: NDArray | None = None
    order: Natural | None = None
    profile: Literal["lsst", "survey"] = "lsst"

    def __post_init__(self) -> None:
        _require_grid("values", self.values, "<f4", self.values.shape)
        _require_grid("errors", self.errors, "<f4", self.values.shape)
        _require_grid("counts", self.counts, "<i4", self.values.shape)
        refuse_unless(
            (self.coefficients is None) == (self.form == "spline"),
            "coefficients belong to a chebyshev model, which must have them, and to no other",
        )
        if self.coefficients is None:
            styles = (self.interp_style, self.style_used, self.undersample_style)
            refuse_unless(
                None not in styles,
                "a spline must say interp_style, style_used and undersample_style",
            )
        else:
            _require_polynomial(self, self.coefficients)


class Quality(Struct, frozen=True, kw_only=True):
    """How good a match is, judged on the sky itself (MATCHING.md section 13).

    What was not or could not be measured is null.

    Attributes
    ----------
    tiles : int or null
        How many tiles counted.
    kappa : float or null
        By how much correlated noise makes errors of bin means exceed sigma / sqrt(n).
    sky_chi2 : float or null
        Structure left in the sky over its noise: 1 for pure noise.
    worst_block : float or null
        The largest departure of a 3 x 3 block of tiles, in its errors.
    worst_x, worst_y : float or null
        Centre of that block, in pixels of the tract.
    sky_offset, sky_rms, sky_error : float or null
        Median and scatter of what is left, and the error of the model's mean level, in the
        image's unit.
    coverage : float or null
        Good pixels over all pixels.
    extrapolated_fraction : float or null
        Share of the pixels that lie in bins without a value.
    """

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


class BackgroundModel(Identified, frozen=True, kw_only=True):
    """What to add to a warp, and how good that is; a coadder computes scale * warp + model.

    Attributes
    ----------
    visit : int
        The visit of the warp.
    revision : int
        The group's revision that sent this message first.
    kind : str
        Kind of that revision.
    model_id : str
        The sha256 of this message's bytes without ``revision``, ``kind`` and ``model_id``.
    is_reference : bool
        Whether this warp is what the others were matched to.
    reference : int or null
        Visit of the reference; null if the group has none.
    status : str
        What became of the warp.
    reason : str or null
        Why, where the status is not the ordinary one.
    model : Model or null
        Null for a reference and wherever there is no match.
    fit_rms : float or null
        How far the model is from the binned difference, rms, in the image's unit.
    matched_mse : float or null
        Mean squared difference after matching, in the image's unit squared.
    diff_im_var : float or null
        Mean variance of the difference, in the image's unit squared.
    quality : Quality or null
        Figures of the sky that is left.
    flags : tuple of str
        What a reader should know, for example ``sources_unmasked``, ``mixed_sky``.
    verdict : str
        Of the profile: fit to be coadded or not; ``none`` where it does not judge.
    verdict_profile : str or null
        Name of the profile.
    verdict_reasons : tuple of str
        Rules that rejected it.
    scale : float
        What the warp's image was multiplied with before matching.
    unit : str or null
        Unit of the scaled image and of the model.
    config_digest : str
        The sha256 of the configuration of the matching.
    input_digest : str or null
        Digest of what was announced of this warp.
    reference_digest : str or null
        The same of the reference's.
    numerics_version : str
        Version of the arithmetic; the same version gives the same bits.
    reference_scope : str or null
        Reserved: over what the reference is shared.
    zero_point : float or null
        Reserved.
    """

    ce_type: ClassVar[str] = "background.model.v1"

    visit: Natural
    revision: Positive
    kind: Kind
    model_id: Digest
    is_reference: bool
    reference: Natural | None
    status: Status
    reason: Text | None = None
    model: Model | None = None
    fit_rms: float | None = None
    matched_mse: float | None = None
    diff_im_var: float | None = None
    quality: Quality | None = None
    flags: Labels = ()
    verdict: Verdict = "none"
    verdict_profile: Line | None = None
    verdict_reasons: Annotated[tuple[Text, ...], Meta(max_length=32)] = ()
    scale: Factor = 1.0
    unit: Line | None = None
    config_digest: Digest
    input_digest: Digest | None
    reference_digest: Digest | None
    numerics_version: Line
    reference_scope: Literal["patch", "tract"] | None = None
    zero_point: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("model_id", "config_digest", "input_digest", "reference_digest"):
            require_digest(name, getattr(self, name))
        require_positive("scale", self.scale)
        _require_consistent(self)

    @property
    def routing_key(self) -> bytes:
        """The record key: the group's with the visit behind it, UTF-8."""
        return model_key(self.group, self.visit).encode()


def _require_grid(name: str, array: NDArray, dtype: str, shape: tuple[int, ...]) -> None:
    refuse_unless(
        array.dtype == dtype and array.shape == shape and len(shape) == _GRID_AXES,
        f"{name} must be {dtype} of shape [ny, nx], the same for values, errors and counts, "
        f"not {array.dtype} of {list(array.shape)}",
    )


def _require_polynomial(model: Model, coefficients: NDArray) -> None:
    said = (model.order_x, model.order_y, model.weighting, model.undersample_style)
    refuse_unless(
        None not in said and model.order_x == model.order_y,
        "a chebyshev model must say order_x and order_y, which are the same, weighting and "
        "undersample_style",
    )
    order = model.order_x or 0
    wanted = (order + 1) * (order + 2) // 2
    refuse_unless(
        coefficients.dtype == "<f8" and coefficients.shape == (wanted,),
        f"coefficients of order {order} must be <f8 of shape [{wanted}], "
        f"not {coefficients.dtype} of {list(coefficients.shape)}",
    )


def _require_consistent(message: BackgroundModel) -> None:
    """Hold the status, the reference and what was computed to one story."""
    refuse_unless(
        message.is_reference == (message.status == "reference")
        and message.is_reference == (message.reference == message.visit),
        f"is_reference is {message.is_reference} but status is {message.status!r} and the "
        f"reference is {message.reference}: all three must say the same of {message.visit}",
    )
    refuse_unless(
        (message.model is not None) == (message.status == "matched"),
        f"a model belongs to status 'matched', and to no other, not to {message.status!r}",
    )
    numbers = (message.fit_rms, message.matched_mse, message.diff_im_var)
    refuse_unless(
        message.status == "matched" or numbers == (None, None, None),
        f"fit_rms, matched_mse and diff_im_var must be null for status {message.status!r}",
    )
    refuse_unless(
        message.status != "failed" or bool(message.reason), "status 'failed' must give its reason"
    )
