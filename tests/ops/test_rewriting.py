"""The server that makes many warps of a few serves warps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import BaseError
from obstore.store import S3Store

from ops.bench.pipeline.warps import Form, encoded
from ops.bench.planes import pair, planes
from ops.store.rewriting import Base, Range, rewriting
from ops.store.server import KEYS
from stream import fits

SIDE = 150
WARP = pair(SIDE)[0]
ROWS = Base(encoded(WARP, "gzip2"))
PLAIN = Base(encoded(WARP, "plain"))


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    files = [tmp_path_factory.mktemp("bases") / f"{number}.fits" for number in range(2)]
    for file, base in zip(files, (ROWS, PLAIN), strict=True):
        file.write_bytes(base.content)
    with rewriting(files) as address:
        yield S3Store(
            "sky",
            endpoint=address,
            access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region=KEYS["AWS_REGION"],
            client_options={"allow_http": True},
        )


def content(store: S3Store, name: str) -> bytes:
    """Return an object."""
    return bytes(obstore.get(store, name).bytes())


# -- the warps -------------------------------------------------------------------------------------


def test_a_made_warp_has_the_rows_of_its_base_in_another_order() -> None:
    """All planes have one order, rows stay within 64 of their place, and the header is right."""
    made = fits.decode(ROWS.warp(7))
    (order,) = {tuple(_order(plane, base)) for plane, base in _both(made)}
    assert sorted(order) == list(range(SIDE))
    assert order != tuple(range(SIDE))
    assert max(abs(place - row) for place, row in enumerate(order)) < 64
    assert fits.identify(ROWS.warp(7)).visit == 7


def _both(made: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the planes in which rows are not equal."""
    yield from zip(planes(made)[::2], planes(WARP)[::2], strict=True)


def _order(plane: Any, base: Any) -> Iterator[int]:
    """Yield which row of the base each row is."""
    rows = {row.tobytes(): number for number, row in enumerate(base)}
    assert len(rows) == len(base)
    for row in plane:
        yield rows[row.tobytes()]


def test_the_mask_goes_with_the_image() -> None:
    """The pixels without data are those that the mask says."""
    made = fits.decode(ROWS.warp(8))
    assert np.array_equal(np.isnan(made.image), (made.mask & 1 << made.planes["NO_DATA"]) != 0)


def test_no_two_warps_are_the_same() -> None:
    """Each number has pixels of its own."""
    images = {fits.decode(ROWS.warp(number)).image.tobytes() for number in range(20)}
    assert len(images) == 20


def test_a_file_without_tiles_has_its_visit_changed_alone() -> None:
    """What is no table of rows is left as it is."""
    assert len(PLAIN.patches(5)) == 1
    made = fits.decode(PLAIN.warp(5))
    pairs = zip(planes(made), planes(WARP), strict=True)
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)
    assert fits.identify(PLAIN.warp(5)).visit == 5


@pytest.mark.parametrize("form", ["gzip2", "rice", "plain"])
def test_each_form_can_be_read(form: Form) -> None:
    """What the bench writes the service reads; Rice loses little, the others nothing."""
    made = fits.decode(encoded(WARP, form))
    assert np.array_equal(made.mask, WARP.mask)
    most = np.nanmax(np.abs(made.image - WARP.image))
    assert (most > 0) == (form == "rice")
    assert most < 2


@given(st.integers(0, len(ROWS.content)), st.integers(0, len(ROWS.content)), st.integers(0, 99))
def test_pieces_are_those_of_the_whole(one: int, other: int, number: int) -> None:
    """From any place to any other a warp's pieces are the bytes that it has there."""
    start, stop = sorted((one, other))
    pieces = b"".join(ROWS.pieces(number, start, stop))
    assert pieces == ROWS.warp(number)[start:stop]


# -- the server ------------------------------------------------------------------------------------


def test_objects_are_warps_of_the_files_in_turns(store: S3Store) -> None:
    """An even number is made of the first file, an odd one of the second, the same each time."""
    for number, base in ((10, ROWS), (11, PLAIN)):
        assert content(store, f"{number}.fits") == base.warp(number)
    assert content(store, "10.fits") == ROWS.warp(10)


def test_ranges_and_heads_are_answered(store: S3Store) -> None:
    """A part is a part of the whole, and a head knows its size."""
    found = obstore.get_range(store, "10.fits", start=2000, end=9000)
    assert bytes(found) == ROWS.warp(10)[2000:9000]
    assert obstore.head(store, "10.fits")["size"] == len(ROWS.content)


def test_nothing_else_is_there(store: S3Store) -> None:
    """What is no number has no object."""
    with pytest.raises((BaseError, FileNotFoundError)):
        content(store, "other.fits")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (None, Range(0, 100, 100, part=False)),
        ("bytes=0-0", Range(0, 1, 100, part=True)),
        ("bytes=40-", Range(40, 100, 100, part=True)),
        ("bytes=40-500", Range(40, 100, 100, part=True)),
        ("bytes=100-", None),
        ("bytes=9-3", None),
    ],
)
def test_ranges_are_understood(words: str | None, wanted: Range | None) -> None:
    """The last byte belongs to a range; one without a byte cannot be had."""
    assert Range.asked(words, 100) == wanted


def test_a_server_that_cannot_begin_is_told_of(tmp_path: Path) -> None:
    """Without its files there is no server."""
    with pytest.raises(OSError, match="does not listen"), rewriting([tmp_path / "none"]):
        pass
