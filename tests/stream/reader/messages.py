"""Models and summaries as a service publishes them, with a number in them to know them by."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

import schemas
from tests.schemas import examples

__all__ = ["published_model", "published_summary"]

_SUMMARY = next(one for one in examples.EXAMPLES if isinstance(one, schemas.GroupMatched))
_NOBODY = 2**60


def published_model(
    group: schemas.GroupId, visit: int, revision: int, number: float
) -> schemas.BackgroundModel:
    """Return a model whose `fit_rms` is the number."""
    return examples.matched_model(
        **group.fields, visit=visit, revision=revision, reference=_NOBODY, fit_rms=number
    )


def published_summary(
    group: schemas.GroupId,
    revision: int,
    models: Sequence[schemas.BackgroundModel],
    status: str | None = None,
) -> schemas.GroupMatched:
    """Return the summary that names these models."""
    members = tuple(
        schemas.MemberSummary(visit=one.visit, status="matched", model_id=one.model_id)
        for one in models
    )
    changes = {**group.fields, "revision": revision, "members": members, "reference": None}
    more = {"status": status or "complete", "supersedes": revision - 1 or None}
    return msgspec.structs.replace(_SUMMARY, **changes, **more)
