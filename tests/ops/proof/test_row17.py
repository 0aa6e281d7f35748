"""Row 17 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row17

pytestmark = pytest.mark.kafka


def test_what_is_lost_is_refused_and_never_passed_over(context: Context) -> None:
    """Offsets may expire; records or state that are gone end the service with code 2."""
    result = row17.run(Terms(rounds=1, scale=0.2), context)
    assert result.violations == ()
    assert result.figures["starts refused"] == 2
