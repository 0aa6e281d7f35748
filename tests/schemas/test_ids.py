"""Digests that name inputs, configurations, jobs and models."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    SchemaError,
    WarpArrived,
    arrival_digest,
    config_digest,
    input_digest,
    job_id,
    model_id,
    model_id_of,
    pack,
)
from tests.schemas.examples import NO_ID, matched_model, record

CHECKSUM = "ab" * 32


class Style(StrEnum):
    """A choice as a configuration holds it."""

    AKIMA = "AKIMA_SPLINE"


def test_an_input_digest_is_fixed_for_ever() -> None:
    """The digest of an input is written into logs that outlive a version."""
    digest = input_digest(CHECKSUM, 1.25, "nJy", "intact")
    assert digest == "b2e12d7de724ab3610302c81f3f74599580c69cfc74abecbac95f4244c9f3c77"


@pytest.mark.parametrize(
    "other",
    [
        ("cd" * 32, 1.25, "nJy", "intact"),
        (CHECKSUM, 1.5, "nJy", "intact"),
        (CHECKSUM, 1.25, None, "intact"),
        (CHECKSUM, 1.25, "", "intact"),
        (CHECKSUM, 1.25, "nJy", "subtracted"),
    ],
)
def test_each_part_of_an_input_changes_its_digest(other: tuple[str, float, str, str]) -> None:
    """A member is changed when its file, scale, unit or sky is."""
    assert input_digest(*other) != input_digest(CHECKSUM, 1.25, "nJy", "intact")


def test_a_scale_is_a_float_however_it_is_written() -> None:
    """1 and 1.0 are one scale."""
    assert input_digest(CHECKSUM, 1, None, "intact") == input_digest(CHECKSUM, 1.0, None, "intact")


def test_neighbouring_parts_do_not_run_together() -> None:
    """What stands in one part cannot be mistaken for the next."""
    assert job_id("match", "a", "bc", "d", "1") != job_id("match", "ab", "c", "d", "1")


def test_a_job_is_not_its_mirror_image() -> None:
    """Reference and warp have their places."""
    assert job_id("match", "a", "b", "c", "1") != job_id("match", "b", "a", "c", "1")


@pytest.mark.parametrize("place", range(4))
def test_each_part_of_a_job_changes_its_name(place: int) -> None:
    """A job is named by both inputs, the configuration and the arithmetic."""
    parts = ["a", "b", "c", "1"]
    changed = [*parts[:place], "other", *parts[place + 1 :]]
    assert job_id("match", *changed) != job_id("match", *parts)


def test_a_jobs_kind_and_its_lack_of_a_reference_are_part_of_its_name() -> None:
    """To measure a warp, to match it, and to match it to nothing are three jobs."""
    names = {
        job_id("measure", None, "b", "c", "1"),
        job_id("match", None, "b", "c", "1"),
        job_id("match", "", "b", "c", "1"),
    }
    assert len(names) == 3


def test_a_jobs_name_is_fixed_for_ever() -> None:
    """A job's name is written into the input log and into stores that outlive a version."""
    name = job_id("match", "ab" * 32, "cd" * 32, "ef" * 32, "1")
    assert name == "968293784d71edb1b6cacd4d937290177e24c1fa71f35519554014fd7f656659"


def test_an_arrivals_digest_is_that_of_its_parts() -> None:
    """Of an arrival count the checksum, the scale, the unit and the sky, in their places."""
    arrived = WarpArrived(
        skymap="rings",
        tract=1,
        patch=2,
        band="r",
        visit=3,
        uri="/w.fits",
        checksum=CHECKSUM,
        scale=1.25,
        unit="nJy",
        sky="intact",
    )
    assert arrival_digest(arrived) == input_digest(CHECKSUM, 1.25, "nJy", "intact")


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text()
CONFIGS = st.dictionaries(st.text(), VALUES | st.floats(allow_nan=False, allow_infinity=False))


@given(CONFIGS, st.randoms())
def test_a_config_digest_knows_no_order(config: dict[str, object], random: st.DataObject) -> None:
    """The order in which fields are listed does not change a configuration."""
    items = list(config.items())
    random.shuffle(items)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert config_digest(dict(items)) == config_digest(config)


def test_a_config_digest_sees_every_value() -> None:
    """A field with another value, or another kind of value, is another configuration."""
    configs: list[dict[str, object]] = [{}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"b": 1}]
    assert len({config_digest(config) for config in configs}) == len(configs)


def test_a_config_may_hold_choices_numpy_numbers_and_tuples() -> None:
    """A configuration's values count as what they say."""
    plain = config_digest({"style": "AKIMA_SPLINE", "n": 3, "planes": ["NO_DATA", "SAT"]})
    rich = {"style": Style.AKIMA, "n": np.int64(3), "planes": ("NO_DATA", "SAT")}
    assert config_digest(MappingProxyType(rich)) == plain


def test_a_config_with_nan_has_no_digest() -> None:
    """NaN equals nothing, so it can name nothing."""
    with pytest.raises(SchemaError, match="sigma is nan"):
        config_digest({"sigma": float("nan")})


def test_a_model_is_named_by_what_it_says_alone() -> None:
    """Revision, kind and the id itself are no part of a model's id."""
    model = matched_model()
    sent_again = msgspec.structs.replace(model, revision=9, kind="initial", model_id=NO_ID)
    assert model_id(sent_again) == model_id(model) == model.model_id


@pytest.mark.parametrize("change", [{"visit": 1}, {"fit_rms": None}, {"flags": ()}, {"scale": 2.0}])
def test_whatever_else_changes_a_model_changes_its_id(change: dict[str, object]) -> None:
    """Two models with one id say the same."""
    assert matched_model(**change).model_id != matched_model().model_id


def test_a_models_id_recomputes_from_its_bytes() -> None:
    """An auditor needs only the record's value."""
    assert model_id_of(record(matched_model()).value) == matched_model().model_id


def test_a_models_id_holds_fields_of_other_versions() -> None:
    """A field that this version does not know still counts: the writer counted it."""
    fields = msgpack.unpackb(record(matched_model()).value)
    newer = pack({**fields, "invented_later": 1})
    assert model_id_of(newer) not in {matched_model().model_id, NO_ID}
    assert model_id_of(pack({**fields, "revision": 77})) == matched_model().model_id


def test_an_id_needs_a_map() -> None:
    """Bytes that are no message have no id."""
    with pytest.raises(SchemaError, match="a model is a msgpack map"):
        model_id_of(pack([1, 2]))


def test_ints_and_floats_of_one_value_give_a_model_one_id() -> None:
    """A model's id is that of the bytes that are sent, where a float field holds a float."""
    assert matched_model(matched_mse=17).model_id == matched_model(matched_mse=17.0).model_id
