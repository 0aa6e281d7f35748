"""Row 5 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row05

pytestmark = pytest.mark.kafka


def test_brokers_may_be_killed_in_open_transactions(context: Context) -> None:
    """With three copies, what was acknowledged outlives any one broker; all may go for a while."""
    result = row05.run(Terms(rounds=1), context)
    assert result.violations == ()
    assert result.figures["kills"] == 2
