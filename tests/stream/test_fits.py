"""Decoding and identifying warps."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import fits
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from tests.shared import shared_path
from tests.stream.warps import HEADER, PLANES, assert_same, hdu, plain_file, planted

SMALL = planted()
FILES = {
    "plain": fits.encode(SMALL, HEADER),
    "gzip": fits.encode(SMALL, HEADER, compression="gzip"),
    "gzip2": fits.encode(SMALL, HEADER, compression="gzip2"),
    "rice": fits.encode(SMALL, HEADER, compression="rice"),
}


def _fault_of(data: bytes, limits: DecodeLimits | None = None) -> WarpFault:
    with pytest.raises(WarpError) as caught:
        fits.decode(data, limits)
    return caught.value.reason


# What a good file gives


@pytest.mark.parametrize("name", ["plain", "gzip", "gzip2"])
def test_lossless_files_decode_to_what_was_encoded(name: str) -> None:
    """Whatever was encoded without loss is decoded to the bit."""
    assert_same(fits.decode(FILES[name]), SMALL)


@pytest.mark.parametrize("name", list(FILES))
def test_planes_are_native_contiguous_and_independent_of_the_file(name: str) -> None:
    """Decoded planes are native, C-contiguous, writable float32, int32 and float32."""
    decoded = fits.decode(FILES[name])
    for plane, dtype in (
        (decoded.image, np.float32),
        (decoded.mask, np.int32),
        (decoded.variance, np.float32),
    ):
        assert plane.dtype == np.dtype(dtype)
        assert plane.dtype.isnative
        assert plane.flags.c_contiguous
        assert plane.flags.owndata or plane.base is not None


@pytest.mark.parametrize("name", list(FILES))
def test_our_planes_are_astropys(name: str) -> None:
    """Each plane has the bits that astropy reads from the same file."""
    data = gzip.decompress(FILES[name]) if name == "gzip" else FILES[name]
    decoded = fits.decode(FILES[name])
    opened: Any = astropy_fits.open(BytesIO(data))
    with opened as hdus:
        for plane in ("IMAGE", "MASK", "VARIANCE"):
            ours = getattr(decoded, plane.lower())
            theirs = hdus[plane].data.astype(ours.dtype)
            assert ours.tobytes() == theirs.tobytes()


def test_a_gzip_stream_of_several_members_is_one_file() -> None:
    """Members of a gzip stream that follow each other, with zeros behind them, are one file."""
    plain = FILES["plain"]
    data = gzip.compress(plain[:10_000]) + gzip.compress(plain[10_000:]) + bytes(100)
    assert_same(fits.decode(data), SMALL)


def test_mask_planes_are_those_of_the_file() -> None:
    """The file's own dictionary counts, long names (HIERARCH) included."""
    assert dict(fits.decode(FILES["gzip2"]).planes) == PLANES


def test_planes_are_found_by_exttype_before_extname() -> None:
    """EXTTYPE names a plane, whatever EXTNAME says."""
    changes: Mapping[str, object] = {"EXTTYPE": "IMAGE", "EXTNAME": "VARIANCE"}
    _assert_same_pixels(plain_file(SMALL, IMAGE=changes))


def test_planes_are_found_by_extname_where_there_is_no_exttype() -> None:
    """Without EXTTYPE, EXTNAME names a plane, in whatever case."""
    names = {"IMAGE": "image", "MASK": "Mask", "VARIANCE": "VARIANCE"}
    changes = {name: {"EXTTYPE": None, "EXTNAME": extname} for name, extname in names.items()}
    _assert_same_pixels(plain_file(SMALL, **changes))


def _assert_same_pixels(data: bytes) -> None:
    decoded = fits.decode(data)
    assert decoded.image.tobytes() == SMALL.image.tobytes()
    assert decoded.variance.tobytes() == SMALL.variance.tobytes()


def test_hdus_that_are_no_planes_are_passed_over() -> None:
    """Tables and images of other types, before and between the planes, are never read."""
    planes = plain_file(SMALL)
    table = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 7, "NAXIS2": 3}
    foreign = hdu({**table, "PCOUNT": 5, "GCOUNT": 1, "EXTNAME": "MASK"}, b"\xff" * 26)
    _assert_same_pixels(planes[:2880] + foreign + planes[2880:])


def test_nothing_behind_the_planes_is_looked_at() -> None:
    """What follows the three planes may be nonsense."""
    _assert_same_pixels(plain_file(SMALL) + b"XTENSION= nonsense" * 500)


def test_the_last_block_may_lack_its_padding() -> None:
    """A file that ends with its last pixel is whole."""
    padding = -SMALL.variance.nbytes % 2880
    assert padding
    _assert_same_pixels(plain_file(SMALL)[:-padding])


