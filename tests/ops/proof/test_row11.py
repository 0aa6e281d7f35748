"""Row 11 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row11

pytestmark = pytest.mark.kafka


def test_poison_costs_a_letter_or_its_own_warp(context: Context) -> None:
    """Each bad message has one dead letter, each bad warp fails alone, and the service lives."""
    result = row11.run(Terms(rounds=1), context)
    # Nothing is timed, and a reference is still chosen without a look at its shape.
    open_ = ("a healthy group waited", row11.LARGER)
    assert [one for one in result.violations if not one.startswith(open_)] == []
    assert int(result.figures["kinds of messages"]) > 25
