"""Ctrl-C, which a terminal sends to all processes, and readers who go away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stream.simulate import SurveyManifest
from tests.e2e.processes import PATIENCE_S, PROGRAM, Place, environment, evensky, until


def _gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("wait", [0.5, 1.5])
def test_ctrl_c_while_matching(survey: SurveyManifest, tmp_path: Path, wait: float) -> None:
    """Interrupted at whatever moment, the batch command leaves no traceback and no process."""
    files = [str(survey.path(warp)) for warp in survey.warps]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [PROGRAM, "match", *files, "-o", tmp_path / "out", "--workers", "2", "-c", "bin_size=16"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    parent = psutil.Process(process.pid)
    until(lambda: process.poll() is not None or parent.children())
    time.sleep(wait)  # no event marks the moments that matter: workers being born
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, 130)
    assert "Traceback" not in told, told
    until(lambda: _gone(process.pid))


def test_a_reader_who_goes_away(survey: SurveyManifest, tmp_path: Path) -> None:
    """When nobody reads the output any more, a command ends as in any pipe, without a word."""
    place = Place.file(tmp_path / "evensky.db")
    place.announce([survey.path(warp) for warp in survey.warps])
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603 - our own program
        [PROGRAM, "schemas"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
        env=environment(),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    assert evensky("watch", "--once", *place.options) == ("", "")
