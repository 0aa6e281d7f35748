"""The compiled LSST code's inputs and outputs, as this project's values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig
from tests.shared import shared_path

__all__ = [
    "PLANES",
    "Arrays",
    "cases",
    "config_of",
    "error_type",
    "exposure_of",
    "load",
    "pair_of",
    "ulps",
]

Arrays = Mapping[str, NDArray[Any]]

PLANES = {
    "BAD": 0,
    "SAT": 1,
    "INTRP": 2,
    "CR": 3,
    "EDGE": 4,
    "DETECTED": 5,
    "DETECTED_NEGATIVE": 6,
    "SUSPECT": 7,
    "NO_DATA": 8,
}


def cases(kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Return the index's entries, all or those of a kind."""
    index = json.loads(shared_path("golden", "index.json").read_text())
    for case in index["cases"]:
        if kind is None or case["kind"] == kind:
            yield case


def load(name: str) -> Arrays:
    """Return the arrays of a case's file."""
    with np.load(shared_path("golden", name)) as file:
        return {key: file[key] for key in file.files}


def config_of(case: Mapping[str, Any]) -> MatchConfig:
    """Return a case's settings, LSST's names turned to snake_case."""
    return MatchConfig.from_mapping({_snake(name): value for name, value in case["config"].items()})


def exposure_of(arrays: Arrays, prefix: str) -> MaskedImage:
    """Return the reference or science exposure of a case."""
    x0, y0 = arrays["xy0"].tolist()
    planes = [arrays[f"{prefix}_{plane}"] for plane in ("image", "mask", "var")]
    return MaskedImage(planes[0], planes[1], planes[2], PLANES, (x0, y0))


def pair_of(arrays: Arrays) -> tuple[MaskedImage, MaskedImage]:
    """Return the reference and the science exposure of a case."""
    return exposure_of(arrays, "ref"), exposure_of(arrays, "sci")


def ulps(ours: NDArray[np.float32], theirs: NDArray[np.float32], floor: float = 0.0) -> float:
    """Return the largest distance in float32 ulps of max(abs(theirs), floor); NaNs must agree."""
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    known = ~np.isnan(theirs)
    if not known.any():
        return 0.0
    size = np.maximum(np.abs(theirs[known]), np.float32(floor))
    distance = np.abs(ours[known].astype(np.float64) - theirs[known]) / np.spacing(size)
    return float(distance.max())


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name)


def error_type(name: str) -> type[Exception]:
    """Return the Python exception that LSST raised."""
    kinds: dict[str, type[Exception]] = {"ValueError": ValueError, "RuntimeError": RuntimeError}
    if name not in kinds:
        pytest.fail(f"unknown kind of error {name}")
    return kinds[name]
