"""The body of `evensky simulate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.simulate import read_manifest, simulate_command


def test_plain_arguments_make_a_survey(tmp_path: Path) -> None:
    """Options reach the specification; bands are split at commas."""
    made = simulate_command(tmp_path / "night", seed=2, patches=1, visits=2, bands="g, z", size=96)
    assert made.spec["seed"] == 2
    assert [group.band for group in made.groups] == ["g", "z"]
    assert len(read_manifest(tmp_path / "night").warps) == 4


def test_an_impossible_option_writes_nothing(tmp_path: Path) -> None:
    """A bad value is refused before the folder is made."""
    with pytest.raises(ValueError, match="simulated bands are"):
        simulate_command(tmp_path / "night", bands="r,,i")
    assert not (tmp_path / "night").exists()