@pytest.mark.parametrize(
    ("cards", "origin"),
    [
        ({}, (0, 0)),
        ({"LTV1": -4000.0, "LTV2": 12}, (4000, -12)),
        ({"CRPIX1A": 1.0, "CRVAL1A": 7.0, "CRPIX2A": 1, "CRVAL2A": 8}, (7, 8)),
        ({"CRPIX1A": 3.0, "CRVAL1A": 7.0, "CRVAL2A": 8, "LTV1": 1, "LTV2": 1}, (5, 8)),
    ],
)
def test_the_origin_is_in_wcs_a_or_in_ltv(
    cards: Mapping[str, object], origin: tuple[int, int]
) -> None:
    """The trivial WCS "A" gives the origin, LTV where there is none, and else it is (0, 0)."""
    assert fits.decode(plain_file(SMALL, IMAGE=cards)).origin == origin


def test_all_pixels_may_be_nan() -> None:
    """A warp without a single number is a warp."""
    image = planted()
    image.image.fill(np.nan)
    for compression in (None, "gzip2", "rice"):
        assert np.isnan(fits.decode(fits.encode(image, {}, compression=compression)).image).all()


# What is wrong with a bad one


def test_an_empty_file_is_truncated() -> None:
    """Nothing at all is a file that was cut before its first byte."""
    assert _fault_of(b"") is WarpFault.TRUNCATED


@pytest.mark.parametrize("data", [b"Dear sir,\n" * 1000, b"\x89PNG\r\n\x1a\n", bytes(99_999)])
def test_something_else_is_not_fits(data: bytes) -> None:
    """Bytes that do not begin as FITS begins are not FITS."""
    assert _fault_of(data) is WarpFault.NOT_FITS


def test_gzip_of_something_else_is_not_fits() -> None:
    """Whatever is in a gzip stream is judged as if it stood alone."""
    assert _fault_of(gzip.compress(b"Dear sir,\n" * 1000)) is WarpFault.NOT_FITS


def test_a_damaged_gzip_stream_is_unreadable() -> None:
    """A gzip stream that does not inflate, or whose sum is wrong, is refused."""
    good = FILES["gzip"]
    assert _fault_of(good[:-8] + bytes(4) + good[-4:]) is WarpFault.UNREADABLE
    assert _fault_of(b"\x1f\x8b" + b"\xff" * 500) is WarpFault.UNREADABLE


@pytest.mark.parametrize("name", ["plain", "gzip", "gzip2", "rice"])
def test_a_file_cut_anywhere_is_refused_or_whole(name: str) -> None:
    """A file cut at any byte is a WarpError, or has lost nothing that matters."""
    data, whole = FILES[name], fits.decode(FILES[name])
    cuts = {*range(0, len(data), 977), *(len(data) - n for n in range(1, 60))}
    cuts |= {n + d for n in range(0, len(data), 2880) for d in (-1, 0, 1) if n + d >= 0}
    refused = set()
    for cut in sorted(cuts):
        try:
            assert_same(fits.decode(data[:cut]), whole)
        except WarpError as error:
            refused.add(error.reason)
    assert WarpFault.TRUNCATED in refused
    assert refused <= {WarpFault.TRUNCATED, WarpFault.NO_IMAGE, WarpFault.NOT_FITS}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(FILES)),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=8),
)
def test_a_file_with_damaged_bytes_is_refused_or_an_exposure(
    name: str, place: float, junk: bytes
) -> None:
    """Whatever bytes change, the answer is an exposure or a WarpError, and no warning."""
    data = bytearray(FILES[name])
    start = int(place * len(data))
    data[start : start + len(junk)] = junk
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with suppress(WarpError):
            fits.decode(bytes(data), DecodeLimits(max_pixels=10**6))


@pytest.mark.parametrize("name", ["IMAGE", "MASK", "VARIANCE"])
def test_each_plane_is_needed(name: str) -> None:
    """A file without one of the planes is refused, and says which one."""
    data = plain_file(SMALL, **{name: {"EXTTYPE": "PSF"}})
    with pytest.raises(WarpError, match=f"no {name}$") as caught:
        fits.decode(data)
    assert caught.value.reason is WarpFault.NO_IMAGE


