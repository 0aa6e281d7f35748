"""The settings of a match: LSST's names in snake_case, LSST's defaults, refused when impossible."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from core.errors import ConfigError

__all__ = [
    "FitProfile",
    "GridStatistic",
    "InterpStyle",
    "MatchConfig",
    "UndersampleStyle",
    "require_config",
]


class GridStatistic(StrEnum):
    """What stands for the pixels of a bin (MATCHING.md sections 2 - 4)."""

    MEAN = "MEAN"
    MEDIAN = "MEDIAN"
    MEANCLIP = "MEANCLIP"


class InterpStyle(StrEnum):
    """How the grid becomes an image (MATCHING.md sections 5 and 6).

    Both names of the natural cubic spline are the same curve.
    """

    CONSTANT = "CONSTANT"
    LINEAR = "LINEAR"
    NATURAL_SPLINE = "NATURAL_SPLINE"
    CUBIC_SPLINE = "CUBIC_SPLINE"
    AKIMA_SPLINE = "AKIMA_SPLINE"


class UndersampleStyle(StrEnum):
    """What to do where the grid has too few values for a fit (MATCHING.md sections 5 and 7)."""

    THROW_EXCEPTION = "THROW_EXCEPTION"
    REDUCE_INTERP_ORDER = "REDUCE_INTERP_ORDER"
    INCREASE_NXNYSAMPLE = "INCREASE_NXNYSAMPLE"


class FitProfile(StrEnum):
    """Whose numbers a fit and a choice of reference are (MATCHING.md section 14)."""

    LSST = "lsst"
    SURVEY = "survey"


@dataclass(frozen=True)
class MatchConfig:
    """Settings of a match: the names, defaults and choices of LSST's MatchBackgroundsTask, and two.

    Parameters
    ----------
    use_polynomial : bool
        Fit Chebyshev polynomials (MATCHING.md section 7) instead of a spline (section 5).
    order : int
        Order of the polynomial, at least 0.
    bad_mask_planes : iterable of str
        Names of the mask planes whose pixels are not used. A plane that an exposure does not
        define is absent in it.
    grid_statistic : GridStatistic or str
        Statistic of a bin: MEAN, MEDIAN or MEANCLIP (sections 2 and 3).
    undersample_style : UndersampleStyle or str
        THROW_EXCEPTION, REDUCE_INTERP_ORDER or INCREASE_NXNYSAMPLE (for splines an exception too).
    bin_size : int
        Side of a bin in pixels, at least 1 (section 4).
    interp_style : InterpStyle or str
        CONSTANT, LINEAR, NATURAL_SPLINE (or CUBIC_SPLINE, the same) or AKIMA_SPLINE.
    num_sigma_clip : int
        Clipping limit of MEANCLIP in sigma, at least 1.
    num_iter : int
        Clipping iterations, 1 - 1000; exactly so many are made (section 3).
    best_ref_weight_coverage, best_ref_weight_variance, best_ref_weight_level : float
        Weights 0 - 1 of the terms of the reference's cost (section 9).
    approx_weighting : bool
        Weight the polynomial's bins by their errors (section 7).
    grid_stdev_epsilon : float
        Floor of a tile's standard deviation, image unit, at least 0 (section 8).
    profile : FitProfile or str
        Ours, not LSST's: ``lsst``, LSST's numbers to the bit, or ``survey``, the same with its
        known faults cured (section 14).
    best_ref_min_coverage : float
        Ours, not LSST's, and for profile ``survey`` alone: share of good pixels, 0 - 1, below
        which an exposure is not chosen as the reference.

    Raises
    ------
    ConfigError
        For an unknown choice or impossible number, naming the field (a `ValueError`).
    """

    use_polynomial: bool = False
    order: int = 8
    bad_mask_planes: tuple[str, ...] = (
        "NO_DATA",
        "DETECTED",
        "DETECTED_NEGATIVE",
        "SAT",
        "BAD",
        "INTRP",
        "CR",
    )
    grid_statistic: GridStatistic = GridStatistic.MEAN
    undersample_style: UndersampleStyle = UndersampleStyle.REDUCE_INTERP_ORDER
    bin_size: int = 256
    interp_style: InterpStyle = InterpStyle.AKIMA_SPLINE
    num_sigma_clip: int = 3
    num_iter: int = 2
    best_ref_weight_coverage: float = 0.4
    best_ref_weight_variance: float = 0.4
    best_ref_weight_level: float = 0.2
    approx_weighting: bool = True
    grid_stdev_epsilon: float = 1e-8
    profile: FitProfile = FitProfile.LSST
    best_ref_min_coverage: float = 0.2

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, rule.accept(name, getattr(self, name)))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object]) -> MatchConfig:
        """Return the settings of a mapping, whose values may be text (``{"bin_size": "64"}``).

        Parameters
        ----------
        settings : mapping of str to object
            Field name to value; what is absent has its default. Names of mask planes may be one
            text with commas.

        Returns
        -------
        config : MatchConfig
            The settings.

        Raises
        ------
        ConfigError
            If it is no mapping, for an unknown name, and as `MatchConfig` does (a `ValueError`).
        """
        if not isinstance(settings, Mapping):
            raise ConfigError("settings", settings, "a mapping of a setting's name to its value")
        arguments: dict[str, Any] = {}
        for name, value in settings.items():
            if name not in _RULES:
                raise ConfigError(str(name), value, f"one of the settings {', '.join(_RULES)}")
            arguments[name] = _RULES[name].parsed(value)
        return cls(**arguments)

    def to_mapping(self) -> dict[str, object]:
        """Return the settings as plain values in the order of the fields, fit for JSON.

        Returns
        -------
        settings : dict
            Strings, numbers, booleans and a list of names; `from_mapping` takes it back.
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @staticmethod
    def expected() -> dict[str, str]:
        """Return what each setting may be, in words.

        Returns
        -------
        expected : dict of str to str
            Field name to words such as "an integer, at least 1", in the order of the fields.
        """
        return {name: rule.expected for name, rule in _RULES.items()}


