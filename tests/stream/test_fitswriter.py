"""Warps as LSST's layout has them, the same bytes each time."""

from __future__ import annotations

import gzip
import time
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import core
from stream import fits
from stream.fitswriter import Compression, encode
from tests.stream.warps import HEADER, PLANES, assert_same, planted

ALL: tuple[Compression, ...] = (None, "gzip", "gzip2", "rice")


def _opened(data: bytes, **options: Any) -> Any:
    return astropy_fits.open(BytesIO(data), **options)


def test_the_layout_is_that_of_exposuref() -> None:
    """A header-only primary HDU, then IMAGE, MASK, VARIANCE by EXTTYPE and EXTNAME."""
    with _opened(encode(planted(), HEADER)) as hdus:
        assert hdus[0].data is None
        assert [h.header["EXTTYPE"] for h in hdus[1:]] == ["IMAGE", "MASK", "VARIANCE"]
        assert [h.header["EXTNAME"] for h in hdus[1:]] == ["IMAGE", "MASK", "VARIANCE"]
        assert [h.header["BITPIX"] for h in hdus[1:]] == [-32, 32, -32]


def test_the_primary_header_identifies_the_warp() -> None:
    """The identity stands first and in its order, then what else there is; None is left out."""
    header = {"ZEBRA": 1, **dict(reversed(HEADER.items())), "NOTHING": None}
    with _opened(encode(planted(), header)) as hdus:
        cards = {k: v for k, v in hdus[0].header.items() if k in header}
        assert "NOTHING" not in hdus[0].header
    assert cards == HEADER | {"ZEBRA": 1}
    assert list(cards) == [*HEADER, "ZEBRA"]


def test_mask_planes_stand_in_the_masks_header_alone() -> None:
    """MP_ cards give the bit numbers, in HIERARCH cards where the name is long."""
    with _opened(encode(planted(), {})) as hdus:
        found = {k[3:]: v for k, v in hdus["MASK"].header.items() if k.startswith("MP_")}
        assert found == PLANES
        assert not any(k.startswith("MP_") for k in hdus["IMAGE"].header)
        assert "HIERARCH MP_DETECTED_NEGATIVE = 6" in hdus["MASK"].header.tostring(sep="\n")


def test_the_origin_is_written_both_ways() -> None:
    """The trivial WCS "A" and LTV say where the patch lies in the tract, on each plane."""
    with _opened(encode(planted(origin=(400, -20)), {})) as hdus:
        for hdu in hdus[1:]:
            header = hdu.header
            assert (header["CTYPE1A"], header["CRPIX1A"], header["CRVAL1A"]) == ("LINEAR", 1, 400)
            assert (header["CTYPE2A"], header["CRPIX2A"], header["CRVAL2A"]) == ("LINEAR", 1, -20)
            assert (header["LTV1"], header["LTV2"]) == (-400, 20)


def test_the_sky_wcs_goes_to_each_plane() -> None:
    """Cards of the sky's WCS stand beside the pixel origin."""
    wcs: dict[str, str | float] = {"CTYPE1": "RA---TAN", "CRVAL1": 351.6}
    with _opened(encode(planted(), {}, wcs=wcs)) as hdus:
        assert [h.header["CTYPE1"] for h in hdus[1:]] == ["RA---TAN"] * 3
        assert "CTYPE1" not in hdus[0].header


def test_lossless_tiles_are_rows_of_gzip_2() -> None:
    """The stack's default recipe: GZIP_2, one row a tile."""
    with _opened(encode(planted(), {}, compression="gzip2"), disable_image_compression=True) as h:
        for hdu in h[1:]:
            assert hdu.header["ZCMPTYPE"] == "GZIP_2"
            assert (hdu.header["ZTILE1"], hdu.header["ZTILE2"]) == (30, 1)


def test_rice_is_for_floats_and_dithered() -> None:
    """Floats are quantised with subtractive dithering; the mask loses nothing."""
    image = core.MaskedImage(
        planted().image, planted().mask, np.abs(planted().image), PLANES, (0, 0)
    )
    with _opened(encode(image, {}, compression="rice"), disable_image_compression=True) as h:
        assert [hdu.header["ZCMPTYPE"] for hdu in h[1:]] == ["RICE_1", "GZIP_2", "RICE_1"]
        assert [hdu.header.get("ZQUANTIZ") for hdu in h[1:]][::2] == ["SUBTRACTIVE_DITHER_1"] * 2


def test_quantising_costs_little_and_keeps_nan() -> None:
    """Rice moves a pixel by less than a step, a small part of the noise, and NaN stays NaN."""
    image = planted((200, 150))
    back = fits.decode(encode(image, {}, compression="rice"))
    np.testing.assert_array_equal(np.isnan(back.image), np.isnan(image.image))
    error = back.image - image.image
    assert np.nanmax(np.abs(error)) < 5.0 / 8
    assert abs(np.nanmean(error)) < 0.01
    assert back.mask.tobytes() == image.mask.tobytes()


def test_a_plane_with_infinite_pixels_is_not_quantised() -> None:
    """Infinity has no place on a scale of steps, so that plane stays lossless."""
    image = planted()
    assert np.isinf(image.variance).any()
    back = fits.decode(encode(image, {}, compression="rice"))
    assert back.variance.tobytes() == image.variance.tobytes()


@pytest.mark.parametrize("compression", ALL)
def test_the_bytes_are_the_same_at_any_time(
    compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same warp is the same file, whatever the clock says."""
    first = encode(planted(), HEADER, compression=compression)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    assert encode(planted(), HEADER, compression=compression) == first


def test_gzip_is_the_plain_file() -> None:
    """The gzipped file is the plain one, inflated."""
    assert gzip.decompress(encode(planted(), HEADER, compression="gzip")) == encode(
        planted(), HEADER
    )


@pytest.mark.parametrize("compression", ALL)
def test_arguments_are_left_as_they_are(compression: Compression) -> None:
    """Encoding modifies neither pixels nor header."""
    image, header = planted(), dict(HEADER)
    encode(image, header, compression=compression)
    assert_same(image, planted())
    assert header == HEADER


_FLOATS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(width=32),
)


@settings(max_examples=60, deadline=None)
@given(
    image=_FLOATS,
    bits=st.integers(-(2**31), 2**31 - 1),
    compression=st.sampled_from([None, "gzip", "gzip2"]),
    origin=st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
)
def test_any_exposure_makes_the_round_trip(
    image: Any, bits: int, compression: Compression, origin: tuple[int, int]
) -> None:
    """Any pixels, NaN payloads included, any mask and origin come back to the bit."""
    mask = np.full(image.shape, bits, np.int32)
    exposure = core.MaskedImage(image, mask, image[::-1].copy(), {"A": 0, "LONG_NAME": 31}, origin)
    assert_same(fits.decode(encode(exposure, {}, compression=compression)), exposure)
