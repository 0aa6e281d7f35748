"""A background model from its message, bit for bit what the service fitted."""

from __future__ import annotations

import numpy as np

import core
import schemas

__all__ = ["background"]


def background(model: schemas.Model) -> core.Background:
    """Return the background whose grid a message carries.

    Parameters
    ----------
    model : Model
        Of form ``spline``, the only form in this release.

    Returns
    -------
    Background
        `image()` is float32 ``[y, x]`` over the message's bounding box, image units.
    """
    return core.SplineBackground(
        values=model.values.array().astype(np.float32),
        errors=model.errors.array().astype(np.float32),
        counts=model.counts.array().astype(np.int32),
        width=model.width,
        height=model.height,
        interp_style=core.InterpStyle(model.interp_style or ""),
        undersample_style=core.UndersampleStyle(model.undersample_style or ""),
    )
