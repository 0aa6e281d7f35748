"""A background model into its message and back, bit for bit: the one module that knows both."""

from __future__ import annotations

from typing import Any

import numpy as np

import core
import schemas

__all__ = ["background", "model_of"]


def model_of(fitted: core.Background, origin: tuple[int, int]) -> schemas.Model:
    """Return what a message carries of a background.

    Parameters
    ----------
    fitted : Background
        A spline or a polynomial.
    origin : (int, int)
        (x0, y0) of the exposures that it was fitted to, pixels of the tract.

    Raises
    ------
    TypeError
        It is a background of another kind.
    """
    x0, y0 = origin
    return schemas.Model(
        x0=x0,
        y0=y0,
        width=fitted.width,
        height=fitted.height,
        values=schemas.NDArray.of(fitted.values),
        errors=schemas.NDArray.of(fitted.errors),
        counts=schemas.NDArray.of(fitted.counts),
        **_own_fields(fitted),
    )


def _own_fields(fitted: core.Background) -> dict[str, Any]:
    """Tell what only one form of a model has, and what stands in words."""
    match fitted:
        case core.SplineBackground():
            own: dict[str, Any] = {
                "form": "spline",
                "interp_style": str(fitted.interp_style),
                "style_used": str(fitted.style_used),
            }
        case core.ChebyshevBackground():
            own = {
                "form": "chebyshev",
                "order": fitted.order,
                "order_x": fitted.order_used,
                "order_y": fitted.order_used,
                "weighting": fitted.weighted,
                "coefficients": schemas.NDArray.of(fitted.coefficients),
            }
        case _:
            raise TypeError(f"a {type(fitted).__name__} has no form in messages")
    return {
        **own,
        "undersample_style": str(fitted.undersample_style),
        "profile": str(fitted.profile),
    }


def background(model: schemas.Model) -> core.Background:
    """Return the background that a message carries.

    Parameters
    ----------
    model : Model
        Of either form.

    Returns
    -------
    Background
        Equal to the bit to the one that was fitted; `image()` is float32 ``[y, x]`` over the
        message's bounding box, image units.

    Raises
    ------
    CoreError
        The message tells of no background that could have been fitted.
    """
    common: dict[str, Any] = {
        "values": model.values.array().astype(np.float32),
        "errors": model.errors.array().astype(np.float32),
        "counts": model.counts.array().astype(np.int32),
        "width": model.width,
        "height": model.height,
        "profile": core.FitProfile(model.profile),
        "undersample_style": core.UndersampleStyle(model.undersample_style or ""),
    }
    if model.coefficients is None:
        style = core.InterpStyle(model.interp_style or "")
        return core.SplineBackground(interp_style=style, **common)
    order_used = model.order_x or 0
    return core.ChebyshevBackground(
        order=order_used if model.order is None else model.order,
        order_used=order_used,
        weighted=bool(model.weighting),
        coefficients=model.coefficients.array().astype(np.float64),
        **common,
    )
