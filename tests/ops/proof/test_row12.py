"""Row 12 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row12

pytestmark = pytest.mark.kafka


def test_a_dead_worker_costs_its_job_alone(context: Context) -> None:
    """Of workers that are killed or run out of memory, only the latter's job fails."""
    result = row12.run(Terms(rounds=2, scale=0.125), context)
    assert [one for one in result.violations if "whole again" not in one] == []  # nothing is timed
