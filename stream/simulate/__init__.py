"""A simulated survey whose truth is known."""

from __future__ import annotations

from stream.simulate.command import simulate_command
from stream.simulate.layout import write_survey
from stream.simulate.manifest import (
    GroupEntry,
    SurveyError,
    SurveyManifest,
    WarpEntry,
    read_manifest,
)
from stream.simulate.spec import SurveySpec
from stream.simulate.survey import SimulatedWarp, simulate
from stream.simulate.verify import GroupCheck, Truth, check_group, group_truth

__all__ = [
    "GroupCheck",
    "GroupEntry",
    "SimulatedWarp",
    "SurveyError",
    "SurveyManifest",
    "SurveySpec",
    "Truth",
    "WarpEntry",
    "check_group",
    "group_truth",
    "read_manifest",
    "simulate",
    "simulate_command",
    "write_survey",
]
