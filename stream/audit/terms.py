"""What is audited, by which rules, and at what cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from core import groups
from stream.log.topics import Topics
from stream.settings import Settings

__all__ = ["AGAIN_S", "MEMORY_BYTES", "MOST", "SETTLE_S", "Terms"]

MEMORY_BYTES: Final = 128 * 2**20
MOST: Final = 1000
SETTLE_S: Final = 1.0
AGAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What an audit must know beside the log.

    Attributes
    ----------
    topics : Topics
    policy_for : callable
        The service's rules for a group, by its key: they decide what the input should have become.
    gapless : bool
        The log numbers its records without gaps and keeps all that was published, as the embedded
        log does. Else what is seen in one topic may be late in another.
    group : str or None
        Only the group with this key.
    memory_bytes : int
        What sorting may take of memory.
    most : int
        Violations that are told one by one; all are counted.
    """

    topics: Topics
    policy_for: Callable[[str], groups.Policy]
    gapless: bool
    group: str | None = None
    memory_bytes: int = MEMORY_BYTES
    most: int = MOST

    @classmethod
    def of(cls, settings: Settings, **more: Any) -> Self:
        """Return the terms that the service's settings make; `more` are attributes."""
        topics = Topics(settings.topic_prefix)
        return cls(topics, settings.policy_for(), not settings.brokers, **more)

    @property
    def settle_s(self) -> float:
        """How long to wait between what must be seen in order, seconds."""
        return 0.0 if self.gapless else SETTLE_S

    @property
    def again_s(self) -> float:
        """How long to wait before looking again for what may be late, seconds."""
        return AGAIN_S
