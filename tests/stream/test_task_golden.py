"""The task against the output of the compiled LSST code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core import MaskedImage
from stream.task import MatchBackgroundsTask
from stream.taskbase import TaskError
from tests.core import golden
from tests.core.exposures import flat
from tests.core.test_reference import golden_exposure

pytestmark = pytest.mark.shared


class Ref:
    """A data reference to an exposure in memory."""

    def __init__(self, exposure: MaskedImage, number: int) -> None:
        self.exposure = exposure
        self.dataId = {"visit": number}

    def get(self, datasetType: str) -> MaskedImage:
        """Return the exposure."""
        assert self.datasetExists(datasetType)
        return self.exposure

    def datasetExists(self, datasetType: str) -> bool:
        """Tell whether there is one."""
        return datasetType == "warp"


class Broken:
    """The scaler of a placeholder."""

    def scaleMaskedImage(self, maskedImage: MaskedImage) -> None:
        """Fail."""
        raise RuntimeError(f"no scale for {maskedImage.shape}")


def choose(case: dict[str, Any]) -> int:
    """Return the task's choice in a case; scalers fail where LSST's failed."""
    arrays = golden.load(case["file"]) if case["n"] else {}
    failed = [number in case["placeholders"] for number in range(case["n"])]
    refs = [
        Ref(flat(np.ones((9, 9))) if fails else golden_exposure(arrays, number), number)
        for number, fails in enumerate(failed)
    ]
    scalers = [Broken() if fails else None for fails in failed]
    return MatchBackgroundsTask(case["config"]).selectRefExposure(refs, scalers, "warp")


def test_the_task_chooses_as_lsst_s_does() -> None:
    """Under LSST's own names of settings the index is LSST's, and so is the kind of error."""
    for case in golden.cases("selectRefExposure"):
        if "error" in case:
            kind = TaskError if case["n"] == 0 else golden.error_type(case["error"]["type"])
            with pytest.raises(kind):
                choose(case)
        else:
            assert choose(case) == case["result"]["index"], case["name"]


def test_the_task_matches_as_lsst_s_does() -> None:
    """The science image becomes LSST's matched one within an ulp, its figures to 1e-9."""
    for case in golden.cases("matchBackgrounds"):
        if "error" in case or "all_nan" in case["tags"] or not case["name"].startswith("a"):
            continue
        arrays = golden.load(case["file"])
        reference, science = (golden.exposure_of(arrays, name) for name in ("ref", "sci"))
        expected = science.image + arrays["model"]
        info = MatchBackgroundsTask(case["config"]).matchBackgrounds(reference, science)
        assert golden.ulps(science.image, expected, float(np.nanmax(np.abs(expected)))) <= 1
        found = [info.fitRMS, info.matchedMSE, info.diffImVar]
        np.testing.assert_allclose(found, arrays["scalars"], rtol=1e-9, atol=1e-6)
