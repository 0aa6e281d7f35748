"""When a group counts as complete and how its changes are gathered into revisions."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of the completion and update rules (DESIGN.md section 2).

    Attributes
    ----------
    quorum : int
        Members that a group needs before quiet can complete it.
    quiet_ms : int or None
        Without an arrival for so long a group with a quorum is complete; None switches it off.
    deadline_ms : int
        So long after its first event a group is complete as it is.
    min_members : int
        A revision with fewer is published as incomplete, without models.
    update_quiet_ms, update_max_ms : int
        The next revision freezes so long after the last change, at most so long after the first.

    Raises
    ------
    ValueError
        A limit is impossible; the message names it.
    """

    quorum: int = 3
    quiet_ms: int | None = 1_800_000
    deadline_ms: int = 86_400_000
    min_members: int = 2
    update_quiet_ms: int = 600_000
    update_max_ms: int = 3_600_000

    def __post_init__(self) -> None:
        for name in ("quorum", "deadline_ms", "min_members", "update_quiet_ms", "update_max_ms"):
            _require_positive(name, getattr(self, name))
        if self.quiet_ms is not None:
            _require_positive("quiet_ms", self.quiet_ms)
        if self.update_max_ms < self.update_quiet_ms:
            raise ValueError(
                f"update_max_ms ({self.update_max_ms}) must not be below "
                f"update_quiet_ms ({self.update_quiet_ms})"
            )


def _require_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")
