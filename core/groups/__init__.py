"""The state machine of a group: pure, total and deterministic.

A group gathers the warps of one patch and band. Its revisions are frozen by the log alone: the
same records give the same history, at any speed, on any machine.
"""

from core.groups.events import (
    Arrived,
    Closed,
    Event,
    ManifestSet,
    Measured,
    Published,
    Reopened,
    Sealed,
    Suspected,
    TimerFired,
    Withdrawn,
)
from core.groups.partition import Partition
from core.groups.policy import Policy
from core.groups.step import apply, next_timer, step
from core.groups.table import diagram
from core.groups.values import (
    Expected,
    Frozen,
    FrozenMember,
    Group,
    Header,
    Kind,
    Measurement,
    Member,
    Outcome,
    Phase,
    Sent,
    Suspicion,
    Transition,
    Trigger,
)
from core.groups.work import (
    Failed,
    MatchedTo,
    MatchThese,
    MeasureThese,
    Ready,
    Statistics,
    Work,
    next_work,
    superseded,
)

__all__ = [
    "Arrived",
    "Closed",
    "Event",
    "Expected",
    "Failed",
    "Frozen",
    "FrozenMember",
    "Group",
    "Header",
    "Kind",
    "ManifestSet",
    "MatchThese",
    "MatchedTo",
    "MeasureThese",
    "Measured",
    "Measurement",
    "Member",
    "Outcome",
    "Partition",
    "Phase",
    "Policy",
    "Published",
    "Ready",
    "Reopened",
    "Sealed",
    "Sent",
    "Statistics",
    "Suspected",
    "Suspicion",
    "TimerFired",
    "Transition",
    "Trigger",
    "Withdrawn",
    "Work",
    "apply",
    "diagram",
    "next_timer",
    "next_work",
    "step",
    "superseded",
]
