"""Permissions on a secured broker, given by whoever comes to its open listener."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

_APPLIED_S = 0.5  # a broker replays the controller's log a little later

__all__ = ["Grant", "grant", "grant_now", "of_announcer", "of_reader", "of_service", "of_surveyor"]

_KINDS = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
_PATTERNS = {"literal": 3, "prefixed": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}
_ALLOW = 3


@dataclass(frozen=True)
class Grant:
    """One line of the table of permissions in ops/README.md."""

    operation: str
    kind: Literal["topic", "group", "cluster", "transactional-id"]
    name: str
    pattern: Literal["literal", "prefixed"] = "literal"


def of_service(prefix: str, app: str) -> tuple[Grant, ...]:
    """Return what the service needs."""
    return (
        *(Grant("Read", "topic", f"{prefix}.{name}") for name in ("warps", "state")),
        Grant("Write", "topic", f"{prefix}.", "prefixed"),
        Grant("DescribeConfigs", "topic", f"{prefix}.", "prefixed"),
        Grant("Read", "group", app),
        Grant("Write", "transactional-id", f"{app}.", "prefixed"),
    )


def of_announcer(prefix: str) -> tuple[Grant, ...]:
    """Return what upstream needs."""
    return (Grant("Write", "topic", f"{prefix}.warps"),)


def of_reader(prefix: str) -> tuple[Grant, ...]:
    """Return what `evensky watch` needs."""
    return tuple(Grant("Read", "topic", f"{prefix}.{name}") for name in _PUBLISHED)


_PUBLISHED = ("models", "groups", "dead-letters")


def of_surveyor(prefix: str) -> tuple[Grant, ...]:
    """Return what `evensky topics create` and `check` need."""
    return (
        *(Grant(name, "topic", f"{prefix}.", "prefixed") for name in _LOOKING),
        Grant("Read", "topic", f"{prefix}.state"),
    )


_LOOKING = ("Create", "Describe", "DescribeConfigs")


def grant(bootstrap: str, principal: str, grants: Sequence[Grant]) -> None:
    """Allow a user some things, and return when a broker acts on it."""
    asyncio.run(grant_now(bootstrap, principal, grants))


async def grant_now(bootstrap: str, principal: str, grants: Sequence[Grant]) -> None:
    """Do the same, for who has a loop already."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for one in grants:
            request = CreateAclsRequest(
                _KINDS[one.kind],
                one.name,
                _PATTERNS[one.pattern],
                f"User:{principal}",
                "*",
                _OPERATIONS[one.operation],
                _ALLOW,
            )
            answer: Any = await admin._send_request(request)  # noqa: SLF001 - aiokafka has no call for it
            assert [code for code, *_ in answer.creation_responses] == [0]
    finally:
        await admin.close()
    await asyncio.sleep(_APPLIED_S)