def require_config(value: object) -> None:
    """Refuse what is no configuration.

    Parameters
    ----------
    value : object
        What was given for ``config``.

    Raises
    ------
    ConfigError
        If it is not a `MatchConfig`.
    """
    if not isinstance(value, MatchConfig):
        raise ConfigError("config", value, "a core.MatchConfig (from_mapping makes one of a dict)")


@dataclass(frozen=True)
class _Rule:
    """What a field accepts: a check that raises a built-in error, and how text is read."""

    expected: str
    check: Callable[[Any], object]
    parse: Callable[[str], object]

    def accept(self, name: str, value: object) -> object:
        """Return the value as the field holds it, or refuse it by the field's name."""
        try:
            return self.check(value)
        except (ValueError, TypeError, OverflowError):  # the last: an integer beyond any double
            raise ConfigError(name, value, self.expected) from None

    def parsed(self, value: object) -> object:
        """Return what a text stands for; what it does not read is left for `accept` to refuse."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value.strip())
        except ValueError:
            return value


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _refuse_unless(condition: bool) -> None:
    if not condition:
        raise ValueError


def _flag(value: object) -> bool:
    _refuse_unless(isinstance(value, bool))
    return value is True


def _whole(minimum: int, maximum: float = math.inf) -> _Rule:
    def check(value: Any) -> int:
        """Return the value as an integer, or raise what tells that it is none that is allowed."""
        _refuse_unless(not isinstance(value, bool))
        number = operator.index(value)
        _refuse_unless(minimum <= number <= maximum)
        return number

    most = f"{minimum} - {maximum}" if math.isfinite(maximum) else f"at least {minimum}"
    return _Rule(f"an integer, {most}", check, int)


def _real(expected: str, maximum: float) -> _Rule:
    def check(value: Any) -> float:
        """Return the value as a number, or raise what tells that it is none that is allowed."""
        _refuse_unless(not isinstance(value, bool | str))
        number = float(value)
        _refuse_unless(math.isfinite(number) and 0.0 <= number <= maximum)
        return number

    return _Rule(expected, check, float)


def _choice(choices: type[StrEnum]) -> _Rule:
    return _Rule(f"one of {', '.join(choices)}", choices, str)


def _names(value: Any) -> tuple[str, ...]:
    _refuse_unless(isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping))
    names: tuple[Any, ...] = tuple(value)
    _refuse_unless(all(isinstance(name, str) and name for name in names))
    return names


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _truth(text: str) -> bool:
    _refuse_unless(text.lower() in {"true", "false"})
    return text.lower() == "true"


_MOST_SIGMA = 2**31 - 1  # LSST's setting is a C++ int
_MOST_PASSES = 1000  # each pass looks at every pixel
_WEIGHT = _real("a number, 0 - 1", 1.0)

_RULES = {
    "use_polynomial": _Rule("True or False", _flag, _truth),
    "order": _whole(0),
    "bad_mask_planes": _Rule("names of mask planes", _names, _split),
    "grid_statistic": _choice(GridStatistic),
    "undersample_style": _choice(UndersampleStyle),
    "bin_size": _whole(1),
    "interp_style": _choice(InterpStyle),
    "num_sigma_clip": _whole(1, _MOST_SIGMA),
    "num_iter": _whole(1, _MOST_PASSES),
    "best_ref_weight_coverage": _WEIGHT,
    "best_ref_weight_variance": _WEIGHT,
    "best_ref_weight_level": _WEIGHT,
    "approx_weighting": _Rule("True or False", _flag, _truth),
    "grid_stdev_epsilon": _real("a finite number, at least 0", math.inf),
    "profile": _choice(FitProfile),
    "best_ref_min_coverage": _WEIGHT,
}
