"""The settings of a match under LSST's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from core import MatchConfig

__all__ = ["MatchBackgroundsConfig"]


def _camel_case(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


_FIELDS = {_camel_case(field.name): field.name for field in fields(MatchConfig)}
_KNOWN = _FIELDS | {name: name for name in _FIELDS.values()}
"""Every name that is taken: who hands over a `MatchConfig` may go on by its names."""


class MatchBackgroundsConfig:
    """Settings of a match: attributes with LSST's names, ``config.binSize = 64``.

    Parameters
    ----------
    **settings
        By LSST's name: usePolynomial, order, badMaskPlanes, gridStatistic, undersampleStyle,
        binSize, interpStyle, numSigmaClip, numIter, bestRefWeightCoverage, bestRefWeightVariance,
        bestRefWeightLevel, approxWeighting, gridStdevEpsilon; and our own profile and
        bestRefMinCoverage. Their meaning and defaults are those of `core.MatchConfig`, whose
        names (``bin_size``) stand for the same settings here.

    Attributes
    ----------
    settings : core.MatchConfig
        The same, as the mathematics takes it.

    Raises
    ------
    AttributeError
        For a name that is none of these, now or when it is set, and for a setting given under both
        its names.
    ConfigError
        For an impossible value, at once and by its name (a `ValueError`).

    Notes
    -----
    badMaskPlanes is a tuple: set it as a whole.
    """

    settings: MatchConfig

    def __init__(self, **settings: Any) -> None:
        object.__setattr__(self, "settings", MatchConfig())
        self.update(**settings)

    @classmethod
    def of(cls, config: object) -> MatchBackgroundsConfig:
        """Return what was given as a config, under LSST's names.

        Parameters
        ----------
        config : MatchBackgroundsConfig, core.MatchConfig, mapping or object with ``toDict``
            The first is returned itself; ``toDict`` is what LSST's own configs have.

        Raises
        ------
        TypeError
            If it is something else.
        """
        if isinstance(config, cls):
            return config
        if isinstance(config, MatchConfig):
            made = cls()
            object.__setattr__(made, "settings", config)
            return made
        to_dict = getattr(config, "toDict", None)
        given = to_dict() if callable(to_dict) else config
        if isinstance(given, Mapping):
            return cls(**given)
        expected = "a MatchBackgroundsConfig, MatchConfig, or mapping"
        raise TypeError(f"config is a {type(config).__name__}: must be {expected}")

    def update(self, **settings: Any) -> None:
        """Change some settings, all or none.

        Parameters
        ----------
        **settings
            By LSST's name, or that of `core.MatchConfig`.
        """
        changes: dict[str, Any] = {}
        for name, value in settings.items():
            _require_known(name)
            if _KNOWN[name] in changes:
                raise AttributeError(f"{name} is given under both its names")
            changes[_KNOWN[name]] = value
        object.__setattr__(self, "settings", replace(self.settings, **changes))

    def toDict(self) -> dict[str, Any]:
        """Return the settings as plain values by LSST's names."""
        return {_camel_case(name): value for name, value in self.settings.to_mapping().items()}

    def __getattr__(self, name: str) -> Any:
        _require_known(name)
        return getattr(self.settings, _KNOWN[name])

    def __setattr__(self, name: str, value: Any) -> None:
        self.update(**{name: value})

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *_FIELDS]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MatchBackgroundsConfig):
            return NotImplemented
        return self.settings == other.settings

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.toDict().items())
        return f"MatchBackgroundsConfig({shown})"


def _require_known(name: str) -> None:
    if name not in _KNOWN:
        raise AttributeError(f"{name} is no setting of a match: there are {', '.join(_FIELDS)}")
