"""What a service under proof is told to do at its seams: die here, stop there, work slowly.

A trap names a *point* of the service's way. The points, in the order in which a service comes to
them:

=================== ===========================================================================
``take.before``     before the fence: the owner before can still write
``take.fenced``     between fence and proof (Kafka only)
``restore``         in the middle of reading the changelog
``ingest.before``   before the transaction that holds events
``ingest.written``  its records are sent, the commit is not yet asked for (Kafka only)
``ingest.after``    it is committed and nobody has heard of it
``job.before``      after freezing, before the job is handed to a worker
``job.in``          while a worker has it
``results.*``       as ``ingest.*``, of the transaction that holds measurements
``publish.*``       as ``ingest.*``, of the transaction that holds a revision
``publish.between`` models are published and their revision not: only where a bug is planted
``tick.*``          as ``ingest.*``, of a clock tick
=================== ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

__all__ = ["POINTS", "Harm", "Hooks", "Trap"]

Harm = Literal["memory", "segfault", "loop"]

POINTS = (
    "take.before",
    "take.fenced",
    "restore",
    "job.before",
    "job.in",
    "publish.between",
    *(
        f"{kind}.{moment}"
        for kind in ("ingest", "results", "publish", "tick")
        for moment in ("before", "written", "after")
    ),
)


@dataclass(frozen=True)
class Trap:
    """Something that happens to the process at a point of its way.

    Attributes
    ----------
    point : str
        One of `POINTS`.
    action : str
        ``kill``: SIGKILL. ``stop``: SIGSTOP, until somebody sends SIGCONT. ``pass``: nothing but
        the line in the log.
    nth : int
        At which passing of the point, counted from 1.
    delay_ms : float
        So long behind it, while the process goes on.
    """

    point: str
    action: Literal["kill", "stop", "pass"] = "kill"
    nth: int = 1
    delay_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.point not in POINTS:
            raise ValueError(f"{self.point!r} is no point; there are {', '.join(POINTS)}")


@dataclass(frozen=True)
class Hooks:
    """All that differs between a service under proof and the real one.

    Attributes
    ----------
    traps : tuple of Trap
    job_s : float
        Time that each measurement and match takes at least, in its worker, seconds.
    killers : tuple of int
        Visits whose jobs kill the service with them, as the kernel does when memory runs out.
    harms : mapping of int to str
        Visits whose jobs do something to their worker: ``memory`` takes more than it may have,
        ``segfault`` reads where nothing is, ``loop`` never ends.
    clock_s : float
        What the owner's clock is ahead of the machine's, seconds.
    speed : float
        How fast input records are delivered, by their stamps: 1 as they came, 100 a hundred times
        as fast; 0 as fast as can be.
    ballast_bytes : int
        What each job's result carries besides.
    timed : bool
        Tell what transactions and restores take, and how late the event loop is.
    naive : bool
        Publish outside of the transaction: a planted bug, which the proof must find.
    """

    traps: tuple[Trap, ...] = ()
    job_s: float = 0.0
    killers: tuple[int, ...] = ()
    harms: Mapping[int, Harm] = field(default_factory=dict)
    clock_s: float = 0.0
    speed: float = 0.0
    ballast_bytes: int = 0
    timed: bool = False
    naive: bool = False

    def text(self) -> str:
        """Return these hooks as a word of a command line."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str) -> Hooks:
        """Read them back."""
        return msgspec.json.decode(text, type=cls)
