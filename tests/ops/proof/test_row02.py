"""Row 2 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row02

pytestmark = pytest.mark.kafka


def test_killed_at_each_point_nothing_is_lost_or_doubled(context: Context) -> None:
    """Killed once at each point of its way, the service publishes all of it, once."""
    result = row02.run(Terms(rounds=1), context)
    assert result.violations == ()
    assert result.figures["kills"] == len(row02.HOOKS)
