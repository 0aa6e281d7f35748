"""Seals of the real program: refused, reopened, sent again, and published with one model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import schemas
from core.groups import Header
from stream.announce import Announcer, folders
from stream.commands.announce import Step, announce, describe_all
from stream.describe import Override
from stream.log.topics import Topics
from stream.simulate import SurveyManifest
from stream.wiring import publisher_log
from tests.e2e.processes import Place, evensky, published, running, until
from tests.e2e.test_bytes import on_kafka


async def _say(place: Place, message: schemas.Message) -> None:
    log = publisher_log(place.settings)
    await log.start()
    try:
        await Announcer(log, Topics(place.settings.topic_prefix), time.time).send([message])
    finally:
        await log.close()


def _announce(place: Place, files: Sequence[Path], *more: schemas.Message) -> None:
    described, faults = describe_all(files, Override())
    assert not faults
    steps: list[Step] = [([one.message for one in described], 0.0), (more, 0.0)]
    asyncio.run(announce(place.settings, folders(described), steps))


def _replayed(place: Place, code: int) -> str:
    words = ("dead-letters", "replay", "--reason", "sealed", "--json", *place.options)
    out, _ = evensky(*words, code=code)
    found = json.loads(out)
    return str(found["refusals"][0]["advice"] if code else found["replayed"])


def _is_taken_up_again(place: Place, survey: SurveyManifest, folder: Path) -> None:
    """Seal a group, let it refuse a warp, and take that in after all."""
    entry = survey.groups[0]
    *early, late = [survey.path(warp) for warp in survey.warps_of(entry)]
    group = schemas.GroupId.parse(entry.key)
    with running(place, folder, "--update-quiet-s", "0.2", "--update-max-s", "5") as service:
        _announce(place, early, schemas.GroupSealed(**group.fields))
        until(lambda: published(place).summaries)
        _announce(place, [late])
        until(lambda: place.records("dead_letters"))
        assert _replayed(place, 1).startswith(f"run `evensky reopen {group.key}`")
        out, _ = evensky("reopen", group.key, *place.options)
        assert out.startswith(f"{group.key} is reopened")
        _, told = evensky("reopen", "live/nowhere/0/0/r", *place.options, code=2)
        assert "there is no group" in told
        until(lambda: _takes_events(place, group))
        assert _replayed(place, 0) == "1"
        until(lambda: len(published(place).summaries) == 2)
        assert service.stop() == 0
    first, second = published(place).summaries
    assert (first.trigger, len(first.members)) == ("sealed", len(early))
    assert (second.kind, second.status) == ("update", "complete")
    assert [one.model_id for one in second.members[:-1]] == [one.model_id for one in first.members]
    (model,) = [one for one in published(place).models if one.revision == 2]
    assert model.visit == second.members[-1].visit
    assert len(place.records("dead_letters")) == 1


def _takes_events(place: Place, group: schemas.GroupId) -> bool:
    """Tell whether the service has read the reopening."""
    key = schemas.header_key(group.key)
    *_, newest = [one.value for one in place.records("state") if one.key == key]
    return schemas.unpack_state(newest or b"", Header).sealed_at is None


def test_a_sealed_group_is_taken_up_again(survey: SurveyManifest, tmp_path: Path) -> None:
    """On the embedded log a warp that came after the seal is published after a reopening."""
    _is_taken_up_again(Place.file(tmp_path / "evensky.db"), survey, tmp_path)


@pytest.mark.kafka
def test_a_sealed_group_is_taken_up_again_on_kafka(
    survey: SurveyManifest, tmp_path: Path, kafka: str
) -> None:
    """On a real broker a warp that came after the seal is published after a reopening."""
    _is_taken_up_again(on_kafka(kafka, survey.directory), survey, tmp_path)
