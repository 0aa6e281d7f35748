"""Files in groups, for the batch command."""

from __future__ import annotations

from pathlib import Path

import pytest

import schemas
from stream.batch import DuplicateVisitError, group_files
from stream.describe import Described
from tests.stream.night import arrival, write_warp


def described(path: Path, **changes: object) -> Described:
    """Return a file with its announcement."""
    return Described(path, arrival(path, **changes))


def test_one_group_a_band_and_patch(tmp_path: Path) -> None:
    """Files are gathered by identity, groups in the order in which they are met."""
    files = [
        described(write_warp(tmp_path, 2)),
        described(write_warp(tmp_path, 1, BAND="g")),
        described(write_warp(tmp_path, 1)),
    ]
    found = group_files(files)
    assert [(one.group.band, list(one.files)) for one in found] == [("r", [1, 2]), ("g", [1])]


def test_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """A group's frozen set is the same whatever the order of its files."""
    files = [described(write_warp(tmp_path, visit)) for visit in (3, 1, 2)]
    (one,), (other,) = group_files(files), group_files(reversed(files))
    assert one.frozen(None) == other.frozen(None)


def test_the_same_visit_twice_is_refused(tmp_path: Path) -> None:
    """Two files that claim one visit are named, since one of them is wrong."""
    first = described(write_warp(tmp_path, 1))
    folder = tmp_path / "b"
    folder.mkdir()
    second = described(write_warp(folder, 1, seed=9))
    with pytest.raises(DuplicateVisitError) as refused:
        group_files([first, second])
    for word in (str(first.path), str(second.path), "visit 1", "--visit"):
        assert word in str(refused.value)


def test_the_frozen_set_is_a_manifests(tmp_path: Path) -> None:
    """A batch is what the service freezes for a manifest of exactly these files."""
    (one,) = group_files([described(write_warp(tmp_path, visit)) for visit in (1, 2)])
    frozen = one.frozen(2)
    assert (frozen.revision, str(frozen.kind), str(frozen.trigger)) == (1, "initial", "manifest")
    assert (frozen.completeness, frozen.expected, frozen.missing) == (1.0, 2, ())
    assert frozen.reference == 2
    assert not frozen.incomplete
    for member, file in zip(frozen.members, one.files.values(), strict=True):
        message = file.message
        assert schemas.unpack_payload(member.payload, schemas.WarpArrived, message.group) == message
        assert member.digest == schemas.input_digest(
            message.checksum, message.scale, message.unit, message.sky
        )


def test_a_reference_of_another_group_is_none(tmp_path: Path) -> None:
    """A reference named for several groups counts in those that have it."""
    (one,) = group_files([described(write_warp(tmp_path, visit)) for visit in (1, 2)])
    assert one.frozen(77).reference is None
