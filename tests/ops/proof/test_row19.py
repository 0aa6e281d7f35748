"""Row 19 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row19

pytestmark = pytest.mark.kafka


def test_asked_to_stop_it_stops_and_loses_nothing(context: Context) -> None:
    """With time for its job the service publishes it, without time it leaves it due."""
    result = row19.run(Terms(rounds=3), context)
    assert [one for one in result.violations if "it took" not in one] == []  # nothing is timed
