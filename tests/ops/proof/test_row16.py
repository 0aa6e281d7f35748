"""Row 16 in quick form."""

from __future__ import annotations

from pathlib import Path

from ops.proof.processes import ProofError
from ops.proof.row import Context, Terms
from ops.proof.rows import row16
from tests.programs import not_proved


def test_a_full_disk_and_a_damaged_file_lose_nothing(tmp_path: Path) -> None:
    """Each is refused in so many words, and what was taken in is published afterwards."""
    try:
        with row16.small_disk(tmp_path / "may-we"):
            pass
    except ProofError as error:
        not_proved(str(error))
    result = row16.run(Terms(rounds=1, scale=0.2), Context(tmp_path))
    assert result.violations == ()
