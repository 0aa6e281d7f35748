"""Row 13 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row13

pytestmark = pytest.mark.kafka


def test_a_store_in_trouble_fails_nobody(context: Context) -> None:
    """A bucket that is slow, stalls, fails or refuses is waited for, and nothing else is."""
    result = row13.run(Terms(rounds=2, scale=0.05), context)
    assert result.violations == ()
