"""Models out of messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import core
import schemas
from stream.rebuild import background


@pytest.mark.parametrize("style", ["CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"])
def test_bit_for_bit(style: Any) -> None:
    """Sent through bytes and back, a model's image is the fitted one to the last bit."""
    random = np.random.default_rng(5)
    values = random.normal(0.0, 3.0, (6, 7)).astype(np.float32)
    counts = np.full((6, 7), 100, np.int32)
    fitted = core.SplineBackground(
        values=values,
        errors=np.full((6, 7), 0.5, np.float32),
        counts=counts,
        width=111,
        height=95,
        interp_style=core.InterpStyle(style),
        undersample_style=core.UndersampleStyle.REDUCE_INTERP_ORDER,
    )
    model = schemas.Model(
        form="spline",
        x0=10,
        y0=-20,
        width=111,
        height=95,
        values=schemas.NDArray.of(fitted.values),
        errors=schemas.NDArray.of(fitted.errors),
        counts=schemas.NDArray.of(fitted.counts),
        interp_style=style,
        style_used=style,
        undersample_style="REDUCE_INTERP_ORDER",
    )
    again = background(model)
    assert again.image().tobytes() == fitted.image().tobytes()
    assert again.style_used == fitted.style_used
