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


class MatchBackgroundsConfig:
    """Settings of a match: attributes with LSST's names, ``config.binSize = 64``.

    Parameters
    ----------
    **settings
        By LSST's name: usePolynomial, order, badMaskPlanes, gridStatistic, undersampleStyle,
        binSize, interpStyle, numSigmaClip, numIter, bestRefWeightCoverage, bestRefWeightVariance,
        bestRefWeightLevel, approxWeighting, gridStdevEpsilon; and our own profile and
        bestRefMinCoverage. Their meaning and defaults are those of `core.MatchConfig`.

    Attributes
    ----------
    settings : core.MatchConfig
        The same, as the mathematics takes it.

    Raises
    ------
    AttributeError
        For a name that is none of these, now or when it is set.
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
            The first is returned itself; names of the last two are LSST's, as in its own config.

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
            By LSST's name.
        """
        for name in settings:
            _require_known(name)
        changes = {_FIELDS[name]: value for name, value in settings.items()}
        object.__setattr__(self, "settings", replace(self.settings, **changes))

    def toDict(self) -> dict[str, Any]:
        """Return the settings as plain values by LSST's names."""
        return {_camel_case(name): value for name, value in self.settings.to_mapping().items()}

    def __getattr__(self, name: str) -> Any:
        _require_known(name)
        return getattr(self.settings, _FIELDS[name])

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
    if name not in _FIELDS:
        raise AttributeError(f"{name} is no setting of a match: there are {', '.join(_FIELDS)}")
