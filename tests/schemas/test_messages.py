"""Rules that a message of each type holds as soon as it is made."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas import (
    MESSAGE_TYPES,
    BackgroundMetric,
    BackgroundModel,
    DeadReason,
    GroupManifest,
    GroupMatched,
    MemberSummary,
    Message,
    Model,
    NDArray,
    SchemaError,
)
from tests.schemas.examples import EXAMPLES, FURTHER, ZERO, arrived, matched_model

BY_TYPE = {type(example): example for example in EXAMPLES}


def remade(kind: type[Message], **changes: object) -> Message:
    """Make the example of a type again, with some fields otherwise."""
    example = BY_TYPE[kind]
    fields: dict[str, Any] = {**msgspec.structs.asdict(example), **changes}
    return kind(**fields)


def refused(kind: type[Message], **changes: object) -> str:
    """Return the sentence with which such a message is refused."""
    with pytest.raises(SchemaError) as caught:
        remade(kind, **changes)
    assert caught.value.reason in {DeadReason.BAD_MESSAGE, DeadReason.BAD_IDENTITY}
    return str(caught.value)


def test_the_types_are_those_of_the_contract() -> None:
    """These twelve names are what other programs know us by."""
    assert sorted(MESSAGE_TYPES) == [
        "background.metric.v1",
        "background.model.v1",
        "clock.tick.v1",
        "dead.letter.v1",
        "group.closed.v1",
        "group.manifest.v1",
        "group.matched.v1",
        "group.reopened.v1",
        "group.sealed.v1",
        "job.suspected.v1",
        "warp.arrived.v1",
        "warp.withdrawn.v1",
    ]


def test_there_is_an_example_of_every_type() -> None:
    """What the examples prove is proved of all types."""
    assert [type(example) for example in EXAMPLES] == list(MESSAGE_TYPES.values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)
def test_a_message_is_a_value(example: Message) -> None:
    """Nobody changes a message after it was made."""
    field = example.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(example, field, None)


def test_the_campaign_is_live_unless_said() -> None:
    """Who does not run campaigns need not name one."""
    assert arrived().group.campaign == "live"


@pytest.mark.parametrize(
    "kind", [kind for kind in MESSAGE_TYPES.values() if "tract" in kind.__struct_fields__]
)
def test_an_impossible_identity_is_refused_in_every_type(kind: type[Message]) -> None:
    """No message about a group can be made without a group that can be."""
    assert "tract must be" in refused(kind, tract=-1)
    assert "band must be" in refused(kind, band="r/i")


@pytest.mark.parametrize("checksum", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 63 + "\n"])
def test_a_checksum_is_a_sha256_in_lower_case(checksum: str) -> None:
    """One file has one checksum, spelled in one way."""
    assert "checksum must be a sha256" in refused(type(arrived()), checksum=checksum)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_is_finite_and_positive(scale: float) -> None:
    """A scale that would wipe out or flip an image is a mistake."""
    assert "scale must be finite" in refused(type(arrived()), scale=scale)
    assert "psf_fwhm must be finite" in refused(type(arrived()), psf_fwhm=scale)


@pytest.mark.parametrize("visits", [(2, 1), (1, 1), (1, 3, 2)])
def test_a_manifest_names_each_visit_once_in_order(visits: tuple[int, ...]) -> None:
    """A set has one spelling."""
    assert "visits must rise" in refused(GroupManifest, visits=visits, reference=None)


def test_a_manifest_names_somebody() -> None:
    """A set of nobody could never be told from a mistake."""
    assert "at least one" in refused(GroupManifest, visits=(), reference=None)


def test_a_manifests_reference_is_in_its_set() -> None:
    """A reference from outside would never be there."""
    assert "reference must be one of the visits, and 5 is not" in refused(
        GroupManifest, reference=5
    )


@pytest.mark.parametrize("deadline", [0, -1.0, math.nan, math.inf])
def test_a_deadline_lies_ahead(deadline: float) -> None:
    """A deadline is a time that comes."""
    assert "deadline must be finite" in refused(GroupManifest, deadline=deadline)


EMPTY = {"model": None, "fit_rms": None, "matched_mse": None, "diff_im_var": None}


def test_only_a_match_has_a_model() -> None:
    """Of every status a model message either has its numbers or nulls, never zeros."""
    assert "belongs to status 'matched'" in refused(BackgroundModel, model=None)
    for status in ("no_overlap", "failed", "withdrawn"):
        remade(BackgroundModel, **EMPTY, status=status, reason="why")
        assert "belongs to" in refused(BackgroundModel, status=status, reason="why")
        assert "must be null" in refused(
            BackgroundModel, **{**EMPTY, "fit_rms": 0.0}, status=status, reason="why"
        )


def test_a_matchs_numbers_may_be_null_one_by_one() -> None:
    """A figure that could not be measured is null beside others that could."""
    assert matched_model(fit_rms=None).matched_mse == 17.5


def test_a_reference_says_so_in_three_places_or_none() -> None:
    """Status, flag and visit tell one story."""
    story = {"status": "reference", "is_reference": True, "reference": 1230}
    remade(BackgroundModel, **EMPTY, **story)
    for change in ({"status": "matched"}, {"is_reference": False}, {"reference": 1228}):
        assert "all three must say the same" in refused(
            BackgroundModel, **{**EMPTY, **story, **change}
        )


def test_a_failure_gives_its_reason() -> None:
    """Nobody is left to guess why a warp is missing."""
    assert "must give its reason" in refused(BackgroundModel, **EMPTY, status="failed")


GRID = NDArray.of(np.zeros((2, 3), dtype=np.float32))
MODEL = msgspec.structs.asdict(matched_model().model)  # type: ignore[arg-type]  # it has one


@pytest.mark.parametrize(
    "changes",
    [
        {"values": NDArray.of(np.zeros(6, dtype=np.float32))},
        {"values": NDArray.of(np.zeros((2, 3)))},
        {"errors": NDArray.of(np.zeros((3, 2), dtype=np.float32))},
        {"counts": GRID},
    ],
)
def test_a_grid_has_one_shape_and_its_own_dtypes(changes: dict[str, Any]) -> None:
    """Values, errors and counts are of the same bins."""
    with pytest.raises(SchemaError, match=f"{next(iter(changes))} must be <"):
        Model(**{**MODEL, **changes})


@pytest.mark.parametrize("field", ["interp_style", "style_used", "undersample_style"])
def test_a_spline_says_how_it_is_drawn(field: str) -> None:
    """A spline without its styles could not be rebuilt."""
    with pytest.raises(SchemaError, match="a spline must say"):
        Model(**{**MODEL, field: None})


POLYNOMIAL = msgspec.structs.asdict(FURTHER[0].model)  # type: ignore[union-attr, arg-type]  # it has one


def test_coefficients_belong_to_polynomials() -> None:
    """A polynomial has coefficients, a spline has none."""
    Model(**POLYNOMIAL)
    for changes in ({**MODEL, "coefficients": GRID}, {**POLYNOMIAL, "coefficients": None}):
        with pytest.raises(SchemaError, match="coefficients belong"):
            Model(**changes)


@pytest.mark.parametrize("field", ["order_x", "order_y", "weighting", "undersample_style"])
def test_a_polynomial_says_how_it_was_fitted(field: str) -> None:
    """A polynomial without its order and weighting could not be rebuilt."""
    with pytest.raises(SchemaError, match="a chebyshev model must say"):
        Model(**{**POLYNOMIAL, field: None})
    if field.startswith("order"):
        with pytest.raises(SchemaError, match="which are the same"):
            Model(**{**POLYNOMIAL, field: 2})


@pytest.mark.parametrize(
    "coefficients", [np.zeros(2), np.zeros(6), np.zeros((1, 3)), np.zeros(3, dtype=np.float32)]
)
def test_an_order_has_its_number_of_coefficients(coefficients: Any) -> None:
    """All terms up to the order are there, as float64, and no others."""
    with pytest.raises(SchemaError, match=r"order 1 must be <f8 of shape \[3\]"):
        Model(**{**POLYNOMIAL, "coefficients": NDArray.of(coefficients)})


def test_a_summary_lists_each_member_once_in_order() -> None:
    """A reader can look a visit up, and finds it once."""
    twice = (MemberSummary(visit=1228, status="reference"),) * 2
    assert "members must rise" in refused(GroupMatched, members=twice)
    assert "missing must rise" in refused(GroupMatched, missing=(2, 2))


def test_a_summarys_reference_is_a_member() -> None:
    """The reference is one of the warps that were matched."""
    assert "the reference must be one of the members" in refused(GroupMatched, reference=99)


def test_a_revision_supersedes_a_lower_one() -> None:
    """History runs one way."""
    assert "can only supersede a lower one" in refused(GroupMatched, supersedes=2)


def test_a_metric_of_a_group_has_no_visit() -> None:
    """A metric is about a warp or a group, never half of each."""
    assert "visit belongs to scope" in refused(BackgroundMetric, scope="group")
    assert "visit belongs to scope" in refused(BackgroundMetric, visit=None)


def test_a_metric_is_flat() -> None:
    """Every value of a metric goes into a time-series database as it is."""
    values = msgspec.structs.asdict(BY_TYPE[BackgroundMetric]).values()
    assert all(value is None or type(value) in {str, int, float} for value in values)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (BackgroundModel, "model_id"),
        (BackgroundModel, "config_digest"),
        (BackgroundModel, "input_digest"),
        (BackgroundModel, "reference_digest"),
        (GroupMatched, "config_digest"),
        (MESSAGE_TYPES["job.suspected.v1"], "job"),
        (MESSAGE_TYPES["dead.letter.v1"], "value_checksum"),
    ],
)
def test_a_digest_is_a_digest_wherever_it_stands(kind: type[Message], field: str) -> None:
    """Whoever joins by digests finds them spelled alike."""
    assert f"{field} must be a sha256" in refused(kind, **{field: ZERO.replace("0", "G")})
