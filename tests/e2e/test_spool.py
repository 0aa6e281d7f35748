"""The spool under a service that is killed, whose worker dies, and whose planes are damaged."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import pytest

from stream.simulate import SurveyManifest
from tests.e2e.killing import MARK, SERVE
from tests.e2e.processes import MATCHING, Place, Running, honest, published, running, until
from tests.e2e.test_bytes import in_batch

_GROUPS: Final = 3
_SAMPLE: Final = re.compile(r'^evensky_decodes_total{cause="(\w+)"} (\S+)$', re.MULTILINE)


def laid(planes: Path) -> list[Path]:
    """Return the files of all spools of a folder, those that are being written left out."""
    return sorted(path for path in planes.glob("of-*/*") if path.suffix != ".new")


def damage(paths: Sequence[Path]) -> None:
    """Cut off, flip a bit of, and delete planes, in turns."""
    for number, path in enumerate(paths):
        if number % 3 == 0:
            os.truncate(path, path.stat().st_size // 2)
        elif number % 3 == 1:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.unlink()  # who has it mapped has looked at it already
            path.write_bytes(content)
        else:
            path.unlink()


def decodes(service: Running) -> dict[str, int]:
    """Return what a running service has counted, by cause, without what is zero."""
    found = re.search(r'"http": "([^"]+)"', service.text())
    assert found is not None, service.text()
    with urlopen(f"http://{found[1].removeprefix('http://')}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {cause: int(float(count)) for cause, count in _SAMPLE.findall(text) if float(count)}


def test_whatever_befalls_the_spool_costs_decodes_and_nothing_else(
    survey: SurveyManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with planes laid; a worker that dies laying them; all of them damaged: same bytes."""
    first, *others = ([survey.path(w) for w in survey.warps_of(g)] for g in survey.groups[:_GROUPS])
    more, late = [path for group in others for path in group], [group[-1] for group in others]
    place = Place.file(tmp_path / "evensky.db", "--results-max-bytes", "0")
    planes = place.service_settings.spool_folder / "planes"
    place.announce(first)
    with running(place, tmp_path) as service:
        until(partial(laid, planes))
        service.kill()
    (dead,) = planes.iterdir()
    assert any(dead.iterdir())

    monkeypatch.setenv(MARK, str(tmp_path / "died"))
    program = [sys.executable, "-c", SERVE]
    with running(place, tmp_path, "--http", "127.0.0.1:0", program=program) as service:
        service.until_it_says("started")
        assert not dead.exists()
        until(lambda: len(published(place).summaries) == 1)
        earlier, there = decodes(service), len(laid(planes))
        place.announce(more, late)
        until(lambda: len(laid(planes)) == there + len(more) - len(late))
        assert (tmp_path / "died").exists()
        damage(laid(planes))
        place.announce(more)
        until(lambda: len(published(place).summaries) == _GROUPS)
        counted = decodes(service)
        assert service.stop() == 0
    assert counted["first"] - earlier.get("first", 0) == len(more)
    assert counted["retry"] == 1
    assert counted["damaged"] >= len(others)
    assert counted.keys() <= {"first", "restart", "retry", "damaged"}
    assert list(planes.iterdir()) == []
    honest(place)
    found = published(place)
    assert found.bytes_of_models == in_batch([*first, *more], tmp_path / "batch", MATCHING).models
    assert not [one for one in found.models if one.status == "failed"]
