"""Settings under LSST's names are core's settings."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import pytest

from core import ConfigError, MatchConfig
from stream.taskconfig import MatchBackgroundsConfig

LSST = {
    "usePolynomial": False,
    "order": 8,
    "badMaskPlanes": ["NO_DATA", "DETECTED", "DETECTED_NEGATIVE", "SAT", "BAD", "INTRP", "CR"],
    "gridStatistic": "MEAN",
    "undersampleStyle": "REDUCE_INTERP_ORDER",
    "binSize": 256,
    "interpStyle": "AKIMA_SPLINE",
    "numSigmaClip": 3,
    "numIter": 2,
    "bestRefWeightCoverage": 0.4,
    "bestRefWeightVariance": 0.4,
    "bestRefWeightLevel": 0.2,
    "approxWeighting": True,
    "gridStdevEpsilon": 1e-8,
}
OURS = {"profile": "lsst", "bestRefMinCoverage": 0.2}


def test_the_defaults_are_lsst_s() -> None:
    """Every setting of LSST's task is there under its name, with its default, and two of ours."""
    config = MatchBackgroundsConfig()
    assert config.toDict() == LSST | OURS
    assert config.settings == MatchConfig()
    assert set(LSST | OURS) <= set(dir(config))


@pytest.mark.parametrize(("name", "value"), [
    ("usePolynomial", True), ("order", 3), ("badMaskPlanes", ("SAT",)), ("binSize", 64),
    ("gridStatistic", "MEDIAN"), ("undersampleStyle", "THROW_EXCEPTION"), ("numIter", 5),
    ("interpStyle", "LINEAR"), ("numSigmaClip", 4), ("bestRefWeightCoverage", 0.1),
    ("bestRefWeightVariance", 0.1), ("bestRefWeightLevel", 0.1), ("approxWeighting", False),
    ("gridStdevEpsilon", 0.5), ("profile", "survey"), ("bestRefMinCoverage", 0.5),
])  # fmt: skip
def test_a_setting_is_set_and_read_under_its_name(name: str, value: Any) -> None:
    """As an argument, as an attribute, by update: it is core's setting, and no other changes."""
    config = MatchBackgroundsConfig()
    setattr(config, name, value)
    assert getattr(config, name) == value
    assert config == MatchBackgroundsConfig(**{name: value}) != MatchBackgroundsConfig()
    changed = [
        field.name
        for field in fields(MatchConfig)
        if getattr(config.settings, field.name) != getattr(MatchConfig(), field.name)
    ]
    assert [one.replace("_", "").lower() for one in changed] == [name.lower()]
    assert MatchBackgroundsConfig.of(config.toDict()) == config


def test_core_s_names_are_the_same_settings() -> None:
    """Who gives a MatchConfig may go on by its names; a setting is given under one of them."""
    config = MatchBackgroundsConfig.of(MatchConfig(bin_size=64))
    assert config.bin_size == config.binSize == 64
    config.num_iter = 5
    assert config.numIter == 5
    assert MatchBackgroundsConfig.of({"bin_size": 64, "numIter": 5}) == config
    assert set(config.toDict()) == set(LSST | OURS)
    with pytest.raises(AttributeError, match="bin_size is given under both"):
        config.update(binSize=3, bin_size=4)
    assert config.binSize == 64


@pytest.mark.parametrize("name", ["bin_Size", "binsize", "isNanSafe"])
def test_other_names_are_refused(name: str) -> None:
    """A name that is no setting is an AttributeError that lists those there are."""
    config = MatchBackgroundsConfig()
    with pytest.raises(AttributeError, match="binSize"):
        setattr(config, name, 3)
    with pytest.raises(AttributeError, match=f"{name} is no setting"):
        getattr(config, name)
    with pytest.raises(AttributeError, match=name):
        MatchBackgroundsConfig(**{name: 3})


def test_impossible_values_are_refused_at_once_and_whole() -> None:
    """A ConfigError, a ValueError, names the setting; an update is made whole or not at all."""
    config = MatchBackgroundsConfig()
    with pytest.raises(ConfigError, match="bin_size = 0"):
        config.binSize = 0
    with pytest.raises(ValueError, match="interp_style"):
        config.update(binSize=64, interpStyle="NONE")
    with pytest.raises(AttributeError):
        config.update(binSize=64, nonsense=1)
    assert config == MatchBackgroundsConfig()


def test_anything_with_the_names_will_do() -> None:
    """A MatchConfig, a mapping, and an object with toDict, as LSST's configs have it."""

    class Foreign:
        def toDict(self) -> dict[str, Any]:
            return LSST | {"binSize": 64}

    for given in (MatchConfig(bin_size=64), {"binSize": 64}, Foreign()):
        assert MatchBackgroundsConfig.of(given).settings == MatchConfig(bin_size=64)
    config = MatchBackgroundsConfig()
    assert MatchBackgroundsConfig.of(config) is config


def test_a_config_is_a_value_that_can_change() -> None:
    """It can be copied, printed and compared, and has no hash."""
    config = MatchBackgroundsConfig(binSize=64)
    twin = copy.deepcopy(config)
    twin.binSize = 32
    assert config.binSize == 64
    assert "binSize=64" in repr(config)
    assert config != 64
    with pytest.raises(TypeError):
        hash(config)
