"""What brokers must allow us, and what is said of a right that is lacking: how to give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from stream.log.kafka_security import Security
from stream.log.topics import Topics

__all__ = [
    "Lacking",
    "Operation",
    "group_right",
    "lacking",
    "owner_rights",
    "surveyor_rights",
    "topic_rights",
    "transactions_right",
]


class Operation(IntEnum):
    """What Kafka can allow, with its numbers."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    @property
    def word(self) -> str:
        """Kafka's word for it."""
        return self.name.title().replace("_", "")


_UNTOLD: Final = -(2**31)
"""What a broker says that does not tell operations."""

Rights = Mapping[str, tuple[Operation, ...]]


@dataclass(frozen=True, slots=True)
class Lacking:
    """Rights that we need and do not have.

    Attributes
    ----------
    security : Security
        Who we are.
    operations : tuple of Operation
    what : str
        The topic, group or ids, in words.
    resource : str
        The same for `kafka-acls.sh`.
    """

    security: Security
    operations: tuple[Operation, ...]
    what: str
    resource: str

    def __str__(self) -> str:
        words = [one.word for one in self.operations]
        granted = " ".join(f"--operation {word}" for word in words)
        return (
            f"{self.security.who} may not {', '.join(words)} {self.what}: kafka-acls.sh "
            "--bootstrap-server HOST:PORT --add "
            f"--allow-principal User:{self.security.user or 'NAME'} {granted} {self.resource}"
        )


def owner_rights(topics: Topics) -> Rights:
    """Return what the service needs: to read its input and its state, and to write everywhere.

    It reads how topics are configured because it refuses those that would lose data.
    """
    write = (Operation.WRITE, Operation.DESCRIBE_CONFIGS)
    read = (Operation.READ, *write)
    return {name: read if name in (topics.warps, topics.state) else write for name in topics.names}


def surveyor_rights(topics: Topics) -> Rights:
    """Return what is needed to look topics over; the state tells what it was written for."""
    look = (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)
    read = (Operation.READ, *look)
    return {name: read if name == topics.state else look for name in topics.names}


def lacking(rights: Rights, operations: Mapping[str, int], security: Security) -> Iterator[Lacking]:
    """Compare what we need with what brokers say that we may.

    Parameters
    ----------
    rights : mapping of str to tuple of Operation
        What is needed, by topic.
    operations : mapping of str to int
        What is allowed, by topic: a bit for each operation. Topics that are not in it are passed
        over.
    security : Security
        Who we are.
    """
    for topic, needed in rights.items():
        allowed = operations.get(topic, _UNTOLD)
        denied = tuple(one for one in needed if not allowed >> one & 1)
        if denied and allowed != _UNTOLD:
            yield topic_rights(topic, denied, security)


def topic_rights(topic: str, operations: tuple[Operation, ...], security: Security) -> Lacking:
    """Return rights to do something with a topic."""
    return Lacking(security, operations, f"topic {topic}", f"--topic {topic}")


def group_right(app: str, security: Security) -> Lacking:
    """Return the right to be a member of our consumer group."""
    return Lacking(security, (Operation.READ,), f"group {app}", f"--group {app}")


def transactions_right(app: str, security: Security) -> Lacking:
    """Return the right to write under our transactional ids, one a partition."""
    resource = f"--transactional-id {app}. --resource-pattern-type prefixed"
    return Lacking(security, (Operation.WRITE,), f"under transactional ids {app}.*", resource)
