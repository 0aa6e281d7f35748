"""What pictures are drawn from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import core
import schemas
from stream.gather import gather, mse_ratio
from tests.schemas import examples

CONFIG = core.MatchConfig(bin_size=16)


def _warp(level: float, shape: tuple[int, int] = (32, 32)) -> core.MaskedImage:
    return core.MaskedImage(
        np.full(shape, level, np.float32),
        np.zeros(shape, np.int32),
        np.full(shape, 4.0, np.float32),
        {"NO_DATA": 8, "DETECTED": 5},
    )


def test_ratio_of_nothing() -> None:
    """Where the fit has no figures, or no variance, there is no ratio rather than a wrong one."""
    model = examples.matched_model()
    assert mse_ratio(model) == pytest.approx((model.matched_mse or 0) / (model.diff_im_var or 1))
    assert mse_ratio(msgspec.structs.replace(model, diff_im_var=0.0)) is None


def test_without_a_readable_warp_nothing_is_drawn() -> None:
    """A model whose warp failed is left out; nothing of it is read."""
    failed = msgspec.structs.replace(
        examples.matched_model(),
        status="failed",
        reason="missing: it is gone",
        model=None,
        fit_rms=None,
        matched_mse=None,
        diff_im_var=None,
    )
    gathered = gather([failed], lambda _: pytest.fail("it was read"), CONFIG)
    assert gathered.panels == []
    with pytest.raises(ValueError, match="no warp"):
        gathered.before.tile()


def test_no_overlap_has_a_panel_and_no_part_in_the_coadd() -> None:
    """A warp without overlap is shown, and does not spoil the coadd with a sky of its own."""
    base = msgspec.structs.replace(
        examples.matched_model(),
        visit=1,
        reference=1,
        is_reference=True,
        status="reference",
        model=None,
        fit_rms=None,
        matched_mse=None,
        diff_im_var=None,
    )
    apart = msgspec.structs.replace(base, visit=2, is_reference=False, status="no_overlap")
    gathered = gather([base, apart], lambda visit: _warp(100.0 * visit), CONFIG)
    assert len(gathered.panels) == 1
    assert float(np.nanmax(gathered.after.tile().image)) == 100.0


def test_findings_are_the_messages() -> None:
    """A panel says what the model's message says; its frame is three bins about the worst place."""
    model = msgspec.structs.replace(
        examples.matched_model(visit=2, reference=1),
        quality=schemas.Quality(sky_chi2=4.5, worst_x=-40.0, worst_y=8030.0),
        verdict="reject",
        verdict_reasons=("edge_step: a step", "sky_chi2 is 4.5, over 2"),
    )
    base = msgspec.structs.replace(
        model, visit=1, is_reference=True, status="reference", model=None, quality=None,
        fit_rms=None, matched_mse=None, diff_im_var=None, verdict="accept",
    )  # fmt: skip
    (panel,) = gather([base, model], lambda visit: _warp(visit, (120, 180)), CONFIG).panels
    found = panel.findings
    assert (found.visit, found.verdict, found.sky_chi2) == (2, "reject", 4.5)
    assert (found.fit_rms, found.ratio) == (model.fit_rms, mse_ratio(model))
    assert found.reasons == ("edge_step", "sky_chi2")
    assert found.worst == (-40.0 - 90.0, -40.0 + 90.0, 8030.0 - 90.0, 8030.0 + 90.0)
    for change in ({"quality": None}, {"verdict_reasons": ("coverage is 0.1, under 0.2",)}):
        without = msgspec.structs.replace(model, **change)
        (panel,) = gather([base, without], lambda visit: _warp(visit, (120, 180)), CONFIG).panels
        assert panel.findings.worst is None


def test_a_coadd_is_of_what_is_not_rejected() -> None:
    """Before matching all warps are added, after it those that a coadder would take."""
    matched = examples.matched_model(visit=2, reference=1)
    base = msgspec.structs.replace(
        matched, visit=1, is_reference=True, status="reference", model=None, quality=None,
        fit_rms=None, matched_mse=None, diff_im_var=None, verdict="accept",
    )  # fmt: skip
    for verdict, count in (("accept", 2), ("none", 2), ("reject", 1)):
        judged = msgspec.structs.replace(matched, verdict=verdict)
        found = gather(
            [base, judged],
            lambda visit: _warp(visit, (120, 180)),
            CONFIG,
            lambda _: np.zeros((120, 180), np.float32),
        )
        assert (found.before.warps, found.before_error.warps) == (2, 2)
        assert (found.after.warps, found.after_error.warps) == (count, count)
