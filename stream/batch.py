"""The batch twin: files in, the models of a revision 1 out, by the same code as the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import schemas
from core import groups
from stream import jobs
from stream.assemble import Assembler
from stream.describe import Described
from stream.revision import Revision, case_of
from stream.workshop import Due, Workshop

__all__ = ["BatchGroup", "DuplicateVisitError", "group_files", "match_group", "value_of"]

_MIN_MEMBERS = 2


class DuplicateVisitError(ValueError):
    """Two files claim to be the same visit of one group.

    Parameters
    ----------
    group : GroupId
    visit : int
    paths : (Path, Path)
        The files.
    """

    def __init__(self, group: schemas.GroupId, visit: int, paths: tuple[Path, Path]) -> None:
        super().__init__(group, visit, paths)
        self.group, self.visit, self.paths = group, visit, paths

    def __str__(self) -> str:
        first, second = self.paths
        return (
            f"{first} and {second} are both visit {self.visit} of {self.group.key}; "
            "leave one out, or say who they are with --tract, --patch, --band or --visit"
        )


@dataclass(frozen=True, slots=True)
class BatchGroup:
    """The files of one group.

    Attributes
    ----------
    group : GroupId
    files : mapping of int to Described
        By visit, ascending.
    """

    group: schemas.GroupId
    files: Mapping[int, Described]

    def frozen(self, reference: int | None) -> groups.Frozen:
        """Return what a manifest of exactly these visits would freeze.

        Parameters
        ----------
        reference : int or None
            A visit that must be the reference.
        """
        members = tuple(
            groups.FrozenMember(
                visit, schemas.arrival_digest(one.message), schemas.pack_payload(one.message)
            )
            for visit, one in self.files.items()
        )
        return groups.Frozen(
            revision=1,
            kind=groups.Kind.INITIAL,
            trigger=groups.Trigger.MANIFEST,
            members=members,
            withdrawn=(),
            missing=(),
            expected=len(members),
            completeness=1.0,
            incomplete=len(members) < _MIN_MEMBERS,
            reference=reference if reference in self.files else None,
            since=0,
            at=0,
        )


def group_files(described: Iterable[Described]) -> list[BatchGroup]:
    """Gather files in groups, by identity; groups in the order in which they are first seen.

    Raises
    ------
    DuplicateVisitError
        Two files are the same visit of a group.
    """
    found: dict[schemas.GroupId, dict[int, Described]] = {}
    for one in described:
        members = found.setdefault(one.message.group, {})
        visit = one.message.visit
        if visit in members:
            raise DuplicateVisitError(one.message.group, visit, (members[visit].path, one.path))
        members[visit] = one
    return [BatchGroup(group, dict(sorted(files.items()))) for group, files in found.items()]


async def match_group(
    batch: BatchGroup, reference: int | None, workshop: Workshop, assembler: Assembler, now: float
) -> Revision:
    """Match one group and return the messages that the service would publish for it.

    Parameters
    ----------
    batch : BatchGroup
    reference : int or None
        A visit that must be the reference; None chooses.
    workshop : Workshop
    assembler : Assembler
    now : float
        Wall time, seconds since 1970.
    """
    frozen = batch.frozen(reference)
    done = await workshop.fulfil(Due(batch.group, frozen), {}, _forget)
    return assembler.revision(case_of(batch.group, frozen, done), now)


def value_of(model: schemas.BackgroundModel) -> bytes:
    """Return the bytes of a model's message, as they stand in the log."""
    return schemas.encode_value(model)


async def _forget(_: Sequence[jobs.Measured]) -> None:
    """Keep no measurements: there is no log to keep them in."""
    await asyncio.sleep(0)
