"""What a model follows from, as one name: of the same basis comes the same model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import core
import schemas
from core import groups

__all__ = ["Basis", "Past"]

_DIGITS: Final = 32  # each member of the state has one, and nobody gains by two that are alike


class Basis:
    """Names what the models of one service follow from.

    Parameters
    ----------
    config : MatchConfig
        How backgrounds are matched.
    profile : VerdictProfile
        The rule for verdicts.
    limits : VerdictLimits
        Of the rule ``survey``.
    """

    def __init__(
        self,
        config: core.MatchConfig,
        profile: core.VerdictProfile,
        limits: core.VerdictLimits,
    ) -> None:
        config_digest = schemas.config_digest(config.to_mapping())
        rules = ("evensky basis 1", config_digest, core.NUMERICS_VERSION, str(profile), limits)
        self._rules = hashlib.sha256(schemas.pack_state(rules)).digest()

    def of(self, warp: groups.FrozenMember | None, reference: groups.FrozenMember | None) -> str:
        """Name what the model of a warp follows from.

        Parameters
        ----------
        warp : FrozenMember or None
            None is a visit that is withdrawn.
        reference : FrozenMember or None
            What it is matched to; the reference itself is matched to itself.

        Returns
        -------
        str
            128 bits of a sha256. Whether a match could be made is no part of it: who failed is
            tried again.
        """
        inputs = [None if one is None else (one.visit, one.digest) for one in (warp, reference)]
        return hashlib.sha256(schemas.pack_state((self._rules, *inputs))).hexdigest()[:_DIGITS]


def _unknown(_visit: int, _reference: int) -> str:
    """Name nothing: of this basis nothing was ever sent."""
    return ""


@dataclass(frozen=True, slots=True)
class Past:
    """What was published of a group before a revision, which is worked on now.

    Attributes
    ----------
    reference : int or None
        Of the revision before.
    reference_digest : str or None
        Digest of the input that it had, where that is known.
    pinned : Pinned or None
        That reference, if this revision is to keep it.
    sent : mapping of int to Sent
        What was last sent, by visit.
    basis : callable
        Basis of a member's model, from its visit and that of the reference.
    boxes : bool
        Whether warps are held to one box; not where the state cannot keep boxes (format 1), or
        what is refused would hang on what was measured since the last start.
    """

    reference: int | None = None
    reference_digest: str | None = None
    pinned: groups.Pinned | None = None
    sent: Mapping[int, groups.Sent] = field(default_factory=dict)
    basis: Callable[[int, int], str] = _unknown
    boxes: bool = True

    def kept(self, visit: int, basis: str) -> groups.Sent | None:
        """Return what stands of a visit if its basis is still the same and it did not fail."""
        sent = self.sent.get(visit)
        return None if sent is None or sent.basis != basis or sent.status == "failed" else sent
