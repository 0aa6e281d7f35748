"""Whole matches against the output of the compiled LSST code."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from core import (
    ChebyshevBackground,
    ConfigError,
    CoreError,
    Match,
    MatchConfig,
    NoOverlapError,
    SplineBackground,
    match_background,
)
from core.difference import measure_difference
from core.grid import bin_centres, measure
from core.matching import NUMERICS_VERSION
from tests.core import golden

pytestmark = pytest.mark.shared

SPLINES, POLYNOMIALS, REFUSED = 46, 23, 11
"""Cases that give a spline or a polynomial that can be compared, and cases that LSST refuses."""


@cache
def matched(file: str, case: str) -> tuple[golden.Arrays, Match]:
    """Return a case's arrays and our match, made once for all tests."""
    arrays = golden.load(file)
    (entry,) = [entry for entry in golden.cases("matchBackgrounds") if entry["name"] == case]
    return arrays, match_background(*golden.pair_of(arrays), golden.config_of(entry))


def match_of(case: dict[str, Any]) -> tuple[golden.Arrays, Match]:
    """Return a case's arrays and our match."""
    return matched(case["file"], case["name"])


def cases_with(*tags: str) -> list[dict[str, Any]]:
    """Return the cases that have one of these tags."""
    return [case for case in golden.cases("matchBackgrounds") if {*tags} & {*case["tags"]}]


def good_cases(polynomial: bool) -> list[dict[str, Any]]:
    """Return the cases that give a model which can be compared, of splines or polynomials."""
    left_out = [case["name"] for case in cases_with("all_nan", "ill_conditioned")]
    return [
        case
        for case in golden.cases("matchBackgrounds")
        if "error" not in case
        and case["name"] not in left_out
        and case["config"]["usePolynomial"] == polynomial
    ]


def refused_cases() -> list[dict[str, Any]]:
    """Return the cases that LSST refuses."""
    return [case for case in golden.cases("matchBackgrounds") if "error" in case]


def all_good_cases() -> list[dict[str, Any]]:
    """Return the cases that give a model which can be compared."""
    return good_cases(polynomial=False) + good_cases(polynomial=True)


def test_every_case_is_compared() -> None:
    """All golden cases are splines, polynomials, refusals, the singular one or the empty one."""
    assert len(good_cases(polynomial=False)) == SPLINES
    assert len(good_cases(polynomial=True)) == POLYNOMIALS
    assert len(refused_cases()) == REFUSED
    assert len(cases_with("all_nan", "ill_conditioned")) == 2
    assert sum(1 for _ in golden.cases("matchBackgrounds")) == SPLINES + POLYNOMIALS + REFUSED + 2
    assert sum(1 for _ in golden.cases()) == 100


def test_grids_are_lsst_s() -> None:
    """Value and error of every bin agree within one ulp, empty bins with empty ones."""
    for case in all_good_cases():
        arrays, match = match_of(case)
        assert golden.ulps(match.model.values, arrays["grid_value"]) <= 1, case["name"]
        assert golden.ulps(match.model.errors, arrays["grid_error"]) <= 1, case["name"]


def test_bins_are_where_lsst_s_are() -> None:
    """The centres of the model's bins, shifted by the origin that they do not know, are LSST's."""
    for case in all_good_cases():
        arrays, match = match_of(case)
        ny, nx = match.model.values.shape
        x0, y0 = arrays["xy0"].tolist()
        assert (bin_centres(match.model.width, nx) + x0).tolist() == arrays["grid_xcen"].tolist()
        assert (bin_centres(match.model.height, ny) + y0).tolist() == arrays["grid_ycen"].tolist()


def test_splines_are_lsst_s() -> None:
    """Every pixel agrees within one ulp of max(|M|, 1e-3 max|M|), and the style is the same."""
    for case in good_cases(polynomial=False):
        arrays, match = match_of(case)
        expected = arrays["model"]
        floor = 1e-3 * float(np.abs(expected).max())
        assert golden.ulps(match.model.image(), expected, floor) <= 1, case["name"]
        assert isinstance(match.model, SplineBackground)
        assert match.model.style_used == case["result"]["asUsed"], case["name"]


def test_polynomials_are_lsst_s() -> None:
    """Every pixel agrees within four ulp of max|M|."""
    for case in good_cases(polynomial=True):
        arrays, match = match_of(case)
        expected = arrays["model"]
        largest = float(np.abs(expected).max())
        assert golden.ulps(match.model.image(), expected, largest) <= 4, case["name"]


def test_polynomials_use_what_lsst_s_use() -> None:
    """Order used, weighting, and the samples of a grid that was increased are LSST's."""
    for case in good_cases(polynomial=True) + cases_with("ill_conditioned"):
        _, match = match_of(case)
        model, expected = match.model, case["result"]
        assert isinstance(model, ChebyshevBackground)
        assert (model.order_used, model.weighted) == (expected["order"], expected["weighting"])
        assert model.order == case["config"]["order"]
        assert model.values.shape == (expected["ny"], expected["nx"])
        if expected["newBinSize"] is not None:
            assert model.values.shape == (expected["newBinSize"],) * 2


