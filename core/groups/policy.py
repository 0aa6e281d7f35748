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
    reference_margin : float
        The published reference stays until another's cost is lower by more than this: infinite is
        never, 0 chooses anew at each revision.
    max_attempts : int
        Deaths of a job that ran alone after which its member is given up.
    seal_after_ms : int or None
        So long after its newest freeze a group in which nothing is pending is sealed; None is
        never.
    seal_retention_ms : int
        So long after a seal members and expected set are forgotten, and reopening is refused.

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
    reference_margin: float = 0.2
    max_attempts: int = 3
    seal_after_ms: int | None = None
    seal_retention_ms: int = 2_592_000_000

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _require_positive(name, getattr(self, name))
        for name in _POSITIVE_OR_OFF:
            if getattr(self, name) is not None:
                _require_positive(name, getattr(self, name))
        if not self.reference_margin >= 0:
            raise ValueError(f"reference_margin must be 0 or more, not {self.reference_margin!r}")
        if self.update_max_ms < self.update_quiet_ms:
            raise ValueError(
                f"update_max_ms ({self.update_max_ms}) must not be below "
                f"update_quiet_ms ({self.update_quiet_ms})"
            )


_POSITIVE = (
    "quorum",
    "deadline_ms",
    "min_members",
    "update_quiet_ms",
    "update_max_ms",
    "max_attempts",
    "seal_retention_ms",
)
_POSITIVE_OR_OFF = ("quiet_ms", "seal_after_ms")


def _require_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")
