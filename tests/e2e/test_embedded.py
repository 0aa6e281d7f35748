"""The service on the embedded log, killed and stopped as machines do it."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stream.simulate import GroupEntry, SurveyManifest
from tests.e2e.processes import Place, evensky, honest, published, running, until

_KILLS = 6


def _files(survey: SurveyManifest, entry: GroupEntry) -> list[Path]:
    return [survey.path(warp) for warp in survey.warps_of(entry)]


def _expected(survey: SurveyManifest) -> Mapping[str, Sequence[int]]:
    return {entry.key: [w.visit for w in survey.warps_of(entry)] for entry in survey.groups}


def test_kills_at_any_moment_lose_and_double_nothing(
    survey: SurveyManifest, tmp_path: Path
) -> None:
    """Killed again and again, the service publishes each group once and whole."""
    place = Place.file(tmp_path / "evensky.db")
    chance = random.Random(11)  # noqa: S311 - a schedule, not a secret
    for entry in survey.groups[:_KILLS]:
        place.announce(_files(survey, entry))
        with running(place, tmp_path) as service:
            if chance.random() < 0.8:
                service.until_it_says("started")
            _idle(chance.uniform(0.0, 1.0))
            service.kill()
        honest(place)
    with running(place, tmp_path) as service:
        service.until_it_says("started")
        until(lambda: honest(place).checked["revisions"] == len(survey.groups))
        assert service.stop() == 0
    honest(place)
    published(place).hold_complete(_expected(survey))


def _idle(seconds: float) -> None:
    """Let a moment pass that no event marks: the kill is to come anywhere."""
    import time  # noqa: PLC0415 - nothing else here may wait by the clock

    time.sleep(seconds)


def test_killed_right_after_the_announcement(survey: SurveyManifest, tmp_path: Path) -> None:
    """What was announced is durable before any service has seen it, and survives its first kill."""
    place = Place.file(tmp_path / "evensky.db")
    with running(place, tmp_path) as service:
        service.until_it_says("started")
        place.announce(_files(survey, survey.groups[0]))
        service.kill()
    with running(place, tmp_path):
        until(lambda: published(place).summaries)
    first = survey.groups[0]
    visits = [warp.visit for warp in survey.warps_of(first)]
    honest(place)
    published(place).hold_complete({first.key: visits})


def test_killed_in_the_middle_of_its_work(survey: SurveyManifest, tmp_path: Path) -> None:
    """Frozen groups stay due over a kill, no worker outlives it, and the next start does them."""
    place = Place.file(tmp_path / "evensky.db")
    place.announce([survey.path(warp) for warp in survey.warps])
    with running(place, tmp_path) as service:
        service.until_it_says("group frozen")
        assert service.family()
        service.kill()  # holds that the family is gone
    honest(place)
    with running(place, tmp_path) as service:
        service.until_it_says("partition restored")
        until(lambda: len(published(place).summaries) == len(survey.groups))
    honest(place)
    published(place).hold_complete(_expected(survey))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_gently(survey: SurveyManifest, tmp_path: Path, number: signal.Signals) -> None:
    """A stop in the middle of the work ends with 0 and leaves nothing half-published."""
    place = Place.file(tmp_path / "evensky.db")
    place.announce([survey.path(warp) for warp in survey.warps])
    with running(place, tmp_path) as service:
        service.until_it_says("group frozen")
        assert service.stop(number) == 0
        assert '"event": "stopped"' in service.text()
    honest(place)
    with running(place, tmp_path) as service:
        service.until_it_says("started")
        until(lambda: len(published(place).summaries) == len(survey.groups))
        assert service.stop(number) == 0
    honest(place)
    published(place).hold_complete(_expected(survey))


def test_one_service_a_log(tmp_path: Path) -> None:
    """The first line names the log and that it is not Kafka; a second service ends with 2."""
    place = Place.file(tmp_path / "evensky.db")
    with running(place, tmp_path, "--partitions", "3") as service:
        service.until_it_says("started")
        first, *others = service.text().splitlines()
        _, told = evensky("run", *place.options, "--http", "off", "--workers", "1", code=2)
    assert "not Kafka" in first
    assert any("3 partitions" in line for line in others)
    assert str(service.process.pid) in told
