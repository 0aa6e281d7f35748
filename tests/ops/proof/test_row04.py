"""Row 4 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row04

pytestmark = pytest.mark.kafka


def test_a_commit_that_a_rebalance_overtook_is_refused(context: Context) -> None:
    """A member that joins between send and commit doubles nothing; by the naive recipe it does."""
    result = row04.run(Terms(rounds=2), context)
    assert result.violations == ()
    assert int(result.figures["commits refused"]) >= 2