@pytest.mark.parametrize(
    ("plane", "cards", "fault"),
    [
        ("IMAGE", {"BITPIX": -64}, WarpFault.WRONG_DTYPE),
        ("IMAGE", {"BITPIX": 32}, WarpFault.WRONG_DTYPE),
        ("MASK", {"BITPIX": 16}, WarpFault.WRONG_DTYPE),
        ("MASK", {"BZERO": 2147483648}, WarpFault.WRONG_DTYPE),
        ("VARIANCE", {"BSCALE": 2.0}, WarpFault.WRONG_DTYPE),
        ("IMAGE", {"NAXIS": 3, "NAXIS3": 1}, WarpFault.WRONG_SHAPE),
        ("IMAGE", {"NAXIS": 1, "NAXIS2": None}, WarpFault.WRONG_SHAPE),
        ("IMAGE", {"NAXIS": 0, "NAXIS1": None, "NAXIS2": None}, WarpFault.WRONG_SHAPE),
        ("IMAGE", {"NAXIS1": 0}, WarpFault.WRONG_SHAPE),
        ("MASK", {"NAXIS2": 39}, WarpFault.WRONG_SHAPE),
        ("VARIANCE", {"NAXIS1": 40, "NAXIS2": 30}, WarpFault.WRONG_SHAPE),
        ("IMAGE", {"NAXIS1": 10**9, "NAXIS2": 10**9}, WarpFault.TOO_LARGE),
        ("MASK", {"NAXIS1": 2**63, "NAXIS2": 2**63}, WarpFault.TOO_LARGE),
        ("IMAGE", {"NAXIS1": -30}, WarpFault.UNREADABLE),
        ("IMAGE", {"NAXIS1": "thirty"}, WarpFault.UNREADABLE),
        ("IMAGE", {"NAXIS1": 30.5}, WarpFault.UNREADABLE),
        ("IMAGE", {"NAXIS1": None}, WarpFault.UNREADABLE),
        ("IMAGE", {"NAXIS": 1000}, WarpFault.UNREADABLE),
        ("IMAGE", {"PCOUNT": -1}, WarpFault.UNREADABLE),
        ("IMAGE", {"BITPIX": 7}, WarpFault.UNREADABLE),
        ("IMAGE", {"GCOUNT": 0}, WarpFault.UNREADABLE),
        ("VARIANCE", {"PCOUNT": 10**6}, WarpFault.TRUNCATED),
        ("MASK", {"MP_BAD": 32}, WarpFault.UNREADABLE),
        ("MASK", {"MP_BAD": -1}, WarpFault.UNREADABLE),
        ("MASK", {"MP_BAD": "zero"}, WarpFault.UNREADABLE),
        ("IMAGE", {"LTV1": 1e300}, WarpFault.UNREADABLE),
        ("IMAGE", {"LTV1": "left"}, WarpFault.UNREADABLE),
    ],
)
def test_a_header_that_lies_is_refused(
    plane: str, cards: Mapping[str, object], fault: WarpFault
) -> None:
    """A card that cannot be true is a WarpError of its kind, before pixels are touched."""
    assert _fault_of(plain_file(SMALL, **{plane: cards})) is fault


@pytest.mark.parametrize(
    ("card", "value", "fault"),
    [
        ("ZCMPTYPE", "HCOMPRESS_1", WarpFault.UNREADABLE),
        ("ZCMPTYPE", "SESAME", WarpFault.UNREADABLE),
        ("ZTILE1", 10**9, WarpFault.UNREADABLE),
        ("ZTILE2", 0, WarpFault.UNREADABLE),
        ("ZTILE2", 2, WarpFault.UNREADABLE),
        ("ZNAXIS1", 10**9, WarpFault.TOO_LARGE),
        ("ZNAXIS2", 41, WarpFault.WRONG_SHAPE),
        ("ZBITPIX", 16, WarpFault.WRONG_DTYPE),
        ("PCOUNT", 10**9, WarpFault.TRUNCATED),
        ("TFORM1", "1J", WarpFault.UNREADABLE),
        ("TTYPE1", "NOTHING", WarpFault.UNREADABLE),
    ],
)
def test_a_tile_table_that_lies_is_refused(card: str, value: object, fault: WarpFault) -> None:
    """Tiles that cannot make the plane are a WarpError, whoever notices."""
    shown = f"'{value:8}'" if isinstance(value, str) else str(value)
    assert _fault_of(_with_card(FILES["gzip2"], card, shown)) is fault


def _with_card(data: bytes, card: str, shown: str) -> bytes:
    start = data.index(f"{card:8}= ".encode())
    line = f"{card:8}= {shown:>20}".ljust(80).encode()
    return data[:start] + line + data[start + 80 :]


# Limits


def test_side_and_pixels_have_limits() -> None:
    """A plane may have so many pixels along a side, and so many in all."""
    assert_same(fits.decode(FILES["plain"], DecodeLimits(max_side=40, max_pixels=1200)), SMALL)
    assert _fault_of(FILES["plain"], DecodeLimits(max_side=39)) is WarpFault.TOO_LARGE
    assert _fault_of(FILES["rice"], DecodeLimits(max_pixels=1199)) is WarpFault.TOO_LARGE


