"""The six topics: their names, and what each must be."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stream.log.seam import Outgoing, TopicSpec

__all__ = ["Topics", "refuse_strays"]

_KIB = 1024
_MIB = 1024 * _KIB
_DAY_MS = 24 * 3600 * 1000

# Kafka allows 249 characters in a topic's name; the longest of ours adds 13 to the prefix.
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of our topics.

    Parameters
    ----------
    prefix : str
        What each name begins with: letters, digits, ``.``, ``_`` and ``-``, at most 200.
    model_bytes : int
        Largest message of a model, which its topic must take.

    Raises
    ------
    ValueError
        The prefix cannot begin a topic's name.
    """

    prefix: str = "evensky"
    model_bytes: int = 4 * _MIB

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"topic prefix {self.prefix!r}: use 1 to 200 letters, digits, '.', '_' and '-', "
                "not beginning with '.'"
            )

    @property
    def warps(self) -> str:
        """The input: everything that upstream announces, and clock ticks."""
        return f"{self.prefix}.warps"

    @property
    def state(self) -> str:
        """The changelog from which a partition's state is rebuilt."""
        return f"{self.prefix}.state"

    @property
    def models(self) -> str:
        """One background model a warp."""
        return f"{self.prefix}.models"

    @property
    def groups(self) -> str:
        """One summary a group and revision."""
        return f"{self.prefix}.groups"

    @property
    def metrics(self) -> str:
        """Flat numbers for dashboards."""
        return f"{self.prefix}.metrics"

    @property
    def dead_letters(self) -> str:
        """What could not be used, with the reason."""
        return f"{self.prefix}.dead-letters"

    @property
    def names(self) -> tuple[str, ...]:
        """All six."""
        return (
            self.warps,
            self.state,
            self.models,
            self.groups,
            self.metrics,
            self.dead_letters,
        )

    def specs(self, partitions: int) -> tuple[TopicSpec, ...]:
        """Return the six topics as they should be (DESIGN.md section 4).

        Parameters
        ----------
        partitions : int
            One count for all, because what comes of partition p is written to partition p.

        Returns
        -------
        tuple of TopicSpec
            In the order of `names`.
        """
        lag = {"min.compaction.lag.ms": str(7 * _DAY_MS)}
        return (
            _stream(self.warps, partitions, days=14, max_bytes=256 * _KIB),
            _table(self.state, partitions, max_bytes=16 * _MIB, **_SHORT_CHANGELOG),
            _table(self.models, partitions, max_bytes=self.model_bytes, **lag),
            _table(self.groups, partitions, max_bytes=4 * _MIB, **lag),
            _stream(self.metrics, partitions, days=30, max_bytes=_MIB),
            _stream(self.dead_letters, partitions, days=30, max_bytes=_MIB),
        )


# A restore reads the changelog to its end, so what was overwritten should go soon: Kafka's
# defaults would keep a segment of 1 GiB for a week before the cleaner looks at it.
_SHORT_CHANGELOG = {"segment.bytes": str(64 * _MIB), "min.cleanable.dirty.ratio": "0.2"}


def _stream(name: str, partitions: int, *, days: int, max_bytes: int) -> TopicSpec:
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(days * _DAY_MS),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(max_bytes),
    }
    return TopicSpec(name, partitions, compacted=False, config=config)


def _table(name: str, partitions: int, *, max_bytes: int, **more: str) -> TopicSpec:
    config = {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(max_bytes),
        **more,
    }
    return TopicSpec(name, partitions, compacted=True, config=config)


def refuse_strays(records: Sequence[Outgoing], topics: Topics, partitions: Collection[int]) -> None:
    """Raise ValueError unless every record goes to one of our topics and these partitions."""
    ours = {(topic, partition) for topic in topics.names for partition in partitions}
    for record in records:
        if (record.topic, record.partition) not in ours:
            raise ValueError(f"no record may go to {record.topic} [{record.partition}] from here")
        if record.key is None and record.value is None:
            raise ValueError(f"a record to {record.topic} has neither key nor value")
