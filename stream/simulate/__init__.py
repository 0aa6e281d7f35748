"""A simulated survey whose truth is known."""

from __future__ import annotations

from stream.simulate.spec import BANDS, PatchBox, SurveySpec, VisitPlan
from stream.simulate.survey import SimulatedWarp, simulate

__all__ = ["BANDS", "PatchBox", "SimulatedWarp", "SurveySpec", "VisitPlan", "simulate"]
