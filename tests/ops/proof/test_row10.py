"""Row 10 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row10

pytestmark = pytest.mark.kafka


def test_a_log_says_the_same_at_any_speed(context: Context) -> None:
    """Lived through, and read again a hundred times as fast and at once, a log has one history."""
    faster = {name: row10.SPEEDS[name] for name in ("x 100", "unlimited")}
    result = row10.replayed(Terms(rounds=6, scale=0.1), context, faster)
    assert result.violations == ()
