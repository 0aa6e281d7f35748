"""When a file is at fault that its storage does not give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpFault
from stream.fetch.patience import Patience
from tests.stream.fetch.fetching import quick

STORE = "s3://sky"
LIMITS = quick(missing_grace_s=30.0, failing_grace_s=600.0, pause_s=0.1, longest_pause_s=5.0)


def failed(trouble: StoreTrouble = StoreTrouble.FAILED) -> StoreAwayError:
    """Return what a storage does."""
    return StoreAwayError(STORE, "it answers 500", trouble)


@pytest.mark.parametrize(
    "trouble", [StoreTrouble.FAILED, StoreTrouble.TIMEOUT, StoreTrouble.TRUNCATED]
)
def test_a_file_that_fails_while_others_are_given_is_at_fault(trouble: StoreTrouble) -> None:
    """After its grace, and with the storage's words."""
    patience = Patience(LIMITS)
    for second in range(600):
        assert patience.fault(failed(trouble), second, served=second) is None
    fault = patience.fault(failed(trouble), 600, served=600)
    assert fault is not None
    assert fault.reason is WarpFault.UNREADABLE
    assert "it answers 500" in fault.message


def test_nobody_is_at_fault_while_the_storage_gives_nothing() -> None:
    """It was given others before it went away, and they are no proof now."""
    patience = Patience(LIMITS)
    for second in range(300):
        assert patience.fault(failed(), second, served=second) is None
    for second in range(300, 5000):
        assert patience.fault(failed(), second, served=300) is None


def test_a_file_that_is_seldom_asked_for_has_some_chances() -> None:
    """A long time with few tries proves little."""
    patience = Patience(LIMITS)
    faults = [patience.fault(failed(), 1000.0 * n, served=n) for n in range(7)]
    assert [one is not None for one in faults] == [False] * 5 + [True] * 2


@pytest.mark.parametrize(
    ("trouble", "served"),
    [(StoreTrouble.REFUSED, 1), (StoreTrouble.AWAY, 1), (StoreTrouble.FULL, None)],
)
def test_what_is_the_storages_alone_is_no_files_fault(
    trouble: StoreTrouble, served: int | None
) -> None:
    """Keys that are refused, a storage that is not asked, a disk on which nothing can land."""
    patience = Patience(LIMITS)
    for n in range(1000):
        assert patience.fault(failed(trouble), n * 100.0, served and n) is None


def test_a_file_that_is_not_there_is_missing_after_its_grace() -> None:
    """Whatever else is given, or not."""
    patience = Patience(LIMITS)
    assert patience.fault(NotThereError(STORE), 0.0, served=0) is None
    assert patience.fault(NotThereError(STORE), 29.9, served=0) is None
    fault = patience.fault(NotThereError(STORE), 30.0, served=0)
    assert fault is not None
    assert fault.reason is WarpFault.MISSING


@given(st.lists(st.sampled_from(list(StoreTrouble)), min_size=1, max_size=30))
def test_pauses_grow_to_the_longest(troubles: list[StoreTrouble]) -> None:
    """Whatever the trouble is, nobody is asked in a hurry."""
    patience, pauses = Patience(LIMITS), list[float]()
    for trouble in troubles:
        error = failed(trouble)
        patience.fault(error, 0.0, served=0)
        pauses.append(error.pause_s)
    assert pauses == [min(0.1 * 2**n, 5.0) for n in range(len(troubles))]
