"""Results into bytes and back to the bit, and what is refused on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import core
import schemas
from stream import jobs
from stream.results.record import DamagedError, Result, decoded, encoded
from tests.schemas import examples
from tests.stream.test_rebuild import CELLS, polynomial, spline

NAME = "ab" * 32
ARRIVAL = examples.arrived()

FLOATS = st.floats(width=64)
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
PLACES = st.tuples(st.integers(-(2**53), 2**53), st.integers(-(2**53), 2**53))
GRIDS = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=CELLS)
QUALITIES = st.builds(
    core.Quality,
    tiles=st.integers(0, 10_000),
    flags=st.sampled_from([(), ("edge_step",), ("edge_step", "sources_unmasked")]),
    **{
        field.name: FLOATS | FLOATS.map(np.float64)
        for field in dataclasses.fields(core.Quality)
        if field.name not in ("tiles", "flags")
    },
)
MEASURED = st.builds(
    jobs.Measured,
    visit=st.just(ARRIVAL.visit),
    checksum=st.just(ARRIVAL.checksum),
    mean=FLOATS,
    variance=FLOATS,
    count=FLOATS,
    shape=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    origin=PLACES,
)
MATCHED = st.builds(
    jobs.Matched,
    visit=st.just(ARRIVAL.visit),
    background=st.none() | GRIDS.map(spline),
    fit_rms=FIGURES,
    matched_mse=FIGURES,
    diff_im_var=FIGURES,
    origin=st.tuples(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31)),
    status=st.sampled_from(["matched", "no_overlap", "failed"]),
    reason=st.none() | st.text(),
    quality=st.none() | QUALITIES,
    absent=st.lists(st.text(), max_size=3).map(tuple),
)


def again(result: Result) -> Result:
    """Return what is found of a result that was kept."""
    data = encoded(NAME, result)
    return decoded(NAME, data, ARRIVAL, measured=isinstance(result, jobs.Measured))


def bits(value: Any) -> Any:
    """Return a value with its floats as their bits, so that NaN equals itself and -0 is not 0."""
    if dataclasses.is_dataclass(value) and not isinstance(value, core.Background):
        named = dataclasses.fields(value)
        return {one.name: bits(getattr(value, one.name)) for one in named if one.compare}
    if isinstance(value, float):
        return struct.pack("<d", value)
    return value


@given(MEASURED | MATCHED)
def test_a_result_comes_back_to_the_bit(result: Result) -> None:
    """Whatever was found comes back with the same bits: NaN, infinities, -0, grids and flags."""
    assert bits(again(result)) == bits(result)


@given(MATCHED)
@settings(max_examples=20)
def test_a_result_has_one_form(result: jobs.Matched) -> None:
    """Two processes that compute the same write the same bytes."""
    assert encoded(NAME, again(result)) == encoded(NAME, result)


def test_a_polynomial_comes_back_to_the_bit() -> None:
    """The other form of a model is kept as well, and gives the same image."""
    fitted = polynomial([[1.0, 2.0], [np.nan, 4.0]])
    result = jobs.Matched(ARRIVAL.visit, fitted, 1.0, 2.0, 3.0, (5, 6), "matched", None)
    found = again(result)
    assert isinstance(found, jobs.Matched)
    assert found.background == fitted
    assert found.background is not None
    assert found.background.image().tobytes() == fitted.image().tobytes()


def test_it_is_the_askers_warp() -> None:
    """The visit and the checksum are those of whoever asks; what it took is not told again."""
    theirs = msgspec.structs.replace(ARRIVAL, visit=4711)
    measured = jobs.Measured(1, "cd" * 32, 1.0, 2.0, 3.0, (4, 5), (6, 7), {"decode": 2.0})
    found = decoded(NAME, encoded(NAME, measured), theirs, measured=True)
    assert found == dataclasses.replace(measured, visit=4711, checksum=theirs.checksum)
    assert found.timings == {}


# -- what is refused -------------------------------------------------------------------------------

RESULT = jobs.Matched(
    ARRIVAL.visit, spline([[1.0, 2.0], [3.0, 4.0]]), 1.0, 2.0, 3.0, (5, 6), "matched", None
)
DATA = encoded(NAME, RESULT)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, by: int) -> None:
    """No byte can be changed without notice."""
    damaged = bytearray(DATA)
    damaged[place] ^= by
    with pytest.raises(DamagedError, match="checksum"):
        decoded(NAME, bytes(damaged), ARRIVAL, measured=False)


@given(st.integers(0, len(DATA) - 1))
def test_a_cut_end_is_noticed(length: int) -> None:
    """What a power loss or a full disk has cut is no result, nor is an empty file."""
    with pytest.raises(DamagedError):
        decoded(NAME, DATA[:length], ARRIVAL, measured=False)


def test_a_result_of_another_job_is_noticed() -> None:
    """A file that was renamed or copied is not the result of the job that its name says."""
    with pytest.raises(DamagedError, match="checksum"):
        decoded("cd" * 32, DATA, ARRIVAL, measured=False)


def signed(body: bytes) -> bytes:
    """Return a body behind its right checksum, worked out anew."""
    return hashlib.sha256(b"evensky result\n" + NAME.encode() + b"\n" + body).digest() + body


def planted(**changes: object) -> bytes:
    """Return what somebody with a grudge writes: right checksum, wrong content."""
    body: Any = schemas.unpack_state(DATA[32:], dict)
    return signed(schemas.pack_state({**body, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": "1"},
        {"kind": "measure"},
        {"status": "excellent"},
        {"quality": [1, 2]},
        {"model": {"form": "spline"}},
        {"origin": [1]},
        {"fit_rms": "low"},
    ],
)
def test_a_foreign_content_is_refused(changes: dict[str, object]) -> None:
    """What is no result of this version is refused, though its checksum be right."""
    decoded(NAME, planted(), ARRIVAL, measured=False)
    with pytest.raises(DamagedError):
        decoded(NAME, planted(**changes), ARRIVAL, measured=False)


def test_a_model_that_could_not_be_fitted_is_refused() -> None:
    """A model is held to what a fit can give, as a reader of messages holds it."""
    model: Any = schemas.unpack_state(DATA[32:], dict)["model"]
    impossible = {**model, "width": 1, "height": 1}
    with pytest.raises(DamagedError, match="no result"):
        decoded(NAME, planted(model=impossible), ARRIVAL, measured=False)


@given(st.binary(max_size=200))
def test_noise_is_refused(body: bytes) -> None:
    """Whatever bytes stand behind a right checksum, the answer is a result or `DamagedError`."""
    with pytest.raises(DamagedError):
        decoded(NAME, signed(body), ARRIVAL, measured=True)
