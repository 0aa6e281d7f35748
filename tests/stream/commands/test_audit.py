"""`evensky audit`: what it prints, as JSON and for people, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stream.audit import KINDS
from tests.stream.audit.conftest import Steady
from tests.stream.audit.damage import TOPICS, Planted
from tests.stream.commands.conftest import Say

RULES = (
    *("--quorum", 2, "--quiet-s", 60, "--deadline-s", 600),
    *("--update-quiet-s", 10, "--update-max-s", 30),
)
"""The rules by which the service of the log gathered groups."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log of a service."""
    path = tmp_path_factory.mktemp("audit") / "log.db"
    asyncio.run(Steady(path, 0, 0).live_through())
    return path


@pytest.fixture
def damaged(log: Path, tmp_path: Path) -> Path:
    """Return a copy of which two metrics and a model are gone."""
    planted = Planted.copy(log, tmp_path)
    planted.remove(*planted.records(TOPICS.metrics)[:2], planted.records(TOPICS.models)[-1])
    return planted.path


def test_an_honest_log(say: Say, log: Path) -> None:
    """A log without a violation ends with 0, and it is said what was looked at."""
    said = say("audit", "--log", log, *RULES)
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "horizon: none, the log is held from its first record\n"
        "checked: 4 groups, 7 revisions, 6 members, 10 models, 17 metrics, 6 dead\n"
        "  letters, 34 events\n"
        "nothing is lost, nothing is doubled\n"
    )


def test_a_damaged_log(say: Say, damaged: Path) -> None:
    """Violations are told by kind: what it means, where, what to do; the exit code is 1."""
    said = say("audit", "--log", damaged, *RULES)
    assert said.code == 1
    assert "\n(e) metric_missing: dashboards miss it (2 times)\n" in said.out
    assert "live/s/1/0/r r1 visit 1 at evensky.models [2] 0\n" in said.out
    assert said.out.endswith(
        "4 violations:\n"
        "  (a)       1 each member is in its group's revision, and its model at hand\n"
        "  (e)       3 one metric a model and a revision\n"
    )
    assert max(map(len, said.out.splitlines())) <= 80


def test_violations_as_json(say: Say, damaged: Path) -> None:
    """Programs get each violation with its law, its kind and its exact place."""
    told = json.loads(say("audit", "--json", "--log", damaged, *RULES).out)
    assert told["ok"] is False
    assert told["total"] == sum(told["counts"].values()) == len(told["violations"]) == 4
    for one in told["violations"]:
        assert one["law"] == str(KINDS[one["kind"]].law)
        assert (one["meaning"], one["advice"]) == (
            KINDS[one["kind"]].meaning,
            KINDS[one["kind"]].advice,
        )
        assert one["topic"] in TOPICS.names
    place = next(one for one in told["violations"] if one["kind"] == "metric_missing")
    assert (place["group"], place["revision"], place["visit"]) == ("live/s/1/0/r", 1, 1)
    assert (place["topic"], place["partition"], place["offset"]) == (TOPICS.models, 2, 0)


def test_the_first_violations(say: Say, damaged: Path) -> None:
    """Where there are many, the first are told and all are counted."""
    said = say("audit", "--limit", 1, "--log", damaged, *RULES)
    assert "told are the first 1; --limit N tells more\n4 violations:\n" in said.out


def test_one_group(say: Say, damaged: Path) -> None:
    """A group that is whole is whole, whatever happened to others."""
    said = say("audit", "--group", "live/s/1/2/r", "--log", damaged, *RULES)
    assert said.code == 0
    assert "checked of live/s/1/2/r: 1 group, 1 revision, 1 member" in said.out


def test_other_rules(say: Say, log: Path) -> None:
    """Who forgets the service's rules is told so, where it could be that."""
    said = say("audit", "--log", log)
    assert said.code == 1
    assert "give it the service's\n        --config" in said.out


def test_wrong_use(say: Say, tmp_path: Path) -> None:
    """A log that is not there and a group that can be none end with 2, in a sentence."""
    for words in (("--log", tmp_path / "none.db"), ("--group", "1/2/r")):
        said = say("audit", *words)
        assert (said.code, said.out) == (2, "")
        assert said.err
