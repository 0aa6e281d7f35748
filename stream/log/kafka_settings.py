"""How we speak to Kafka: one frozen value, refused if its parts contradict each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import get_type_hints

from stream.log.kafka_security import Security

__all__ = ["KafkaSettings"]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How we speak to Kafka.

    Attributes
    ----------
    bootstrap_servers : str
        ``host:port``, several separated by commas.
    app : str
        Name of the service: its consumer group, and the head of each transactional id. Two
        services that share a cluster need two names.
    group_instance_id : str or None
        A name of this copy that outlives its restarts, where the deployment gives one; a
        restart within the session timeout then moves no partition.
    session_timeout_ms : int
        A copy that is silent for so long has lost its partitions.
    rebalance_timeout_ms : int
        How long the others wait for a copy that does not come to a rebalance.
    max_poll_interval_ms : int
        A copy that does not poll for so long leaves the group by itself.
    transaction_timeout_ms : int
        The broker aborts what was left open for so long, and a reader waits for as long at most.
    request_timeout_ms : int
        For one request.
    fetch_wait_ms : int
        The broker answers a fetch that finds nothing after so long: how fresh ends are.
    take_timeout_s : float
        For taking over one partition, up to the proof that it is ours.
    commit_timeout_s : float
        For one transaction; when it is over, its outcome is unknown and the partition is lost.
    broker_grace_s : float
        Without a broker for longer than this we give up.
    rejoin_first_s, rejoin_most_s : float
        Waiting time before rejoining the group after a loss: the first, doubled up to the most.
    fetch_bytes : int
        What one fetch may bring, and so what waits in memory for each broker.
    fetch_partition_bytes : int
        What one fetch may bring of one partition.
    batch_bytes : int
        A batch of records to one partition is sent when it is so large; the smallest
        ``max.message.bytes`` of our topics (256 KiB) is above it.
    request_bytes : int
        No record may be larger.
    security : Security
        TLS, and who we say we are.
    """

    bootstrap_servers: str
    app: str = "evensky"
    group_instance_id: str | None = None
    session_timeout_ms: int = 10_000
    rebalance_timeout_ms: int = 60_000
    max_poll_interval_ms: int = 300_000
    transaction_timeout_ms: int = 60_000
    request_timeout_ms: int = 30_000
    fetch_wait_ms: int = 250
    take_timeout_s: float = 60.0
    commit_timeout_s: float = 30.0
    broker_grace_s: float = 120.0
    rejoin_first_s: float = 0.5
    rejoin_most_s: float = 30.0
    fetch_bytes: int = 16 * _MIB
    fetch_partition_bytes: int = _MIB
    batch_bytes: int = 200 * 1024
    request_bytes: int = 16 * _MIB
    security: Security = field(default_factory=Security)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_positive()
        self._check_order()

    def _check_names(self) -> None:
        for server in self.bootstrap_servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
                raise ValueError(f"bootstrap_servers: {server!r} is not host:port")
        for name in ("app", "group_instance_id"):
            value = getattr(self, name)
            if value is not None and not _NAME.fullmatch(value):
                raise ValueError(f"{name}: {value!r} may hold letters, digits, '.', '_' and '-'")

    def _check_positive(self) -> None:
        numbers = {int, float}
        for name, kind in get_type_hints(type(self)).items():
            if kind in numbers and not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} must be more than 0")

    def _check_order(self) -> None:
        grace_ms = 1000 * self.broker_grace_s
        rules = (
            ("session_timeout_ms", "rebalance_timeout_ms", "or a rebalance outlasts no pause"),
            ("rejoin_first_s", "rejoin_most_s", "which it is doubled up to"),
            ("batch_bytes", "request_bytes", "which holds batches"),
        )
        for less, more, why in rules:
            if getattr(self, less) > getattr(self, more):
                raise ValueError(f"{less} must not be more than {more}, {why}")
        if not self.rebalance_timeout_ms < grace_ms < self.max_poll_interval_ms:
            raise ValueError(
                "broker_grace_s must be above rebalance_timeout_ms, which a healthy group may "
                "take, and below max_poll_interval_ms, after which the client stops joining"
            )
        if self.commit_timeout_s * 1000 > self.transaction_timeout_ms:
            raise ValueError(
                "commit_timeout_s must not be more than transaction_timeout_ms, after which the "
                "broker has ended the transaction"
            )

    @property
    def heartbeat_interval_ms(self) -> int:
        """A third of the session timeout, as Kafka's documentation advises."""
        return max(1, self.session_timeout_ms // 3)

    def transactional_id(self, topic: str, partition: int) -> str:
        """Return the one id under which whoever owns this partition writes."""
        return f"{self.app}.{topic}.{partition}"