# Header facts


@pytest.mark.parametrize("name", list(FILES))
def test_identify_reads_what_encode_wrote(name: str) -> None:
    """Identity, unit, seeing, sky and shape come back from every kind of file."""
    assert fits.identify(FILES[name]) == fits.WarpHeader(
        campaign=None,
        skymap="rings",
        tract=9813,
        patch=42,
        band="g",
        visit=4192,
        mjd=52931.25,
        unit="nJy",
        psf_fwhm=3.5,
        sky="intact",
        shape=(40, 30),
    )


def test_identify_needs_the_head_alone() -> None:
    """Headers say all of it, even if the pixels never arrived."""
    assert fits.identify(FILES["plain"][:8640]) == fits.identify(FILES["plain"])


def test_identify_leaves_out_what_is_absent_or_odd() -> None:
    """A card of another type is as good as none."""
    header: dict[str, str | float | bool] = {
        "VISIT": "many",
        "TRACT": 1.5,
        "PATCH": True,
        "BAND": 3,
        "MJD": "now",
        "FWHM": True,
    }
    found = fits.identify(fits.encode(SMALL, header))
    assert (found.visit, found.tract, found.patch, found.band) == (None, None, None, None)
    assert (found.mjd, found.psf_fwhm, found.unit, found.sky) == (None, None, None, "unknown")


def test_filter_stands_in_for_band() -> None:
    """BAND names the band, FILTER where there is no BAND."""
    assert fits.identify(fits.encode(SMALL, {"FILTER": "r   "})).band == "r"
    assert fits.identify(fits.encode(SMALL, {"FILTER": "x", "BAND": "r"})).band == "r"


@pytest.mark.parametrize(("card", "sky"), [(True, "subtracted"), (False, "intact")])
def test_skysub_tells_the_state_of_the_sky(card: bool, sky: str) -> None:
    """SKYSUB says whether the sky was subtracted."""
    assert fits.identify(fits.encode(SMALL, {"SKYSUB": card})).sky == sky


def test_identify_refuses_what_is_not_fits() -> None:
    """A file that is no FITS file has no identity."""
    with pytest.raises(WarpError, match="not_fits"):
        fits.identify(b"Dear sir" * 500)


def test_identify_gives_no_shape_for_a_file_without_an_image() -> None:
    """The primary header's facts stand although no image follows."""
    found = fits.identify(FILES["plain"][:2880])
    assert (found.visit, found.shape) == (4192, None)


# Real warps


def _real_warps(folder: str, pattern: str) -> list[Path]:
    return sorted(shared_path("warps", folder).glob(pattern))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "pattern", "shape", "number"),
    [
        ("sdss_s82", "*.fits.fz", (2100, 1540), 6),
        ("saao_kb13475", "*.fits.gz", (560, 560), 12),
    ],
)
def test_real_warps_decode(folder: str, pattern: str, shape: tuple[int, int], number: int) -> None:
    """Every real warp decodes to its shape, its planes and plausible pixels."""
    paths = _real_warps(folder, pattern)
    assert len(paths) == number
    for path in paths:
        exposure = fits.decode(path.read_bytes())
        assert exposure.shape == shape
        assert exposure.origin == (0, 0)
        assert exposure.planes["DETECTED"] == 5
        assert exposure.planes["NO_DATA"] == 8
        no_data = (exposure.mask & exposure.bits(["NO_DATA"])) != 0
        np.testing.assert_array_equal(no_data, np.isnan(exposure.image))
        assert (exposure.variance[~no_data] > 0).all()


@pytest.mark.shared
def test_real_warps_identify_themselves() -> None:
    """Visit, band, unit, seeing and state of the sky stand in the real headers."""
    sdss = [fits.identify(p.read_bytes()) for p in _real_warps("sdss_s82", "*.fits.fz")]
    assert [(h.band, h.visit) for h in sdss] == [(b, v) for b in "gir" for v in (4192, 6377)]
    saao = [fits.identify(p.read_bytes()) for p in _real_warps("saao_kb13475", "*.fits.gz")]
    assert {h.band for h in saao} == {"I"}
    assert {h.unit for h in saao} == {"adu"}
    assert all(h.sky == "intact" and h.psf_fwhm and h.mjd for h in sdss + saao)


@pytest.mark.shared
@pytest.mark.parametrize("compression", [None, "gzip", "gzip2"])
def test_a_real_warp_makes_the_round_trip(compression: Any) -> None:
    """A real warp that is encoded again without loss decodes to the same bits."""
    exposure = fits.decode(_real_warps("saao_kb13475", "*_0100.fits.gz")[0].read_bytes())
    assert_same(fits.decode(fits.encode(exposure, {}, compression=compression)), exposure)
