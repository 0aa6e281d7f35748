"""Row 21 in quick form."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import groups
from ops.proof import simulation_matching
from ops.proof.row import Context, Terms
from ops.proof.rows import row21


def test_the_core_lives_through_a_simulation(tmp_path: Path) -> None:
    """As many steps as are asked are done, and what happened is counted."""
    result = row21.run(Terms(rounds=3000), Context(tmp_path))
    assert result.violations == ()
    assert result.figures["steps"] == 3000
    assert len(result.figures) > 10


def test_a_broken_core_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan without the least cost is found, with its seed and a schedule that shows it."""

    def worst(*_: object) -> groups.Ready:
        return groups.Ready(None, {})

    monkeypatch.setattr(simulation_matching, "next_work", worst)
    (told,) = row21.run(Terms(rounds=500), Context(tmp_path)).violations
    assert told.startswith("seed 1, episode 0 breaks: ")
    assert "replay(" in told
