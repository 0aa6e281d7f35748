"""Row 2 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row02

# Those that only Kafka has, and those after which nobody knows how a commit ended.
HOOKS = ("job.in", "ingest.written", "publish.written", "take.fenced")

pytestmark = pytest.mark.kafka


def test_killed_at_each_point_nothing_is_lost_or_doubled(context: Context) -> None:
    """Killed once at each point of its way, the service publishes all of it, once.

    The other half of the row, a job that kills its process each time, is tests/e2e/test_killers.py.
    """
    result = row02.kill_at(Terms(rounds=1), context, HOOKS)
    assert result.violations == ()
    assert result.figures["kills"] == len(HOOKS)
