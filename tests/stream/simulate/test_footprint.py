"""Coverage: chips, gaps, borders."""

from __future__ import annotations

import numpy as np
import pytest

from stream.simulate.footprint import covered_by, edge_of
from stream.simulate.spec import SurveySpec, VisitPlan, plan_night

SPEC = SurveySpec(size=256, patches=3)


def plans() -> list[VisitPlan]:
    """Return the visits in r."""
    return [plan for plan in plan_night(SPEC) if plan.band == "r"]


def share(covered: np.ndarray, patch: int) -> float:
    """Return the covered fraction of one patch."""
    offset = SPEC.boxes[patch].offset
    return float(covered[:, offset : offset + SPEC.size].mean())


def test_the_first_visit_sees_the_whole_field() -> None:
    """The first visit of a band leaves out 5 % at most."""
    assert covered_by(SPEC, plans()[0]).mean() > 0.95


def test_visits_cover_differently() -> None:
    """No two visits have the same pixels, and none is empty in any patch."""
    covers = [covered_by(SPEC, plan) for plan in plans()]
    assert len({cover.tobytes() for cover in covers}) == len(covers)
    assert all(share(cover, patch) > 0.2 for cover in covers for patch in range(3))


def test_one_visit_covers_forty_percent_of_the_last_patch() -> None:
    """The border of the field leaves 40 % of one patch; the others are nearly whole."""
    partial = covered_by(SPEC, plans()[4])
    assert share(partial, 2) == pytest.approx(0.40, abs=0.001)
    assert share(partial, 0) > 0.85


def test_borders_are_tilted_and_ragged() -> None:
    """The border's column changes from row to row, by more than a straight line would."""
    covered = covered_by(SPEC, plans()[4])
    last = SPEC.shape[1] - np.argmax(covered[:, ::-1], axis=1)
    rows = np.arange(last.size)
    line = np.polynomial.Polynomial.fit(rows, last, 1)
    assert np.ptp(line(rows)) > 20
    assert 0.4 < (last - line(rows)).std() < 12


def test_edge_pixels_are_covered_and_beside_missing_ones() -> None:
    """EDGE marks a thin rim within the covered area."""
    covered = np.ones((40, 40), dtype=bool)
    covered[:, 20:24] = False
    edge = edge_of(covered)
    assert not (edge & ~covered).any()
    assert edge[:, 17:20].all()
    assert edge[:, 24:27].all()
    assert not edge[:, :16].any()


def test_a_full_visit_has_no_edge() -> None:
    """Where nothing is missing nothing is an edge: the patch's own border is none."""
    assert not edge_of(np.ones((10, 12), dtype=bool)).any()
