"""A job that kills its process each time: found out, given up, and nothing beside it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from stream.simulate import SurveyManifest
from tests.e2e.killing import SERVE, VARIABLE
from tests.e2e.processes import MATCHING, PATIENCE_S, Place, environment, honest, published, until
from tests.house import ROOT

_WORDS = ("--http", "off", "--workers", "2", "--worker-memory-bytes", "1GiB", *MATCHING)
_MOST_STARTS = 8


def supervised(place: Place, folder: Path, killer: Path, groups: int) -> tuple[int, str]:
    """Start the service whenever it was killed, until so many groups are published.

    Returns the number of deaths and what was logged.
    """
    log = folder / "supervised.txt"
    checksum = hashlib.sha256(killer.read_bytes()).hexdigest()
    variables = {**environment(), VARIABLE: checksum, "PYTHONPATH": str(ROOT)}
    for deaths in range(_MOST_STARTS):
        with log.open("ab") as told, _started(place, told, variables) as process:
            until(partial(_over, process, place, groups))
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
                return deaths, log.read_text()
            assert process.returncode == -signal.SIGKILL, log.read_text()
    raise AssertionError(log.read_text())


@contextmanager
def _started(
    place: Place, told: BinaryIO, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-c", SERVE, "run", *place.options, *_WORDS]
    process = subprocess.Popen(  # noqa: S603 - our own program
        words, stderr=told, stdout=told, env=variables, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _over(process: subprocess.Popen[bytes], place: Place, groups: int) -> bool:
    return process.poll() is not None or len(published(place).summaries) == groups


def test_a_killer_is_given_up_and_its_neighbours_are_not(
    survey: SurveyManifest, tmp_path: Path
) -> None:
    """One death in company, three alone: then that warp has failed, and it alone."""
    place = Place.file(tmp_path / "evensky.db")
    groups = survey.groups[:3]
    warps = [warp for entry in groups for warp in survey.warps_of(entry)]
    place.announce([survey.path(warp) for warp in warps])
    killer = survey.warps_of(groups[1])[2]
    deaths, log = supervised(place, tmp_path, survey.path(killer), len(groups))
    found = published(place)
    honest(place)
    failed = [one for one in found.models if one.status == "failed"]
    assert [(one.group.key, one.visit) for one in failed] == [(groups[1].key, killer.visit)], log
    assert "died 3 times" in (failed[0].reason or "")
    assert deaths == 4, log
    assert len(found.models) == len(warps)
    assert not list(tmp_path.rglob("running-*")), "a graceful stop leaves no list"
