"""A small simulated survey, the same for all tests of the folder."""

from __future__ import annotations

import pytest

from stream.simulate import SurveyManifest, SurveySpec, write_survey

_SPEC = SurveySpec(seed=3, patches=3, visits=4, bands=("r", "i"), size=128)


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> SurveyManifest:
    """Six groups of some small warps each."""
    return write_survey(_SPEC, tmp_path_factory.mktemp("survey"))
