"""All messages by their CloudEvents type (the table of DESIGN.md section 4)."""

from __future__ import annotations

from typing import Final

from schemas.arrays import NDArray
from schemas.events import (
    ClockTick,
    GroupClosed,
    GroupManifest,
    GroupReopened,
    GroupSealed,
    JobSuspected,
    WarpArrived,
    WarpWithdrawn,
)
from schemas.letters import DeadLetter
from schemas.models import BackgroundModel, Model, Quality
from schemas.summaries import BackgroundMetric, GroupMatched, MemberSummary

__all__ = [
    "MESSAGE_TYPES",
    "BackgroundMetric",
    "BackgroundModel",
    "ClockTick",
    "DeadLetter",
    "GroupClosed",
    "GroupManifest",
    "GroupMatched",
    "GroupReopened",
    "GroupSealed",
    "JobSuspected",
    "MemberSummary",
    "Message",
    "Model",
    "NDArray",
    "Quality",
    "WarpArrived",
    "WarpWithdrawn",
]

Message = (
    WarpArrived
    | WarpWithdrawn
    | GroupManifest
    | GroupClosed
    | GroupSealed
    | GroupReopened
    | ClockTick
    | JobSuspected
    | BackgroundModel
    | GroupMatched
    | BackgroundMetric
    | DeadLetter
)

_TYPES: Final[tuple[type[Message], ...]] = (
    WarpArrived,
    WarpWithdrawn,
    GroupManifest,
    GroupClosed,
    GroupSealed,
    GroupReopened,
    ClockTick,
    JobSuspected,
    BackgroundModel,
    GroupMatched,
    BackgroundMetric,
    DeadLetter,
)

MESSAGE_TYPES: Final[dict[str, type[Message]]] = {kind.ce_type: kind for kind in _TYPES}
"""The message class of each ``ce_type``."""
