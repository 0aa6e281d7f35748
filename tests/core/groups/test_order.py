"""Law 2, order: the proof tries it ten thousand times, the tests a few."""

from __future__ import annotations

from ops.proof.laws import end_in_any_order, revision_1_in_any_order

_FEW = 50


def test_any_order_gives_the_same_revision_1() -> None:
    """With one manifest and one version a visit no order or repetition changes revision 1."""
    revision_1_in_any_order(_FEW)


def test_any_order_gives_the_same_members_and_models_in_the_end() -> None:
    """Without pin and seal any order and repetition ends with the same members and model_ids."""
    end_in_any_order(_FEW)
