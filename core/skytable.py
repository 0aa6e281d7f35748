"""Simulated constants of the sky: what ``python -m ops.skyconstants table`` prints."""

from __future__ import annotations

from typing import Final

__all__ = ["POLYNOMIALS", "SPLINES", "TAKEN"]

_S = {
    "CONSTANT": (0.94, 0.5, 1.02, 0.83),
    "CONSTANT of survey": (0.94, 0.5, 1.02, 0.83),
    "LINEAR": (0.82, 0.35, 0.97, 0.73),
    "NATURAL_SPLINE": (0.86, 0.36, 1.1, 0.81),
    "AKIMA_SPLINE": (0.85, 0.36, 1.01, 0.79),
}
SPLINES: Final = {
    (n, s): ((256, v[0 if s != "MEDIAN" else 2], v[1 if s != "MEDIAN" else 3]),)
    for n, v in _S.items()
    for s in ("MEAN", "MEDIAN", "MEANCLIP")
}
POLYNOMIALS: Final = {
    (o, s): ((5.0, 1.0, 0.6),) for o in (0, 8) for s in ("MEAN", "MEDIAN", "MEANCLIP")
}
TAKEN: Final = {(n, s): 0.3 for n in _S for s in ("MEAN", "MEDIAN", "MEANCLIP")}
