"""Whole matches against the output of the compiled LSST code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core import ConfigError, Match, MatchConfig, NoOverlapError, match_background
from core.difference import measure_difference
from core.grid import bin_centres, measure
from core.matching import NUMERICS_VERSION
from tests.core import golden

pytestmark = pytest.mark.shared

SPLINES = 46
"""Spline cases that give a model; the golden set has no others."""


def matched(case: dict[str, Any]) -> tuple[golden.Arrays, Match]:
    """Return a case's arrays and our match."""
    arrays = golden.load(case["file"])
    reference, science = (golden.exposure_of(arrays, name) for name in ("ref", "sci"))
    return arrays, match_background(reference, science, golden.config_of(case))


def good_cases() -> list[dict[str, Any]]:
    """Return the cases that give a model."""
    found = [
        case
        for case in golden.cases("matchBackgrounds")
        if "error" not in case and "all_nan" not in case["tags"]
    ]
    assert len(found) == SPLINES
    return found


def test_grids_are_lsst_s() -> None:
    """Value and error of every bin agree within one ulp, empty bins with empty ones."""
    for case in good_cases():
        arrays, match = matched(case)
        assert golden.ulps(match.model.values, arrays["grid_value"]) <= 1, case["name"]
        assert golden.ulps(match.model.errors, arrays["grid_error"]) <= 1, case["name"]
        ny, nx = match.model.values.shape
        x0, y0 = arrays["xy0"].tolist()
        assert (bin_centres(match.model.width, nx) + x0).tolist() == arrays["grid_xcen"].tolist()
        assert (bin_centres(match.model.height, ny) + y0).tolist() == arrays["grid_ycen"].tolist()


def test_models_are_lsst_s() -> None:
    """Every pixel agrees within one ulp of max(|M|, 1e-3 max|M|), and the style is the same."""
    for case in good_cases():
        arrays, match = matched(case)
        expected = arrays["model"]
        floor = 1e-3 * float(np.abs(expected).max())
        assert golden.ulps(match.model.image(), expected, floor) <= 1, case["name"]
        assert match.model.style_used == case["result"]["asUsed"], case["name"]


def test_figures_are_lsst_s() -> None:
    """fit_rms, matched_mse and diff_im_var agree to 1e-9, fit_rms also to 1e-6 absolutely."""
    for case in good_cases():
        arrays, match = matched(case)
        fit_rms, matched_mse, diff_im_var = arrays["scalars"]
        assert match.fit_rms == pytest.approx(fit_rms, rel=1e-9, abs=1e-6), case["name"]
        assert match.matched_mse == pytest.approx(matched_mse, rel=1e-9), case["name"]
        assert match.diff_im_var == pytest.approx(diff_im_var, rel=1e-9), case["name"]


def test_tiles_are_lsst_s() -> None:
    """The tiles behind fit_rms are LSST's, shifted by the origin that they do not know."""
    for case in good_cases():
        arrays = golden.load(case["file"])
        reference, science = (golden.exposure_of(arrays, name) for name in ("ref", "sci"))
        config = golden.config_of(case)
        scratch = np.empty(reference.shape, dtype=np.float32)
        _, tiles = measure(measure_difference(reference, science, config, scratch), config)
        x0, y0 = arrays["xy0"].tolist()
        np.testing.assert_array_equal(tiles.x + x0, arrays["gi_X"], err_msg=case["name"])
        np.testing.assert_array_equal(tiles.y + y0, arrays["gi_Y"], err_msg=case["name"])
        np.testing.assert_allclose(tiles.values, arrays["gi_Z"], rtol=1e-9, err_msg=case["name"])
        np.testing.assert_allclose(tiles.errors, arrays["gi_dZ"], rtol=1e-9, err_msg=case["name"])


def test_refusals_are_of_lsst_s_kind() -> None:
    """Where LSST fails we fail with an exception of the same kind; NONE is refused when set."""
    seen = []
    for case in golden.cases("matchBackgrounds"):
        if "error" not in case:
            continue
        seen.append(case["name"])
        if case["config"]["interpStyle"] == "NONE":
            with pytest.raises(ConfigError, match="interp_style"):
                golden.config_of(case)
            continue
        with pytest.raises(golden.error_type(case["error"]["type"])):
            matched(case)
    assert len(seen) == 7


def test_no_overlap_is_an_error_where_lsst_gives_nan() -> None:
    """A pair without a valid bin is refused rather than given an all-NaN model."""
    cases = [case for case in golden.cases("matchBackgrounds") if "all_nan" in case["tags"]]
    assert cases
    for case in cases:
        with pytest.raises(NoOverlapError):
            matched(case)


def test_settings_of_the_index_are_the_defaults() -> None:
    """A case that says nothing of a setting has our default for it."""
    for case in golden.cases("matchBackgrounds"):
        if case["name"] == "c08_600x500_default_bin":
            assert golden.config_of(case).bin_size == MatchConfig().bin_size


def test_the_numerics_have_a_version() -> None:
    """Whoever changes any bit of any result must raise NUMERICS_VERSION."""
    assert NUMERICS_VERSION == "1"
