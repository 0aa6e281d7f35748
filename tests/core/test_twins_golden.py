"""The slow plain twins against the compiled LSST code: whoever judges by them may trust them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core import CoreError, MaskedImage
from tests.core import golden, twins_chebyshev, twins_match

pytestmark = pytest.mark.shared

SMALL = ["b09_single_valid_bin", "c10_nx1_linear", "f12_poly_reduce_to_0", "f14_poly_increase_big"]
"""Cases that the twin matches from pixels to figures; it does all of them, but is slow."""


def case_of(name: str) -> dict[str, Any]:
    """Return an entry of the index."""
    (case,) = [case for case in golden.cases() if case["name"] == name]
    return case


@pytest.mark.parametrize("name", SMALL)
def test_matches_are_lsst_s(name: str) -> None:
    """Grid, model, order and figures of a whole match are LSST's."""
    case, arrays = case_of(name), golden.load(f"{name}.npz")
    found = twins_match.match(*golden.pair_of(arrays), golden.config_of(case))
    assert golden.ulps(np.array(found.model.values, np.float32), arrays["grid_value"]) == 0
    assert golden.ulps(np.array(found.model.errors, np.float32), arrays["grid_error"]) == 0
    largest = float(np.abs(arrays["model"]).max())
    assert golden.ulps(np.array(found.model.image, np.float32), arrays["model"], largest) <= 1
    assert (found.model.order, found.model.weighted) == (
        case["result"]["order"],
        case["result"]["weighting"],
    )
    figures = [found.fit_rms, found.matched_mse, found.diff_im_var]
    np.testing.assert_allclose(figures, arrays["scalars"], rtol=1e-9, atol=1e-9)


def test_polynomials_are_lsst_s() -> None:
    """The polynomial through LSST's own grid is LSST's model, on a sample of its pixels."""
    seen = 0
    for case in golden.cases("matchBackgrounds"):
        fitted = case["config"]["usePolynomial"] and "error" not in case
        if not fitted or "ill_conditioned" in case["tags"]:
            continue
        seen += 1
        arrays, used = golden.load(case["file"]), case["result"]
        grid = arrays["grid_value"], arrays["grid_error"]
        check_polynomial(grid, arrays["model"], used["order"], used["weighting"])
    assert seen == 23


def test_grids_become_lsst_s_polynomials() -> None:
    """So is the polynomial through each grid of the unit cases."""
    arrays = golden.load("u_grid_to_cheb.npz")
    for entry in json.loads(str(arrays["meta"])):
        grid, errors, image = (arrays[f"{name}{entry['i']}"] for name in ("grid", "err", "img"))
        assert image.shape == (entry["h"], entry["w"])
        check_polynomial((grid, errors), image, entry["order"], entry["weighting"])


def check_polynomial(
    grid: tuple[NDArray[np.float32], NDArray[np.float32]],
    image: NDArray[np.float32],
    order: int,
    weighted: bool,
) -> None:
    """Compare the twin's fit with an image at 200 pixels and the corners."""
    height, width = image.shape
    values, errors = (array.tolist() for array in grid)
    size = (width, height)
    coefficients = twins_chebyshev.fit(values, errors, size, order, weighted=weighted)
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, width, 200), rng.integers(0, height, 200)
    x[:4], y[:4] = [0, 0, width - 1, width - 1], [0, height - 1, 0, height - 1]
    found = [
        twins_chebyshev.value(coefficients, order, size, px, py)
        for px, py in zip(x.tolist(), y.tolist(), strict=True)
    ]
    largest = float(np.abs(image).max())
    assert golden.ulps(np.array(found, np.float32), image[y, x], largest) <= 2


def test_refusals_are_lsst_s() -> None:
    """Where LSST fails so does the twin, with the built-in exception that LSST raised."""
    for case in golden.cases("matchBackgrounds"):
        if "error" not in case or case["config"]["interpStyle"] == "NONE":
            continue
        pair, config = golden.pair_of(golden.load(case["file"])), golden.config_of(case)
        assert refusal(*pair, config) is golden.error_type(case["error"]["type"]), case["name"]


def refusal(reference: MaskedImage, science: MaskedImage, config: Any) -> type[Exception] | None:
    """Return the kind of error that the twin ends in."""
    try:
        twins_match.match(reference, science, config)
    except CoreError:
        raise
    except (ValueError, RuntimeError) as error:
        return type(error)
    return None
