"""Which groups follow which policy: one for all, and others for some campaigns, maps or bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from core import groups

__all__ = [
    "POLICY_SETTINGS",
    "AtOnce",
    "Margin",
    "Members",
    "Policies",
    "PolicyRule",
    "Quorum",
    "Seconds",
    "SecondsOrOff",
    "off",
    "policy_of",
]

POLICY_SETTINGS: Final = (
    "quorum",
    "quiet_s",
    "deadline_s",
    "min_members",
    "update_quiet_s",
    "update_max_s",
    "reference_margin",
    "seal_after_s",
    "seal_retention_s",
)
"""The settings that a policy is made of: with the input they decide every revision."""

_PATTERNS: Final = ("campaign", "skymap", "band")
_MOST_REMEMBERED: Final = 4096


def off(value: object) -> object:
    """Let an operator write ``off`` where the code says None."""
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
SecondsOrOff = Annotated[Seconds | None, BeforeValidator(off)]
Quorum = Annotated[int, Field(ge=1, le=100_000)]
AtOnce = Annotated[int, Field(ge=1, le=10_000)]
Members = Annotated[int, Field(ge=2, le=100_000)]
Margin = Annotated[float, Field(ge=0)]
Pattern = Annotated[str, Field(min_length=1, max_length=64)]


class PolicyRule(BaseModel):
    """Some groups, and what is different for them; what it does not give is as for all others."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    campaign: Pattern = "*"
    skymap: Pattern = "*"
    band: Pattern = "*"
    quorum: Quorum | None = None
    quiet_s: SecondsOrOff = None
    deadline_s: Seconds | None = None
    min_members: Members | None = None
    update_quiet_s: Seconds | None = None
    update_max_s: Seconds | None = None
    reference_margin: Margin | None = None
    seal_after_s: SecondsOrOff = None
    seal_retention_s: Seconds | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is different, by setting."""
        names = (name for name in POLICY_SETTINGS if name in self.model_fields_set)
        return {name: getattr(self, name) for name in names}

    def takes(self, campaign: str, skymap: str, band: str) -> bool:
        """Tell whether groups with these names follow it."""
        names = zip((campaign, skymap, band), _PATTERNS, strict=True)
        return all(fnmatchcase(name, getattr(self, pattern)) for name, pattern in names)

    def __str__(self) -> str:
        chosen = [f"{n}={getattr(self, n)}" for n in _PATTERNS if n in self.model_fields_set]
        different = [f"{n}={'off' if v is None else v}" for n, v in self.given.items()]
        return f"{' '.join(chosen) or 'all'}: {', '.join(different) or 'as all others'}"


class Policies:
    """The policy of each group, by its key; what was asked for lately is remembered.

    Parameters
    ----------
    rules : sequence of (PolicyRule, Policy)
        The first that takes a group counts.
    default : Policy
        Of the groups that none takes.
    """

    def __init__(
        self, rules: Sequence[tuple[PolicyRule, groups.Policy]], default: groups.Policy
    ) -> None:
        self._rules = tuple(rules)
        self._default = default
        self._named = lru_cache(maxsize=_MOST_REMEMBERED)(self._find)

    def __call__(self, key: str) -> groups.Policy:
        """Return the policy of the group ``campaign/skymap/tract/patch/band``."""
        campaign, skymap, _, _, band = key.split("/")
        return self._named(campaign, skymap, band)

    def _find(self, campaign: str, skymap: str, band: str) -> groups.Policy:
        taking = (policy for rule, policy in self._rules if rule.takes(campaign, skymap, band))
        return next(taking, self._default)


def policy_of(values: Mapping[str, Any], max_attempts: int) -> groups.Policy:
    """Return a policy from settings: seconds become milliseconds, None is off.

    Raises
    ------
    ValueError
        A combination is impossible.
    """
    plain = {name: values[name] for name in POLICY_SETTINGS if not name.endswith("_s")}
    times = {
        f"{name.removesuffix('_s')}_ms": _milliseconds(values[name])
        for name in POLICY_SETTINGS
        if name.endswith("_s")
    }
    arguments: dict[str, Any] = plain | times
    return groups.Policy(**arguments, max_attempts=max_attempts)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))
