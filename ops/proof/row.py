"""A row of RELIABILITY: what must hold, and the run that shows whether it does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ops.broker.broker import Cluster, running
from ops.proof.load import Warp, make_warps
from ops.proof.place import Place

__all__ = ["Context", "Figure", "Row", "RowResult", "Terms"]

Figure = int | float | str


@dataclass(frozen=True)
class Terms:
    """How long and how hard a row is run.

    Attributes
    ----------
    rounds : int
        Kills, pauses, unknown outcomes: what the row counts; or seconds where it states a time.
    scale : float
        Factor of the load, 1 for the stated one; the report prints it.
    seed : int
        All that is drawn is drawn from it.
    """

    rounds: int
    scale: float = 1.0
    seed: int = 1

    def load(self, stated: int, least: int = 1) -> int:
        """Return a stated load, scaled."""
        return max(least, round(stated * self.scale))


@dataclass(frozen=True)
class RowResult:
    """What a run has shown.

    Attributes
    ----------
    figures : mapping of str to int, float or str
        What was counted and measured, by what it is.
    violations : tuple of str
        What did not hold; a row holds if there is none.
    """

    figures: Mapping[str, Figure]
    violations: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the row holds."""
        return not self.violations


@dataclass
class Context:
    """What a run may use.

    Attributes
    ----------
    folder : Path
        Scratch of its own.
    bootstrap : str or None
        A broker that is up already; else the run starts its own.
    say : callable
        Told how far the run is.
    broker : Cluster or None
        The same, for rows that do something to it that harms nobody else.
    """

    folder: Path
    bootstrap: str | None = None
    say: Callable[[str], None] = field(default=lambda _: None)
    broker: Cluster | None = None

    @cached_property
    def warps(self) -> list[Warp]:
        """Tiny warps, true to their checksums."""
        return make_warps(self.folder / "warps")

    @contextmanager
    def kafka(self, partitions: int = 4, *options: str) -> Iterator[Place]:
        """Give topics of their own on one broker, with options for the service."""
        folder = self.warps[0].path.parent
        if self.bootstrap is not None:
            yield Place.kafka(self.bootstrap, folder, partitions, *options)
            return
        with running() as cluster:
            yield Place.kafka(cluster.bootstrap, folder, partitions, *options)

    @contextmanager
    def cluster(self, nodes: int = 3) -> Iterator[Cluster]:
        """Run a cluster of its own, whose nodes can be killed."""
        with running(nodes) as cluster:
            yield cluster

    @contextmanager
    def one_broker(self) -> Iterator[Cluster]:
        """Give one broker, which must not be killed."""
        if self.broker is not None:
            yield self.broker
            return
        with running() as cluster:
            yield cluster

    def embedded(self, *options: str) -> Place:
        """Give an embedded log of its own, with options for the service."""
        path = self.folder / f"log-{uuid.uuid4().hex[:8]}.db"
        allowed = ("--allow", str(self.warps[0].path.parent))
        return Place.file(path, *allowed, *options)


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes
    ----------
    number : int
    title : str
    hold : str
        What must hold.
    rounds : int
        The stated count, or the stated time in seconds.
    counted : str
        What `rounds` counts.
    run : callable
        The run itself.
    """

    number: int
    title: str
    hold: str
    rounds: int
    counted: str
    run: Callable[[Terms, Context], RowResult]
