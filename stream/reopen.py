"""Taking the seal off a group: whether that can be, and the message that does it."""

from __future__ import annotations

import schemas
from core import groups
from stream.log.seam import LogRefusedError
from stream.standing import Standing

__all__ = ["reopening"]


def reopening(
    group: schemas.GroupId, standing: Standing, policy: groups.Policy, now_ms: int
) -> schemas.GroupReopened:
    """Return the message that reopens a sealed group, of the lowest version that counts.

    Parameters
    ----------
    group : GroupId
    standing : Standing
        Where it stands.
    policy : Policy
        The service's for this group.
    now_ms : int
        Wall time, milliseconds since 1970.

    Raises
    ------
    LogRefusedError
        It cannot be reopened; the sentence says why.
    """
    header, position = standing.header, standing.position
    if header is None:
        raise LogRefusedError(f"there is no group {group.key} in this log")
    if header.sealed_at is None:
        raise LogRefusedError(f"the group {group.key} is not sealed: it takes events as it is")
    now_ms = max(now_ms, 0 if position is None else position.clock)
    if header.forgotten or now_ms >= header.sealed_at + policy.seal_retention_ms:
        raise LogRefusedError(
            f"the group {group.key} was sealed at {schemas.time_text(1000 * header.sealed_at)}, "
            f"and seal_retention_s, {policy.seal_retention_ms / 1000:g} s, is over: it cannot be "
            "reopened; announce its warps under another campaign"
        )
    version = _winning(header)
    if version > schemas.MAX_INTEGER:
        raise LogRefusedError(f"no version is left that could reopen the group {group.key}")
    return schemas.GroupReopened(**group.fields, version=version)


def _winning(header: groups.Header) -> int:
    """Return the lowest version that counts; of one version a reopening goes before a seal."""
    if header.sealing is None:
        return 0
    return header.sealing + header.reopened
