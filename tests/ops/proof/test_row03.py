"""Row 3 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row03

pytestmark = pytest.mark.kafka


def test_an_owner_that_wakes_up_as_a_zombie_commits_nothing(context: Context) -> None:
    """Stopped in a job, in a publish, in its commit or before its fence; all is published once."""
    result = row03.run(Terms(rounds=len(row03.TRAPS), scale=0.2), context)
    assert result.violations == ()
    assert int(result.figures["woken"]) >= 3
