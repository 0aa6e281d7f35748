"""Row 1 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row01

pytestmark = pytest.mark.kafka


def test_killed_owners_lose_and_double_nothing(context: Context) -> None:
    """Three owners killed at random publish each revision once, and every warp."""
    result = row01.run(Terms(rounds=2, scale=0.005), context)
    assert result.violations == ()
    assert result.figures["kills"] == 2