def test_figures_are_lsst_s() -> None:
    """fit_rms, matched_mse and diff_im_var agree to 1e-9, fit_rms also to 1e-6 absolutely."""
    for case in all_good_cases():
        arrays, match = match_of(case)
        fit_rms, matched_mse, diff_im_var = arrays["scalars"]
        assert match.fit_rms == pytest.approx(fit_rms, rel=1e-9, abs=1e-6), case["name"]
        assert match.matched_mse == pytest.approx(matched_mse, rel=1e-9), case["name"]
        assert match.diff_im_var == pytest.approx(diff_im_var, rel=1e-9), case["name"]


def test_tiles_are_lsst_s() -> None:
    """The tiles behind fit_rms are LSST's, shifted by the origin that they do not know."""
    for case in all_good_cases():
        arrays = golden.load(case["file"])
        reference, science = golden.pair_of(arrays)
        config = golden.config_of(case)
        scratch = np.empty(reference.shape, dtype=np.float32)
        _, tiles = measure(measure_difference(reference, science, config, scratch), config)
        x0, y0 = arrays["xy0"].tolist()
        np.testing.assert_array_equal(tiles.x + x0, arrays["gi_X"], err_msg=case["name"])
        np.testing.assert_array_equal(tiles.y + y0, arrays["gi_Y"], err_msg=case["name"])
        np.testing.assert_allclose(tiles.values, arrays["gi_Z"], rtol=1e-9, err_msg=case["name"])
        np.testing.assert_allclose(tiles.errors, arrays["gi_dZ"], rtol=1e-9, err_msg=case["name"])


def test_the_singular_polynomial_ends_in_an_answer() -> None:
    """Where LSST's fit is garbage, ours is finite or an error of ours."""
    for case in cases_with("ill_conditioned"):
        try:
            _, match = match_of(case)
        except CoreError:
            continue
        assert np.isfinite(match.model.image()).all()


def test_refusals_are_of_lsst_s_kind() -> None:
    """Where LSST fails we fail with an exception of the same kind; NONE is refused when set."""
    for case in refused_cases():
        arrays = golden.load(case["file"])
        if case["config"]["interpStyle"] == "NONE":
            with pytest.raises(ConfigError, match="interp_style"):
                golden.config_of(case)
            continue
        with pytest.raises(CoreError) as caught:
            match_background(*golden.pair_of(arrays), golden.config_of(case))
        assert isinstance(caught.value, golden.error_type(case["error"]["type"])), case["name"]


def test_no_overlap_is_an_error_where_lsst_gives_nan() -> None:
    """A pair without a valid bin is refused rather than given an all-NaN model."""
    for case in cases_with("all_nan"):
        with pytest.raises(NoOverlapError):
            match_background(*golden.pair_of(golden.load(case["file"])), golden.config_of(case))


def test_no_case_changes_its_exposures() -> None:
    """Matched or refused, read-only planes are enough and hold the same bits afterwards."""
    for case in golden.cases("matchBackgrounds"):
        if case["config"]["interpStyle"] == "NONE":
            continue
        arrays, untouched = golden.load(case["file"]), golden.load(case["file"])
        for array in arrays.values():
            array.setflags(write=False)
        try:
            match_background(*golden.pair_of(arrays), golden.config_of(case))
        except CoreError:
            assert "error" in case or "all_nan" in case["tags"]
        for name, array in arrays.items():
            assert array.tobytes() == untouched[name].tobytes(), (case["name"], name)


def test_the_origin_of_a_case_changes_no_bit() -> None:
    """The golden pairs that differ in origin alone have the same model to the bit."""
    for zero, moved in (
        ("d02_xy0_zero", "d03_xy0_nonzero"),
        ("d04_xy0_poly_zero", "d05_xy0_poly_nonzero"),
    ):
        (_, first), (arrays, other) = (matched(f"{name}.npz", name) for name in (zero, moved))
        assert arrays["xy0"].any()
        assert first.model == other.model
        assert first.fit_rms == other.fit_rms


def test_settings_of_the_index_are_the_defaults() -> None:
    """A case that says nothing of a setting has our default for it."""
    (case,) = [one for one in golden.cases() if one["name"] == "c08_600x500_default_bin"]
    assert golden.config_of(case).bin_size == MatchConfig().bin_size


def test_what_waits_is_said() -> None:
    """The unit case of the 2025 task is the one golden case that nothing here computes."""
    (case,) = [one for one in golden.cases() if one["kind"].startswith("NEW")]
    pytest.skip(f"{case['name']}: filling of bad superpixels, of the 2025 task, is not built")


def test_the_numerics_have_a_version() -> None:
    """Whoever changes any bit of any result must raise NUMERICS_VERSION."""
    assert NUMERICS_VERSION == "2"
