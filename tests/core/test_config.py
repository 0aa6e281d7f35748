"""The settings: LSST's names, defaults and choices; what is impossible is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from core import ConfigError, GridStatistic, InterpStyle, MatchConfig

DEFAULTS = {
    "use_polynomial": False,
    "order": 8,
    "bad_mask_planes": ["NO_DATA", "DETECTED", "DETECTED_NEGATIVE", "SAT", "BAD", "INTRP", "CR"],
    "grid_statistic": "MEAN",
    "undersample_style": "REDUCE_INTERP_ORDER",
    "bin_size": 256,
    "interp_style": "AKIMA_SPLINE",
    "num_sigma_clip": 3,
    "num_iter": 2,
    "best_ref_weight_coverage": 0.4,
    "best_ref_weight_variance": 0.4,
    "best_ref_weight_level": 0.2,
    "approx_weighting": True,
    "grid_stdev_epsilon": 1e-8,
}
OURS = {"profile": "lsst", "best_ref_min_coverage": 0.2}


def test_defaults_are_lsst_s() -> None:
    """Without arguments the settings are those of LSST's task, in its order, then our two."""
    assert MatchConfig().to_mapping() == DEFAULTS | OURS
    assert list(MatchConfig().to_mapping()) == [*DEFAULTS, *OURS]


def test_a_mapping_goes_to_json_and_back() -> None:
    """to_mapping is plain data and from_mapping takes it back to the same settings."""
    config = MatchConfig(bin_size=64, grid_statistic=GridStatistic.MEDIAN, bad_mask_planes=("A",))
    assert MatchConfig.from_mapping(json.loads(json.dumps(config.to_mapping()))) == config


def test_choices_accept_lsst_s_strings() -> None:
    """A choice may be LSST's string and is a member of its enumeration afterwards."""
    config = MatchConfig(interp_style="CUBIC_SPLINE")  # type: ignore[arg-type]  # LSST's strings are taken
    assert config.interp_style is InterpStyle.CUBIC_SPLINE


def test_each_setting_says_what_it_may_be() -> None:
    """Every setting has words for what it takes, those in which another value is refused."""
    expected = MatchConfig.expected()
    assert list(expected) == list(MatchConfig().to_mapping())
    for name, words in expected.items():
        with pytest.raises(ConfigError) as refused:
            MatchConfig.from_mapping({name: object()})
        assert words in str(refused.value)
    assert expected["bin_size"] == "an integer, at least 1"
    assert expected["profile"] == "one of lsst, survey"


def test_settings_are_hashable_values() -> None:
    """Equal settings are equal and have one hash, lists of planes given or not."""
    listed = MatchConfig.from_mapping({"bad_mask_planes": ["BAD"]})
    assert listed == MatchConfig(bad_mask_planes=("BAD",))
    assert hash(listed) == hash(MatchConfig(bad_mask_planes=("BAD",)))


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("bin_size", "64", 64),
        ("bin_size", " 64 ", 64),
        ("grid_statistic", "MEDIAN", GridStatistic.MEDIAN),
        ("bad_mask_planes", "NO_DATA, SAT", ("NO_DATA", "SAT")),
        ("bad_mask_planes", "", ()),
        ("best_ref_weight_level", "0.5", 0.5),
        ("best_ref_weight_level", 1, 1.0),
        ("grid_stdev_epsilon", "1e-3", 1e-3),
        ("approx_weighting", "False", False),
        ("use_polynomial", "false", False),
    ],
)
def test_text_is_parsed(field: str, text: object, value: object) -> None:
    """A setting typed on a command line is read as its field's type."""
    assert getattr(MatchConfig.from_mapping({field: text}), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_polynomial", "perhaps"),
        ("use_polynomial", 1),
        ("num_sigma_clip", 2**31),
        ("num_iter", 1001),
        ("use_polynomial", 0),
        ("order", -1),
        ("bad_mask_planes", "BAD,,SAT"),
        ("bad_mask_planes", [""]),
        ("bad_mask_planes", [1]),
        ("bad_mask_planes", None),
        ("grid_statistic", "MODE"),
        ("grid_statistic", "mean"),
        ("undersample_style", "GUESS"),
        ("bin_size", 0),
        ("bin_size", -256),
        ("bin_size", 64.0),
        ("bin_size", "64.0"),
        ("bin_size", "many"),
        ("bin_size", True),
        ("bin_size", None),
        ("interp_style", "NONE"),
        ("interp_style", 3),
        ("num_sigma_clip", 0),
        ("num_iter", 0),
        ("best_ref_weight_coverage", -0.1),
        ("best_ref_weight_variance", 1.1),
        ("best_ref_weight_level", math.nan),
        ("approx_weighting", 1),
        ("approx_weighting", "perhaps"),
        ("grid_stdev_epsilon", -1e-9),
        ("grid_stdev_epsilon", math.inf),
        ("grid_stdev_epsilon", 10**400),
        ("best_ref_weight_level", 10**400),
    ],
)
def test_an_impossible_setting_is_refused_by_name(field: str, value: Any) -> None:
    """An unknown choice or impossible number is a ValueError with field, value and remedy."""
    with pytest.raises(ConfigError, match=field) as caught:
        MatchConfig.from_mapping({field: value})
    assert isinstance(caught.value, ValueError)
    assert caught.value.field == field
    assert caught.value.expected in str(caught.value)


def test_a_text_of_planes_is_not_its_letters() -> None:
    """A single string is not a sequence of one-letter planes when the settings are made."""
    with pytest.raises(ConfigError, match="bad_mask_planes"):
        MatchConfig(bad_mask_planes="BAD")  # type: ignore[arg-type]  # the mistake itself


@pytest.mark.parametrize("settings", [None, [("bin_size", 64)], "bin_size=64"])
def test_settings_that_are_no_mapping_are_refused(settings: Any) -> None:
    """What is no mapping is a ConfigError that says what would be one."""
    with pytest.raises(ConfigError, match=r"^settings = .*mapping"):
        MatchConfig.from_mapping(settings)


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    """A misspelt name is a ValueError that lists the right ones."""
    with pytest.raises(ConfigError, match=r"binsize.*bin_size"):
        MatchConfig.from_mapping({"binsize": 64})
