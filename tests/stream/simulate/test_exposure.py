"""Noise, cosmic rays and the masks of a pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.simulate.exposure import PLANES, Exposure, detect, expose
from stream.simulate.spec import GAIN, READ_NOISE, SurveySpec, VisitPlan, plan_night

SPEC = SurveySpec(size=256, patches=1, visits=2, bands=("r",))
PLAN = plan_night(SPEC)[0]


def exposed(
    sources: NDArray[np.float64] | float = 0.0,
    sky: float = 45.0,
    covered: NDArray[np.bool_] | None = None,
    plan: VisitPlan = PLAN,
) -> Exposure:
    """Return one exposure of a flat sky."""
    shape = SPEC.shape
    everywhere = np.ones(shape, dtype=bool)
    return expose(
        SPEC,
        plan,
        np.broadcast_to(np.asarray(sources, dtype=float), shape),
        np.full(shape, sky),
        everywhere if covered is None else covered,
    )


def plane(exposure: Exposure, name: str) -> NDArray[np.bool_]:
    """Return where a mask plane is set."""
    return np.asarray((exposure.mask >> PLANES[name]) & 1, dtype=bool)


def test_the_variance_plane_is_the_variance_of_the_noise() -> None:
    """(image - truth) / sqrt(variance) has variance 1 on clean pixels, and no offset."""
    exposure = exposed()
    clean = exposure.mask == 0
    pull = (exposure.image[clean] - 45.0) / np.sqrt(exposure.variance[clean])
    assert clean.mean() > 0.95
    assert pull.mean() == pytest.approx(0.0, abs=4 / np.sqrt(clean.sum()))
    assert pull.var() == pytest.approx(1.0, abs=0.02)


def test_the_variance_is_poisson_and_read_noise_corrected_for_transparency() -> None:
    """The variance is that of the electrons, scaled as the counts were."""
    gain = GAIN * PLAN.transparency
    expected = (gain * 45.0 + READ_NOISE**2) / gain**2
    assert np.nanmedian(exposed().variance) == pytest.approx(expected, rel=1e-5)


def test_cosmic_rays_leave_something_in_the_image() -> None:
    """Hits carry CR and INTRP, are a small part of the pixels, and lie a little above the sky."""
    exposure = exposed()
    hits = plane(exposure, "CR")
    assert np.array_equal(hits, plane(exposure, "INTRP"))
    assert 0.0002 < hits.mean() < 0.02
    sigma = float(np.sqrt(np.median(exposure.variance)))
    assert 0.2 * sigma < exposure.image[hits].mean() - 45.0 < 2.0 * sigma


def test_a_full_well_saturates() -> None:
    """A core beyond the full well is flat, masked SAT and DETECTED, and a little more around it."""
    source = np.zeros(SPEC.shape)
    source[100:104, 100:104] = 30_000.0
    exposure = exposed(source)
    saturated = plane(exposure, "SAT")
    assert saturated[100:104, 100:104].all()
    assert 16 < saturated.sum() < 80
    assert exposure.image[101, 101] < 12_000
    assert plane(exposure, "DETECTED")[100:104, 100:104].all()


def test_missing_pixels_are_nan_and_masked() -> None:
    """Where there are no data, image and variance are NaN and only NO_DATA is set."""
    covered = np.ones(SPEC.shape, dtype=bool)
    covered[:, 200:] = False
    exposure = exposed(covered=covered)
    assert np.array_equal(np.isnan(exposure.image), ~covered)
    assert np.array_equal(np.isnan(exposure.variance), ~covered)
    assert (exposure.mask[~covered] == 1 << PLANES["NO_DATA"]).all()
    assert plane(exposure, "EDGE")[:, 197:200].all()


def test_a_bright_star_is_detected_and_grown() -> None:
    """A star of 40 sigma is detected with a disc around it; blank sky hardly ever is."""
    rows, columns = np.indices(SPEC.shape)
    star = 1200.0 * np.exp(-((rows - 128) ** 2 + (columns - 90) ** 2) / (2 * 1.5**2)) / 14.1
    detected = plane(exposed(star), "DETECTED")
    assert detected[128, 90]
    assert 30 < detected[108:148, 70:110].sum() < 400
    assert detected.sum() - detected[108:148, 70:110].sum() < 60


def test_detection_sees_the_noisy_image_not_the_truth() -> None:
    """A source far below the noise is not detected although it is planted."""
    rows, columns = np.indices(SPEC.shape)
    faint = 4.0 * np.exp(-((rows - 128) ** 2 + (columns - 90) ** 2) / (2 * 1.5**2)) / 14.1
    assert not plane(exposed(faint), "DETECTED")[126:131, 88:93].any()


def test_a_slope_is_background_not_a_detection() -> None:
    """A steep gradient of the sky across the field is taken away before detection."""
    rng = np.random.default_rng(2)
    slope = np.linspace(0.0, 15.0, 256)[None, :] + np.zeros((256, 1))
    image = slope + rng.normal(0.0, 3.0, slope.shape)
    assert detect(image, np.full(slope.shape, 9.0), 3.0).mean() < 0.01


def test_detection_of_nothing_is_nothing() -> None:
    """An image without data has no detections, and no warning."""
    nothing = np.full((128, 128), np.nan)
    assert not detect(nothing, nothing, 3.0).any()


def test_an_exposure_repeats() -> None:
    """The same visit exposed twice has the same bytes."""
    first, second = exposed(), exposed()
    assert first.image.tobytes() == second.image.tobytes()
    assert first.mask.tobytes() == second.mask.tobytes()
    assert first.variance.tobytes() == second.variance.tobytes()


def test_planes_have_the_types_of_a_warp() -> None:
    """Image and variance are float32, the mask int32."""
    exposure = exposed()
    names = [plane.dtype.name for plane in (exposure.image, exposure.mask, exposure.variance)]
    assert names == ["float32", "int32", "float32"]
