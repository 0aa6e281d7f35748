"""The fuzzer finds what it looks for, and finds nothing where there is nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from ops.fuzz import batch
from ops.fuzz.__main__ import main
from ops.fuzz.mutate import mutated, seeds
from stream import fits
from stream.hdus import Hdu
from stream.tiles import read_tiles

CHANCE = Random(7)  # noqa: S311 - chance that can be had again


def test_warps_that_are_whole_are_read() -> None:
    """What it begins with is decoded, by both ways alike."""
    assert {batch.judged(data) for data in seeds()} == {"decoded"}


def test_chance_damages_files_in_many_ways() -> None:
    """Files that cannot be read for several reasons come of it, and some that still can."""
    warps = seeds()
    outcomes = {batch.judged(mutated(CHANCE.choice(warps), CHANCE)) for _ in range(120)}
    assert {"decoded", "truncated", "unreadable"} <= outcomes


def test_other_pixels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way of reading that gets one bit wrong ends the batch."""

    def wrong(content: memoryview, hdu: Hdu, shape: tuple[int, int]) -> NDArray[np.uint32] | None:
        plane = read_tiles(content, hdu, shape)
        if plane is not None:
            plane[-1, -1] ^= 1
        return plane

    monkeypatch.setattr(fits, "read_tiles", wrong)
    with pytest.raises(SystemExit, match="or other pixels"):
        batch.judged(seeds()[0])


def test_a_batch_that_dies_leaves_its_last_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that a file crashes ends the run, and the file is kept."""
    monkeypatch.setattr(batch, "run", _crash)
    kept = tmp_path / "kept.fits"
    with pytest.raises(SystemExit, match="batch 0 ended with -9"):
        main(["--seconds", "0", "--keep", str(kept)])
    assert kept.read_bytes() == b"the last file"
    assert capsys.readouterr().out == ""


def _crash(_seed: str, case: Path, _told: Path) -> None:
    case.write_bytes(b"the last file")
    os.kill(os.getpid(), signal.SIGKILL)
