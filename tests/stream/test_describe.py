"""What a file says of itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stream.describe import Described, Override, Undescribed, describe
from tests.stream.night import write_warp


def message_of(path: Path, override: Override | None = None) -> Described:
    """Describe a file that can be."""
    found = describe(path, override or Override())
    assert isinstance(found, Described)
    return found


def test_headers_say_who_it_is(tmp_path: Path) -> None:
    """Identity, unit, size and checksum come from the file itself."""
    path = write_warp(tmp_path, 42, SKYSUB=True)
    message = message_of(path).message
    assert message.group.key == "live/rings/7/3/r"
    assert (message.visit, message.unit, message.sky) == (42, "nJy", "subtracted")
    assert message.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (message.size, message.shape) == (path.stat().st_size, (64, 64))
    assert message.uri == path.resolve().as_uri()


def test_defaults_where_headers_are_silent(tmp_path: Path) -> None:
    """Without SKYMAP, TRACT, PATCH, BAND a warp belongs to none, 0, 0, none."""
    silent = dict.fromkeys(("SKYMAP", "TRACT", "PATCH"))
    path = write_warp(tmp_path, 1, **silent, BAND=None)
    assert message_of(path).message.group.key == "live/none/0/0/none"


def test_filter_stands_in_for_band(tmp_path: Path) -> None:
    """FILTER is read where BAND is absent."""
    path = write_warp(tmp_path, 1, BAND=None, FILTER="i2")
    assert message_of(path).message.band == "i2"


@pytest.mark.parametrize(
    ("override", "key", "visit"),
    [
        (Override(campaign="dr1", skymap="s"), "dr1/s/7/3/r", 5),
        (Override(tract=0, patch=0, band="z"), "live/rings/0/0/z", 5),
        (Override(visit=0), "live/rings/7/3/r", 0),
    ],
)
def test_options_go_before_headers(
    tmp_path: Path, override: Override, key: str, visit: int
) -> None:
    """What the user says counts, zero too."""
    message = message_of(write_warp(tmp_path, 5), override).message
    assert (message.group.key, message.visit) == (key, visit)


def test_a_visit_must_be_known(tmp_path: Path) -> None:
    """Without a visit a warp cannot be told from another; the remedy is named."""
    path = write_warp(tmp_path, 1, VISIT=None)
    found = describe(path, Override())
    assert isinstance(found, Undescribed)
    assert "--visit" in found.message
    assert isinstance(describe(path, Override(visit=3)), Described)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "missing"), (b"", "truncated"), (b"hello" * 1000, "not_fits")],
    ids=["absent", "empty", "text"],
)
def test_other_files_are_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A file that is no warp, or not there, is an answer and not an exception."""
    path = tmp_path / "x.fits"
    if content is not None:
        path.write_bytes(content)
    found = describe(path, Override())
    assert isinstance(found, Undescribed)
    assert (found.path, found.reason) == (path, reason)
    assert found.message


def test_an_impossible_identity_is_named(tmp_path: Path) -> None:
    """A name that no group can have is refused with the name of the part."""
    found = describe(write_warp(tmp_path, 1, BAND="r/i"), Override())
    assert isinstance(found, Undescribed)
    assert "band" in found.message
