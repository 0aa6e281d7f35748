"""What can be wrong with one warp."""

from __future__ import annotations

import pickle

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault


def test_the_sentence_says_reason_and_message() -> None:
    """A WarpError reads as its reason and what a person should know."""
    assert str(WarpError(WarpFault.NO_IMAGE, "the file has no MASK")) == (
        "no_image: the file has no MASK"
    )


def test_a_warp_error_travels_by_pickle() -> None:
    """Reason and message come through a pipe as they were."""
    error = pickle.loads(pickle.dumps(WarpError(WarpFault.TIMEOUT, "late")))  # noqa: S301 - ours
    assert (error.reason, error.message) == (WarpFault.TIMEOUT, "late")


def test_what_a_stranger_wrote_is_printable_and_short() -> None:
    """Control characters and endless texts of a file do not reach a terminal or a log."""
    error = WarpError(WarpFault.UNREADABLE, "\x1b[31m" + "x" * 100_000 + "\n")
    assert error.message.isprintable()
    assert len(error.message) < 310


def test_reasons_are_words() -> None:
    """Reasons are lower-case words, fit for labels and messages."""
    assert all(f.value == f.name.lower() and f.value.isidentifier() for f in WarpFault)


def test_a_storage_is_named() -> None:
    """A storage's error reads as its name and what it does; endless answers are cut."""
    error = StoreAwayError("s3://sky", "no\nanswer" + "x" * 100_000, StoreTrouble.FAILED)
    assert str(error).startswith("s3://sky: no answer")
    assert len(error.message) < 310


def test_what_is_not_there_may_come() -> None:
    """A missing file is waited for like a storage, but is not the storage's trouble."""
    error = NotThereError("/data", 0.5)
    assert isinstance(error, StoreAwayError)
    assert (error.trouble, error.pause_s) == (StoreTrouble.MISSING, 0.5)
    assert all(one.value == one.name.lower() for one in StoreTrouble)
