"""The specification and the plan of the night."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.simulate.spec import BANDS, PIXEL_SCALE, SurveySpec, generator, plan_night


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("seed", -1, "seed is -1; it must be 0 or more"),
        ("patches", 0, "patches is 0; it must be 1 to 6"),
        ("patches", 7, "1 to 6"),
        ("visits", 1, "visits is 1; it must be 2 to 60"),
        ("size", 95, "size is 95; it must be 96 to 4200"),
        ("size", 5000, "96 to 4200"),
        ("bands", ("r", "u"), "bands holds 'u'; the simulated bands are g, r, i, z"),
        ("bands", (), "at most once"),
        ("bands", ("r", "r"), "at most once"),
    ],
)
def test_an_impossible_value_is_refused_by_name(name: str, value: object, says: str) -> None:
    """A value that cannot be is refused when the specification is made, with what can be."""
    with pytest.raises(ValueError, match=says):
        SurveySpec(**{name: value})  # type: ignore[arg-type]  # the mistake itself


def test_patches_are_neighbours_that_overlap() -> None:
    """Each patch begins where the one before it ends, less the overlap."""
    spec = SurveySpec(patches=3, size=240)
    boxes = spec.boxes
    assert [b.patch for b in boxes] == [39, 40, 41]
    assert {b.y0 for b in boxes} == {boxes[0].y0}
    assert np.diff([b.x0 for b in boxes]).tolist() == [240 - spec.overlap] * 2
    assert [b.offset for b in boxes] == [b.x0 - boxes[0].x0 for b in boxes]
    assert spec.shape == (240, boxes[-1].offset + 240)


def test_the_specification_is_a_mapping_for_json() -> None:
    """The mapping survives JSON and makes the same specification again."""
    spec = SurveySpec(seed=4, bands=("g",))
    held = json.loads(json.dumps(spec.to_mapping()))
    assert SurveySpec(**{**held, "bands": tuple(held["bands"])}) == spec


def test_the_night_is_planned_in_order_of_time() -> None:
    """Visits rise with time, each with a number of its own, bands in turn."""
    plans = plan_night(SurveySpec(visits=7, bands=("r", "i")))
    assert len(plans) == 14
    assert [p.mjd for p in plans] == sorted(p.mjd for p in plans)
    assert len({p.visit for p in plans}) == 14
    assert [p.visit for p in plans] == sorted(p.visit for p in plans)
    assert [p.band for p in plans] == ["r", "i"] * 7


def test_one_visit_of_the_night_has_an_amplifier_step_and_one_no_detection() -> None:
    """Just one visit has each flaw, unless there are few, and never the best or the same one."""
    for visits, bands in ((7, ("r", "i")), (2, ("r",)), (3, ("r",)), (4, ("g", "r", "i"))):
        plans = plan_night(SurveySpec(visits=visits, bands=bands))
        assert sum(p.amplifier_step for p in plans) == (visits > 3)
        assert sum(p.undetected for p in plans) == (visits > 3)
        assert not any(p.amplifier_step and p.undetected for p in plans)
        assert not any(p.amplifier_step or p.undetected for p in plans if p.index == 0)


@pytest.mark.parametrize("seed", range(6))
def test_the_air_is_believable(seed: int) -> None:
    """Seeing of 0.9 to 1.8 arcsec, transparency of 0.86 to 1, a moon that rises: at any seed."""
    plans = plan_night(SurveySpec(seed=seed))
    seeing = [p.fwhm * PIXEL_SCALE for p in plans]
    assert 0.9 < min(seeing) < max(seeing) < 1.8
    assert all(0.86 <= p.transparency <= 1.0 for p in plans)
    assert [p.moon for p in plans] == sorted(p.moon for p in plans)
    assert plans[0].moon == 0.0
    assert plans[-1].moon == pytest.approx(1.0)


def test_the_seed_decides_and_nothing_else() -> None:
    """One seed is one night; another is another."""
    assert plan_night(SurveySpec(seed=1)) == plan_night(SurveySpec(seed=1))
    assert plan_night(SurveySpec(seed=1)) != plan_night(SurveySpec(seed=2))


def test_parts_of_a_survey_draw_from_streams_of_their_own() -> None:
    """Generators of two parts share nothing, and numpy's global state is left alone."""
    before = repr(np.random.get_state())  # noqa: NPY002 - the global state is what is watched
    spec = SurveySpec()
    first, second = generator(spec, 1), generator(spec, 2)
    assert first.integers(1 << 60) != second.integers(1 << 60)
    assert repr(np.random.get_state()) == before  # noqa: NPY002 - the same


def test_dark_skies_grow_brighter_to_the_red() -> None:
    """The sky's counts rise from g to z, and each is some tens of counts."""
    dark = [BANDS[b].dark for b in "griz"]
    assert dark == sorted(dark)
    assert 10 < dark[0] < dark[-1] < 400
