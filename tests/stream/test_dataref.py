"""Data references over files."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import fits
from stream.dataref import FileDataRef
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from tests.stream.warps import assert_same, planted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a warp's file."""
    path = tmp_path / "warp.fits"
    path.write_bytes(fits.encode(planted(), {"VISIT": 3}))
    return path


def fault(ref: FileDataRef, kind: str = "warp") -> WarpFault:
    """Return why nothing can be had."""
    with pytest.raises(WarpError) as caught:
        ref.get(kind)
    return caught.value.reason


def test_a_file_is_read_whatever_is_asked_for(file: Path) -> None:
    """One file stands for every dataset type; each time its pixels are new."""
    for given in (file, str(file)):
        ref = FileDataRef(given)
        assert ref.datasetExists("calexp")
        first, again = ref.get("calexp"), ref.get("warp")
        assert_same(first, planted())
        assert_same(again, planted())
        assert first.image is not again.image


def test_files_by_dataset_type_are_told_apart(file: Path) -> None:
    """What is not listed does not exist, and an error lists what does."""
    ref = FileDataRef({"warp": file, "gone": file.with_name("gone.fits")})
    assert [ref.datasetExists(kind) for kind in ("warp", "gone", "calexp")] == [True, False, False]
    assert_same(ref.get("warp"), planted())
    with pytest.raises(WarpError, match="no dataset type 'calexp'; there is warp, gone"):
        ref.get("calexp")
    assert fault(FileDataRef({})) is WarpFault.MISSING


def test_a_data_id_is_given_or_the_file(file: Path) -> None:
    """References to one file have one dataId, unless they are given theirs."""
    assert FileDataRef(file, {"visit": 3}).dataId == {"visit": 3}
    assert FileDataRef(file).dataId == FileDataRef(str(file)).dataId == {"file": str(file)}
    assert FileDataRef({"warp": file}).dataId == {"warp": str(file)}
    assert "'visit': 3" in repr(FileDataRef(file, {"visit": 3}))


def test_what_cannot_be_read_is_a_fault(file: Path) -> None:
    """Missing, a folder, too large, no FITS: each is told by its reason."""
    assert fault(FileDataRef(file.with_name("gone.fits"))) is WarpFault.MISSING
    assert fault(FileDataRef(file.parent)) is WarpFault.UNREADABLE
    assert not FileDataRef(file.parent).datasetExists("warp")
    size = file.stat().st_size
    assert fault(FileDataRef(file, limits=DecodeLimits(max_bytes=size - 1))) is WarpFault.TOO_LARGE
    assert fault(FileDataRef(file, limits=DecodeLimits(max_side=10))) is WarpFault.TOO_LARGE
    file.write_bytes(b"Dear sir")
    assert fault(FileDataRef(file)) is WarpFault.NOT_FITS
