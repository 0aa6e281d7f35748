"""A revision as a consumer gets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import schemas

__all__ = ["Models", "Revision", "StaleRevisionError"]


class StaleRevisionError(RuntimeError):
    """A model was asked for after the reader went on and a later revision took its place."""


class Models(Mapping[int, schemas.BackgroundModel]):
    """The models of a revision by visit, ascending; each is fetched and decoded when asked for.

    A group may have thousands, so they are not held in memory. They are to be had until the next
    revision is asked for; later, a model that was superseded meanwhile is refused and never
    exchanged for another. Who wants to keep them makes a dict.

    Parameters
    ----------
    summary : GroupMatched
        Names them.
    fetch : callable
        Gives a model's bytes for group, visit and model_id; None if it is no longer held.
    """

    def __init__(
        self, summary: schemas.GroupMatched, fetch: Callable[[str, int, str], bytes | None]
    ) -> None:
        self._group = summary.group.key
        self._named = {one.visit: one.model_id for one in summary.members if one.model_id}
        self._fetch = fetch

    def __getitem__(self, visit: int) -> schemas.BackgroundModel:
        value = self._fetch(self._group, visit, self._named[visit])
        if value is None:
            raise StaleRevisionError(
                f"the model of {self._group}/{visit} was superseded: use the models of a revision "
                "before you ask for the next one, or keep them as dict(revision.models)"
            )
        return schemas.decode_value(value, schemas.BackgroundModel)

    def __iter__(self) -> Iterator[int]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def __contains__(self, visit: object) -> bool:
        return visit in self._named  # without fetching it


@dataclass(frozen=True, slots=True)
class Revision:
    """A whole revision of a group.

    Attributes
    ----------
    summary : GroupMatched
        What the revision is: kind, status, reference, members, what is missing.
    models : mapping of int to BackgroundModel
        Of each visit for which the summary names a model that very model, sent with this revision
        or, unchanged, with an earlier one. (If a later revision has sent the same once more, the
        message's own `revision` is that one; nothing else in it differs.)
        Empty for an incomplete revision; those of a retraction say ``withdrawn``. Only a model
        whose status is ``matched`` has anything to add to a warp.
    """

    summary: schemas.GroupMatched
    models: Mapping[int, schemas.BackgroundModel]
