"""Dead letters of the real program: a warp that went astray is found, shown, and sent home."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

import schemas
from stream.announce import folders, manifests
from stream.commands.announce import Step, announce, describe_all
from stream.describe import Override
from stream.log.seam import Outgoing
from stream.log.topics import Topics
from stream.simulate import SurveyManifest
from stream.wiring import publisher_log
from tests.e2e.processes import Place, Published, evensky, honest, published, running, until
from tests.e2e.test_bytes import on_kafka


async def _publish_astray(place: Place, message: schemas.Message) -> None:
    """Publish an arrival, padded to the size of a letter's value, where it does not belong."""
    encoded = schemas.encode(message, id="astray", source="test", time="2026-11-23T00:00:00Z")
    padded = {**msgpack.unpackb(encoded.value), "pad": ["p" * 8000] * 31}
    value, headers = msgpack.packb(padded), (*encoded.headers, ("traceparent", b"\xff\x00"))
    topic = Topics(place.settings.topic_prefix).warps
    log = publisher_log(place.settings)
    await log.start()
    try:
        home = schemas.partition_of(encoded.key, log.partitions)
        wrong = (home + 1) % log.partitions
        junk = Outgoing(topic, wrong, b"no identity", b"\xc1 not msgpack", ())
        await log.publish([Outgoing(topic, wrong, encoded.key, value, headers), junk])
    finally:
        await log.close()


def _announce_all_but_one(place: Place, files: Sequence[Path]) -> None:
    """Announce the exact set of a group, but lead the arrival of its last warp astray."""
    described, faults = describe_all(files, Override())
    assert not faults
    arrivals = [one.message for one in described[:-1]]
    steps: list[Step] = [(list(manifests(described)), 0.0), (arrivals, 0.0)]
    asyncio.run(announce(place.settings, folders(described), steps))
    asyncio.run(_publish_astray(place, described[-1].message))


def _told(place: Place, *words: str, code: int = 0) -> Mapping[str, Any]:
    out, _ = evensky("dead-letters", *words, "--json", *place.options, code=code)
    found: Mapping[str, Any] = json.loads(out)
    return found


def _hold_shown(place: Place, visit: int) -> None:
    """Hold that the letter is found, explained, and not yet touched."""
    listed = _told(place, "list")
    assert listed["counts"] == {"bad_headers": 1, "misrouted": 1}
    (one,) = [row for row in listed["letters"] if row["reason"] == "misrouted"]
    shown = _told(place, "show", one["record"])
    assert shown["body"]["visit"] == visit
    assert shown["replay"]["possible"]
    text, _ = evensky("dead-letters", "show", one["position"], *place.options)
    assert f'"visit": {visit},' in text
    dry = _told(place, "replay", "--all", "--dry-run", code=1)
    assert (dry["replayed"], dry["refused"]) == (1, 1)


def _hold_as_it_was(place: Place) -> None:
    """Hold that what stands on the input twice and more is one record, wherever it stands."""
    sent = [one for one in place.records("warps") if ("ce_id", b"astray") in one.headers]
    assert len({(one.key, one.headers, one.value) for one in sent}) == 1
    partitions = 4 if place.settings.brokers else place.settings.partitions
    home = schemas.partition_of(sent[0].key or b"", partitions)
    stood = Counter(one.partition for one in sent)
    assert stood == {home: 2, (home + 1) % partitions: 1}


def _is_cured(place: Place, survey: SurveyManifest, folder: Path) -> Published:
    """Lead a warp astray, send it home by command, and again; return what was published."""
    entry = survey.groups[0]
    warps = survey.warps_of(entry)
    _announce_all_but_one(place, [survey.path(warp) for warp in warps])
    with running(place, folder) as service:
        until(lambda: len(place.records("dead_letters")) == 2)
        _hold_shown(place, warps[-1].visit)
        assert not published(place).summaries
        out, _ = evensky("dead-letters", "replay", "--reason", "misrouted", *place.options)
        assert out == "1 record replayed (1 misrouted), 0 refused\n"
        until(lambda: published(place).summaries)
        once = published(place)
        _told(place, "replay", "--all", code=1)
        other = survey.groups[1]  # what comes behind the second replay is published as ever
        place.announce([survey.path(warp) for warp in survey.warps_of(other)])
        until(lambda: len(published(place).summaries) == 2)
        assert service.stop() == 0
    visits = {one.key: [w.visit for w in survey.warps_of(one)] for one in (entry, other)}
    honest(place)
    published(place).hold_complete(visits)
    _hold_as_it_was(place)
    assert len(place.records("dead_letters")) == 2
    return once


def test_a_warp_gone_astray_is_cured(survey: SurveyManifest, tmp_path: Path) -> None:
    """On the embedded log a misrouted warp completes its group after a replay, once."""
    place = Place.file(tmp_path / "evensky.db")
    once = _is_cured(place, survey, tmp_path)
    assert once.bytes_of_models.items() <= published(place).bytes_of_models.items()


@pytest.mark.kafka
def test_a_warp_gone_astray_is_cured_on_kafka(
    survey: SurveyManifest, tmp_path: Path, kafka: str
) -> None:
    """On a real broker a misrouted warp completes its group after a replay, once."""
    place = on_kafka(kafka, survey.directory)
    once = _is_cured(place, survey, tmp_path)
    assert once.bytes_of_models.items() <= published(place).bytes_of_models.items()


@pytest.mark.kafka
def test_what_is_not_there_on_kafka(kafka: str) -> None:
    """A list without letters, a position without one, and topics that are missing."""
    place = on_kafka(kafka, Path())
    assert _told(place, "list")["total"] == 0
    assert _told(place, "replay", "--all")["replayed"] == 0
    _, told = evensky("dead-letters", "show", "0:7", *place.options, code=1)
    assert "no dead letter at 0:7" in told
    nowhere = ("--bootstrap-servers", kafka, "--topic-prefix", "nowhere")
    _, told = evensky("dead-letters", "list", *nowhere, code=2)
    assert "topics are missing" in told
