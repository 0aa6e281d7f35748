"""Row 9 in quick form."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.proof.row import Context, Terms
from ops.proof.rows import row09


def test_order_does_not_matter(tmp_path: Path) -> None:
    """Both halves of the law are tried as often as is asked."""
    result = row09.run(Terms(rounds=20), Context(tmp_path))
    assert result.violations == ()
    assert result.figures == {"examples of each half": 20}


def test_an_order_that_matters_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half that does not hold is a violation with its seed; the other is tried as well."""
    tried: list[int] = []

    def broken(examples: int, _: int) -> None:
        tried.append(examples)
        raise AssertionError("one is not the other")

    monkeypatch.setattr(row09, "_HALVES", {"revision 1": broken, "the end": broken})
    result = row09.run(Terms(rounds=3, seed=5), Context(tmp_path))
    assert tried == [3, 3]
    assert result.violations[0] == "revision 1, seed 5: one is not the other"
