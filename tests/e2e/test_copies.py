"""Copies of the service that share a broker, and a broker that they lose."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ops.broker.broker import Cluster
from ops.broker.proxy import proxied
from stream.simulate import SurveyManifest
from tests.e2e.processes import PATIENCE_S, Place, Running, published, running, until
from tests.e2e.test_bytes import on_kafka

pytestmark = pytest.mark.kafka

_QUICK = ("--session-timeout-s", "3", "--broker-grace-s", "8")


def _wanted(survey: SurveyManifest) -> dict[str, list[int]]:
    return {entry.key: [w.visit for w in survey.warps_of(entry)] for entry in survey.groups}


def _announce(place: Place, survey: SurveyManifest) -> None:
    place.announce([survey.path(warp) for warp in survey.warps])


def _ended(*services: Running) -> list[Running]:
    return [one for one in services if one.process.poll() is not None]


def test_copies_come_and_go(survey: SurveyManifest, tmp_path: Path, kafka: str) -> None:
    """Of three copies one leaves as it should, one is killed and one is stopped and wakes up.

    Whoever is there does all the work, and every group is published once.
    """
    place = on_kafka(kafka, survey.directory)
    with (
        running(place, tmp_path, *_QUICK) as stopped,
        running(place, tmp_path, *_QUICK) as killed,
        running(place, tmp_path, *_QUICK) as left,
    ):
        for one in (stopped, killed, left):
            one.until_it_says("rebalanced")
        _announce(place, survey)
        stopped.process.send_signal(signal.SIGSTOP)
        killed.kill()
        until(lambda: len(published(place).summaries) == len(survey.groups))
        stopped.process.send_signal(signal.SIGCONT)
        assert left.stop() == 0
        stopped.until_it_says("partition lost")
        assert stopped.stop() == 0
    published(place).hold_complete(_wanted(survey))


def test_two_copies_of_one_name(survey: SurveyManifest, tmp_path: Path, kafka: str) -> None:
    """One of them ends with exit code 2 and says why; the other publishes everything."""
    place = on_kafka(kafka, survey.directory)
    named = ("--instance", "one", *_QUICK)
    with running(place, tmp_path, *named) as one, running(place, tmp_path, *named) as two:
        until(lambda: _ended(one, two))
        (ended,) = _ended(one, two)
        assert ended.process.wait(PATIENCE_S) == 2
        assert "runs under our name 'one': give each copy an instance" in ended.text()
        left = two if ended is one else one
        _announce(place, survey)
        until(lambda: len(published(place).summaries) == len(survey.groups))
        assert left.stop() == 0
    published(place).hold_complete(_wanted(survey))


def test_a_broker_that_stays_away(survey: SurveyManifest, tmp_path: Path, cluster: Cluster) -> None:
    """Beyond the grace the service ends with exit code 3; started again, it simply goes on.

    What it had frozen by then is published once.
    """
    place = on_kafka(cluster.bootstrap, survey.directory)
    options = tuple(cluster.proxied if one == cluster.bootstrap else one for one in place.options)
    through = replace(place, options=options)
    with proxied(cluster.routes) as proxy:
        with running(through, tmp_path, *_QUICK) as service:
            service.until_it_says("rebalanced")
            _announce(place, survey)
            service.until_it_says("group frozen")
            proxy.go_away()
            assert service.process.wait(PATIENCE_S) == 3
            assert "was silent for 8 s" in service.text()
        proxy.away = False
        with running(through, tmp_path, *_QUICK) as service:
            until(lambda: len(published(place).summaries) == len(survey.groups))
            assert service.stop() == 0
    published(place).hold_complete(_wanted(survey))
