"""Quantised planes in Rice tiles: read at once, and to the bit as astropy reads them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream import fits
from stream.decodelimits import DecodeLimits
from stream.hdus import quiet, walk
from stream.ricetiles import read_rice_tiles
from tests.stream.tilefiles import FILE_SHAPE, PRIMARY, by_astropy, file_of, none, outcome
from tests.stream.warps import planted

Plane = NDArray[np.float32]

HOW = {"compression_type": "RICE_1", "quantize_level": 8.0, "quantize_method": 1, "dither_seed": 3}


def read(data: bytes, shape: tuple[int, int]) -> Plane | None:
    """Read the one tiled plane of a file."""
    content = memoryview(PRIMARY + data)
    (_, found) = walk(content, DecodeLimits())
    with quiet():
        return read_rice_tiles(content, found, shape)


def astropys(data: bytes) -> Plane:
    """Return what astropy reads."""
    opened: Any = astropy_fits.open(BytesIO(PRIMARY + data))
    with quiet(), opened as hdus:
        return np.asarray(hdus[1].data).astype(np.float32)


def noise(shape: tuple[int, int], seed: int = 1) -> Plane:
    """Return a plane that can be quantised."""
    return np.random.default_rng(seed).normal(10.0, 3.0, shape).astype(np.float32)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    method=st.sampled_from([-1, 1, 2]),
    seed=st.integers(1, 10_000),
    spoilt=st.lists(st.tuples(st.integers(0, 39), st.sampled_from([np.nan, 0.0, 1e6, -3e5]))),
)
@settings(max_examples=120, deadline=None)
def test_a_plane_of_any_tiling_has_astropys_bits(
    shape: tuple[int, int],
    tile: tuple[int, int],
    method: int,
    seed: int,
    spoilt: list[tuple[int, float]],
) -> None:
    """With rows of NaN, of one value (which are kept as gzip streams) or far off, dithered or not.

    Tiles in Rice's code are paired by their size; what is left over is read beside itself.
    """
    plane = noise(shape, seed)
    for row, value in spoilt:
        plane[row % shape[0]] = value
    fitting = (min(tile[0], shape[0]), min(tile[1], shape[1]))
    how = HOW | {"quantize_method": method, "dither_seed": seed, "tile_shape": fitting}
    with quiet():
        data = by_astropy("IMAGE", plane, **how)
    found = read(data, shape)
    assert found is not None
    assert found.dtype == np.float32
    assert found.tobytes() == astropys(data).tobytes()


def test_a_plane_as_large_as_the_random_numbers_has_astropys_bits() -> None:
    """A tile that takes more of them than there are begins with others anew."""
    plane = noise((150, 300))
    data = by_astropy("IMAGE", plane, **HOW, tile_shape=(150, 150))
    found = read(data, plane.shape)
    assert found is not None
    assert found.tobytes() == astropys(data).tobytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ZCMPTYPE= 'RICE_1  '", b"ZCMPTYPE= 'PLIO_1  '"),
        (b"'BYTEPIX '", b"'BYTEPIX2'"),
        (b"ZQUANTIZ= 'SUBTRACTIVE_DITHER_1'", b"ZQUANTIZ= 'SUBTRACTIVE_DITHER_3'"),
        (b"'GZIP_COMPRESSED_DATA'", b"'NULL_PIXEL_MASK'     "),
        (b"TTYPE3  = 'ZSCALE  '", b"TTYPE3  = 'YSCALE  '"),
        (b"TFORM3  = '1D      '", b"TFORM3  = '2E      '"),
    ],
)
def test_what_is_not_plainly_quantised_rice_is_left_to_astropy(old: bytes, new: bytes) -> None:
    """A card that could make anything else of the pixels is enough."""
    plane = noise((4, 30))
    data = by_astropy("IMAGE", plane, **HOW)
    assert data.count(old) == 1
    assert read(data, plane.shape) is not None
    changed = data.replace(old, new)
    if new.startswith(b"'BYTEPIX2"):  # a name that nobody knows changes nothing
        assert read(changed, plane.shape) is not None
        changed = _with_value(data, 2)
    assert read(changed, plane.shape) is None


def _with_value(data: bytes, value: int) -> bytes:
    """Return a plane whose pixels are said to have another number of bytes."""
    at = data.index(b"ZVAL2   =")
    return data[: at + 10] + f"{value:>20}".encode() + data[at + 30 :]


@pytest.mark.parametrize(
    "card", ["ZBLANK  =                    T", "BLANK   =                   -1"]
)
def test_an_odd_blank_is_left_to_astropy(card: str) -> None:
    """What stands for NaN has to be a whole number of 32 bits."""
    plane = noise((4, 30))
    plane[1, 2] = np.nan
    data = by_astropy("IMAGE", plane, **HOW)
    at = data.index(b"ZBLANK  =")
    assert read(data, plane.shape) is not None
    assert read(data[:at] + card.encode() + data[at + len(card) :], plane.shape) is None


def test_a_mask_is_left_to_astropy() -> None:
    """It reads whole numbers faster."""
    plane = planted((20, 24)).mask
    assert read(by_astropy("MASK", plane, compression_type="RICE_1"), plane.shape) is None


@pytest.mark.parametrize("what", [np.nan, np.inf])
def test_a_scale_that_is_no_number_is_left_to_astropy(what: float) -> None:
    """It says what comes of it."""
    plane = noise((4, 30))
    data = bytearray(by_astropy("IMAGE", plane, **HOW))
    (_, found) = walk(memoryview(PRIMARY + bytes(data)), DecodeLimits())
    at = found.data - len(PRIMARY) + 16
    data[at : at + 8] = np.array([what], ">f8").tobytes()
    assert read(bytes(data), plane.shape) is None


# -- damage ----------------------------------------------------------------------------------------


def _quantised() -> bytes:
    image = planted(FILE_SHAPE).image
    image[::5] = 7.5
    return file_of(IMAGE=by_astropy("IMAGE", image, **HOW, tile_shape=(5, 24)))


QUANTISED = _quantised()
"""A file of which one plane is read here, some of its tiles kept as gzip streams."""


_IMAGE = list(walk(memoryview(QUANTISED), DecodeLimits()))[1]


@given(at=st.integers(_IMAGE.data, _IMAGE.end - 1), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_damaged_tiles_are_read_or_refused_as_by_astropy(at: int, value: int) -> None:
    """Whichever byte of the table or the heap is another one: the same pixels, or reason."""
    data = QUANTISED[:at] + bytes([value]) + QUANTISED[at + 1 :]
    assert outcome(data) == _outcome_by_astropy(data)


@given(at=st.integers(_IMAGE.start, _IMAGE.data - 1), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_header_is_taken_as_by_astropy_or_does_no_harm(at: int, value: int) -> None:
    """A card that nothing here looks at may be one that astropy cannot read."""
    data = QUANTISED[:at] + bytes([value]) + QUANTISED[at + 1 :]
    assert outcome(data) in (_outcome_by_astropy(data), outcome(QUANTISED))


@pytest.mark.parametrize("name", [b"TTYPE1", b"TTYPE4", b"ZNAME1", b"ZQUANTIZ"])
def test_a_card_that_cannot_be_read_is_left_to_astropy(name: bytes) -> None:
    """A text with a byte that is no ASCII, say: astropy may do without that card.

    Where all tiles are kept as they are it needs no zero, whose column the fourth is.
    """
    flat = np.full(FILE_SHAPE, 7.5, np.float32)
    whole = file_of(IMAGE=by_astropy("IMAGE", flat, **HOW))
    quote = whole.index(b"'", whole.index(b"'", whole.index(name.ljust(8) + b"= ")) + 1)
    data = whole[: quote - 1] + b"\xa0" + whole[quote:]
    assert outcome(data) == _outcome_by_astropy(data)
    assert (outcome(data) == outcome(whole)) == (name == b"TTYPE4")


def _outcome_by_astropy(data: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "read_rice_tiles", none)
        return outcome(data)
