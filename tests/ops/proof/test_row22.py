"""Row 22 in quick form."""

from __future__ import annotations

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row22

pytestmark = pytest.mark.kafka


def test_owners_clocks_decide_nothing(context: Context) -> None:
    """An hour ahead, an hour behind, 5 s apart: what is frozen, and why, is what the log says."""
    result = row22.run(Terms(rounds=1, scale=0.1), context)
    assert result.violations == ()
    assert result.figures["revisions"] == 8
