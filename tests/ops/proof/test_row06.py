"""Row 6 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row06

pytestmark = pytest.mark.kafka


def test_the_changelog_decides_after_an_unknown_outcome(context: Context) -> None:
    """With answers to commits late or lost, every number is written once and no half of any."""
    result = row06.run(Terms(rounds=3), context)
    assert result.violations == ()
    assert int(result.figures["unknown outcomes"]) >= 3
