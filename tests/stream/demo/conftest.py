"""One small night, played once by a real service with real workers, for all tests of the demo."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import schemas
from stream.configure import load_settings
from stream.demo.night import Night, play
from stream.demo.report import Report, report
from stream.display import GroupDisplay, GroupView
from stream.settings import Settings
from stream.simulate import SurveyManifest, SurveySpec, write_survey

SIX_RULES = SurveySpec(seed=4, patches=3, visits=3, bands=("r", "i"), size=128)
"""Six groups: one for each rule of completion, and a second manifest."""


class Watching(GroupDisplay):
    """A display off any terminal that keeps all that it was shown."""

    def __init__(self) -> None:
        super().__init__(Console(file=io.StringIO(), width=200))
        self.shown: list[list[GroupView]] = []
        self.notes: list[str] = []

    def show(self, views: Any, note: str = "") -> None:
        """Keep the views and the note."""
        self.shown.append(list(views))
        self.notes.append(note)


@dataclass(frozen=True)
class Played:
    """A night that is over, and what was seen of it."""

    night: Night
    summaries: dict[str, schemas.GroupMatched]
    display: Watching


def settings_of(folder: Path, survey: SurveyManifest) -> Settings:
    """Return settings under which a night takes seconds."""
    options = {
        "log": folder / "night.db",
        "allow": (survey.directory,),
        "http": "off",
        "workers": 1,
        "quiet_s": 2,
        "deadline_s": 60,
        "match": {"bin_size": 16},
    }
    return load_settings(options, environment={})


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> SurveyManifest:
    """Write a survey with a group for each rule of completion."""
    return write_survey(SIX_RULES, tmp_path_factory.mktemp("demo") / "survey")


@pytest.fixture(scope="session")
def played(survey: SurveyManifest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play the survey to its end."""
    night = Night(survey, settings_of(tmp_path_factory.mktemp("log"), survey), 1.0, 60.0)
    display = Watching()
    return Played(night, asyncio.run(play(night, display)), display)


@pytest.fixture(scope="session")
def reported(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Check the night against its truth, and draw it."""
    folder = tmp_path_factory.mktemp("report") / "deep" / "pictures"
    night = played.night
    return asyncio.run(report(night.survey, night.settings, played.summaries, folder))
