"""Lossless gzip tiles: read at once, and to the bit as astropy reads them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import fits
from stream.decodelimits import DecodeLimits
from stream.hdus import walk
from stream.tiles import read_tiles
from tests.stream.tilefiles import PRIMARY, Bits, by_astropy, file_of, none, outcome, tiled
from tests.stream.warps import planted


def read(data: bytes, shape: tuple[int, int]) -> Bits | None:
    """Read the one tiled plane of a file."""
    content = memoryview(PRIMARY + data)
    (_, found) = walk(content, DecodeLimits())
    return read_tiles(content, found, shape)


def bits(shape: tuple[int, int], seed: int = 1) -> Bits:
    """Return pixels of any bits at all: as floats there are NaN of all kinds among them."""
    random = np.random.default_rng(seed)
    return random.integers(0, 2**32, shape, dtype=np.uint32) | np.uint32(0x7F800000)


SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(
    shape=SHAPES,
    tile=SHAPES,
    form=st.sampled_from(["GZIP_1", "GZIP_2"]),
    pointer=st.sampled_from("PQ"),
    gap=st.sampled_from([0, 24]),
)
@settings(max_examples=60, deadline=None)
def test_a_plane_of_any_tiling_is_read_to_the_bit(
    shape: tuple[int, int], tile: tuple[int, int], form: str, pointer: str, gap: int
) -> None:
    """What was put into tiles of whatever size comes out, without astropy."""
    plane = bits(shape)
    fitting = (min(tile[0], shape[0]), min(tile[1], shape[1]))
    found = read(tiled(plane, fitting, form, pointer, gap), shape)
    assert found is not None
    assert found.dtype == np.uint32
    assert found.tobytes() == plane.tobytes()


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 150])
@pytest.mark.parametrize("height", [1, 5, 64, 70])
def test_rows_that_are_read_together_stay_in_their_order(rows: int, height: int) -> None:
    """However many tiles of whole rows fit into one step, each is where it belongs."""
    plane = bits((rows, 7))
    found = read(tiled(plane, (min(height, rows), 7)), plane.shape)
    assert found is not None
    assert found.tobytes() == plane.tobytes()


def test_cards_that_may_be_left_out_have_the_standards_defaults() -> None:
    """Without ZTILE a tile is a row; without THEAP the heap follows the table."""
    plane = bits((9, 12))
    found = read(tiled(plane, ZTILE1=None, ZTILE2=None, THEAP=None), plane.shape)
    assert found is not None
    assert found.tobytes() == plane.tobytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"ZCMPTYPE": "RICE_1"},
        {"TFIELDS": 2},
        {"ZQUANTIZ": "NO_DITHER"},
        {"ZBLANK": -1},
        {"BLANK": 0},
        {"ZSCALE": 2.0},
        {"TZERO1": 1.0},
        {"TTYPE1": "UNCOMPRESSED_DATA"},
        {"TFORM1": "8B"},
        {"TFORM1": "2PB"},
        {"TFORM1": "1PI"},
    ],
)
def test_what_is_not_plainly_lossless_gzip_is_left_to_astropy(changes: dict[str, Any]) -> None:
    """A card that could make anything else of the pixels is enough."""
    plane = bits((4, 5))
    assert read(tiled(plane), plane.shape) is not None
    assert read(tiled(plane, **changes), plane.shape) is None


@pytest.mark.parametrize("pointer", [(-1, 0), (5, -1), (10**6, 0), (20, 10**9), (0, 0)])
def test_a_pointer_to_nowhere_is_left_to_astropy(pointer: tuple[int, int]) -> None:
    """A tile that is not in the heap, or is not there at all, is none that we read."""
    plane = bits((4, 5))
    data = bytearray(tiled(plane))
    struct.pack_into(">2i", data, _table_at(data) + 8, *pointer)
    assert read(bytes(data), plane.shape) is None


def _table_at(data: bytes | bytearray) -> int:
    (_, found) = walk(memoryview(PRIMARY + bytes(data)), DecodeLimits())
    return found.data - len(PRIMARY)


@pytest.mark.parametrize("size", [0, 3, 19, 21, 10**7])
def test_a_tile_of_another_size_is_left_to_astropy(size: int) -> None:
    """A tile that inflates to fewer or more bytes than its pixels have is none that we read."""
    plane = bits((1, 5))
    packed = gzip.compress(bytes(size), mtime=0)
    data = bytearray(tiled(plane))
    at = _table_at(data)
    struct.pack_into(">2i", data, at, len(packed), 0)
    padded = packed + bytes(-len(packed) % 2880)
    changed = bytes(data[: at + 8]) + padded
    head = bytes(changed).replace(_card("PCOUNT", data), f"PCOUNT  = {len(packed):>20}".encode())
    assert read(head, plane.shape) is None


def _card(name: str, data: bytes | bytearray) -> bytes:
    at = bytes(data).index(name.ljust(8).encode())
    return bytes(data[at : at + 30])


# -- whole files, beside astropy -------------------------------------------------------------------


QUANTISED: Mapping[str, Mapping[str, Any]] = {
    "lossless": {"quantize_level": 0.0},
    "quantised": {"quantize_level": 16.0, "quantize_method": -1},
    "dithered": {"quantize_level": 16.0, "quantize_method": 1, "dither_seed": 7},
    "dithered around zero": {"quantize_level": 8.0, "quantize_method": 2, "dither_seed": 7},
}


VARIANTS = [
    *((form, how) for form in ("GZIP_1", "GZIP_2") for how in QUANTISED),
    *(("RICE_1", how) for how in QUANTISED if how != "lossless"),  # it stores whole numbers
]


@pytest.mark.parametrize("tile", [(1, 24), (20, 24), (7, 9), (4, 24)])
@pytest.mark.parametrize(("form", "how"), VARIANTS)
def test_every_variant_has_astropys_bits(form: str, how: str, tile: tuple[int, int]) -> None:
    """Quantised or not, dithered or not, with NaN: each plane is what astropy reads."""
    image = planted((20, 24))
    image.variance[~np.isfinite(image.variance)] = 25.0
    options = {"compression_type": form, "tile_shape": tile}
    data = file_of(
        IMAGE=by_astropy("IMAGE", image.image, **options, **QUANTISED[how]),
        MASK=by_astropy("MASK", image.mask, **options),
        VARIANCE=by_astropy("VARIANCE", image.variance, **options, **QUANTISED[how]),
    )
    decoded = fits.decode(data)
    opened: Any = astropy_fits.open(BytesIO(data))
    with opened as hdus:
        for name in ("IMAGE", "MASK", "VARIANCE"):
            ours = getattr(decoded, name.lower())
            assert ours.tobytes() == hdus[name].data.astype(ours.dtype).tobytes(), name


def _plio() -> bytes:
    plane = planted((20, 24)).mask
    return file_of(MASK=by_astropy("MASK", plane, compression_type="PLIO_1", tile_shape=(7, 9)))


def _stand_ins() -> bytes:
    """Return a warp whose image has rows without noise, which are kept as gzip streams."""
    image = planted((20, 24)).image
    image[::3] = 7.5
    how = {"compression_type": "RICE_1", **QUANTISED["dithered around zero"]}
    return file_of(IMAGE=by_astropy("IMAGE", image, **how))


def _idle_stand_in() -> bytes:
    """Return a warp in which a tile that is there has a stand-in that is none."""
    image = planted((20, 24)).image
    how = {"compression_type": "GZIP_1", **QUANTISED["dithered"]}
    plane = bytearray(by_astropy("IMAGE", image, **how))
    at = -(-(plane.index(b"END".ljust(80)) + 80) // 2880) * 2880
    assert struct.unpack_from(">2i", plane, at + 8) == (0, 0)
    struct.pack_into(">2i", plane, at + 8, 1, 0)
    return file_of(IMAGE=bytes(plane))


def _null_pixels() -> bytes:
    """Return a warp with a column of pixel masks, which astropy does not apply."""
    image = planted((20, 24)).image
    how = {"compression_type": "RICE_1", **QUANTISED["dithered"]}
    plane = by_astropy("IMAGE", image, **how)
    assert b"'GZIP_COMPRESSED_DATA'" in plane
    return file_of(IMAGE=plane.replace(b"'GZIP_COMPRESSED_DATA'", b"'NULL_PIXEL_MASK'     "))


def _uncompressed() -> bytes:
    """Return a warp whose mask has its lower half as plain pixels."""
    plane = planted((20, 24)).mask.view(np.uint32)
    packed = gzip.compress(plane[:10].astype(">u4").tobytes(), mtime=0)
    table = struct.pack(">8i", len(packed), 0, 0, 0, 0, 0, 240, len(packed))
    heap = packed + plane[10:].astype(">u4").tobytes()
    second: dict[str, Any] = {"TTYPE2": "UNCOMPRESSED_DATA", "TFORM2": "1PJ(240)"}
    lengths: dict[str, Any] = {"TFIELDS": 2, "NAXIS1": 16, "PCOUNT": len(heap), "THEAP": None}
    head = tiled(plane, (10, 24), "GZIP_1", **second, **lengths)[:2880]
    return file_of(MASK=head + table + heap + bytes(-len(table + heap) % 2880))


@pytest.mark.parametrize(
    ("made", "sign"),
    [
        (_plio, b"PLIO_1"),
        (_stand_ins, b"GZIP_COMPRESSED_DATA"),
        (_idle_stand_in, b"GZIP_COMPRESSED_DATA"),
        (_null_pixels, b"NULL_PIXEL_MASK"),
        (_null_pixels, b"ZBLANK"),
        (_uncompressed, b"UNCOMPRESSED_DATA"),
    ],
)
def test_rare_variants_have_astropys_bits(made: Callable[[], bytes], sign: bytes) -> None:
    """Whatever stands in for a tile or beside it: each plane is what astropy reads."""
    data = made()
    assert sign in data
    decoded = fits.decode(data)
    opened: Any = astropy_fits.open(BytesIO(data))
    with opened as hdus:
        for number, name in enumerate(("image", "mask", "variance"), 1):
            ours = getattr(decoded, name)
            assert ours.tobytes() == hdus[number].data.astype(ours.dtype).tobytes(), name


LOSSLESS = file_of(MASK=tiled(planted((20, 24)).mask.view(np.uint32), (5, 24)))
"""A file of which one plane is read here."""


@given(at=st.integers(0, len(LOSSLESS) - 1), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_read_or_refused_as_by_astropy(at: int, value: int) -> None:
    """Whichever byte is another one: the same pixels, or the same reason."""
    data = LOSSLESS[:at] + bytes([value]) + LOSSLESS[at + 1 :]
    assert outcome(data) == _outcome_by_astropy(data)


def _outcome_by_astropy(data: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "read_tiles", none)
        return outcome(data)
