"""The plain judge finds what is planted, and nothing in what is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

import schemas
from ops.proof.judge import Published, standing
from ops.proof.load import Load, Warp
from tests.schemas.examples import EXAMPLES, matched_model

VISITS = (1, 2)


def _of(kind: type[Any]) -> Any:
    return next(one for one in EXAMPLES if isinstance(one, kind))


def whole() -> Published:
    """Return what one group of two visits publishes in two revisions."""
    load = Load([Warp(Path("w.fits"), "ab" * 32, 1)], 1, len(VISITS))
    said = [load.manifest(0), *(load.arrival(0, visit) for visit in VISITS)]
    said += [load.arrival(0, visit, version=1) for visit in VISITS]
    place = load.group(0).fields
    summaries, models, metrics = [], [], []
    for revision, first in ((1, 1), (2, 3)):
        sent = [
            _model(said[first + at].message, revision, visit) for at, visit in enumerate(VISITS)
        ]
        members = tuple(
            schemas.MemberSummary(visit=one.visit, status="matched", model_id=one.model_id)
            for one in sent
        )
        supersedes = None if revision == 1 else 1
        summaries.append(
            changed(
                _of(schemas.GroupMatched),
                **place,
                revision=revision,
                supersedes=supersedes,
                reference=None,
                members=members,
            )
        )
        models += sent
        metric = changed(_of(schemas.BackgroundMetric), **place, revision=revision)
        metrics += [changed(metric, visit=visit) for visit in VISITS]
        facts: dict[str, Any] = {**place, "scope": "group", "revision": revision, "kind": "update"}
        metrics.append(schemas.BackgroundMetric(**facts, status="complete"))
    events = tuple((one.message, one.time_us) for one in said)
    return Published(tuple(summaries), tuple(models), {}, tuple(metrics), (), events)


def _model(arrived: Any, revision: int, visit: int) -> schemas.BackgroundModel:
    digest = schemas.input_digest(arrived.checksum, arrived.scale, arrived.unit, arrived.sky)
    place = arrived.group.fields
    return matched_model(**place, visit=visit, revision=revision, input_digest=digest)


def _found(log: Published) -> set[str]:
    kinds = ("doubled", "gaps", "torn", "unmeasured", "lost", "foreign")
    return {kind for kind in kinds if list(getattr(log, kind)())}


def test_a_whole_log_has_no_violation() -> None:
    """What was published as it must be is found to be so."""
    assert _found(whole()) == set()


Damage = Callable[[Published], Published]

DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "a revision twice": (
        lambda log: replace(log, summaries=(*log.summaries, log.summaries[1])),
        {"doubled"},
    ),
    "a model twice": (lambda log: replace(log, models=(*log.models, log.models[0])), {"doubled"}),
    "a metric twice": (lambda log: replace(log, metrics=log.metrics * 2), {"doubled"}),
    "a letter twice": (
        lambda log: replace(log, letters=(_of(schemas.DeadLetter),) * 2),
        {"doubled"},
    ),
    "a revision left out": (
        lambda log: replace(log, summaries=log.summaries[1:]),
        {"gaps", "torn", "unmeasured"},
    ),
    "a model taken away": (
        lambda log: replace(log, models=log.models[:-1]),
        {"torn", "unmeasured", "lost"},
    ),
    "the newest revision taken away": (
        lambda log: replace(log, summaries=log.summaries[:1]),
        {"torn", "unmeasured", "lost"},
    ),
    "a metric taken away": (lambda log: replace(log, metrics=log.metrics[1:]), {"unmeasured"}),
    "an event more": (
        lambda log: replace(log, events=(*log.events, _late(log.events[1]))),
        {"lost"},
    ),
    "an event that nobody sent": (
        lambda log: replace(
            log, events=tuple(one for one in log.events if getattr(one[0], "visit", 0) != VISITS[1])
        ),
        {"lost", "foreign"},
    ),
    "nothing published": (lambda log: Published((), (), {}, events=log.events), {"lost"}),
}


def _late(event: tuple[schemas.Message, int]) -> tuple[schemas.Message, int]:
    message: Any = event[0]
    return changed(message, version=7, scale=3.0), event[1]


@pytest.mark.parametrize("name", DAMAGES)
def test_each_planted_damage_is_found(name: str) -> None:
    """What is lost, doubled, torn or left out is found, under the names that it has."""
    damage, kinds = DAMAGES[name]
    assert _found(damage(whole())) == kinds


def test_a_model_that_was_not_seen_is_not_what_is_wanted() -> None:
    """A visit stands with its digest, without a model with None, and unseen as such."""
    log = whole()
    digests = {log.models[2].model_id: log.models[2].input_digest}
    held = standing(log.summaries[1], digests)
    assert held == {1: log.models[2].input_digest, 2: "unseen"}
    failed = changed(
        log.summaries[0], members=(schemas.MemberSummary(visit=1, status="failed", reason="no"),)
    )
    assert standing(failed, digests) == {1: None}
