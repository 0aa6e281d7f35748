"""Row 8 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row08

pytestmark = pytest.mark.kafka


def test_order_and_number_of_events_change_no_byte(context: Context) -> None:
    """Shuffled, multiplied or replayed from the beginning, a log has the same models."""
    result = row08.run(Terms(rounds=1, scale=0.02), context)
    assert result.violations == ()
    assert result.figures["shuffled"] != result.figures["events"]
