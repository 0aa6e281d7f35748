"""A survey small enough for a test, simulated once."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.simulate import SimulatedWarp, SurveyManifest, SurveySpec, simulate, write_survey

TINY = SurveySpec(seed=3, patches=2, visits=5, bands=("r", "i"), size=192)


@pytest.fixture(scope="session")
def spec() -> SurveySpec:
    """Two patches, five visits, two bands, 192 pixels."""
    return TINY


@pytest.fixture(scope="session")
def warps() -> list[SimulatedWarp]:
    """Every warp of the tiny survey."""
    return list(simulate(TINY))


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> SurveyManifest:
    """Write the tiny survey to disk."""
    directory: Path = tmp_path_factory.mktemp("survey") / "night"
    return write_survey(TINY, directory)
