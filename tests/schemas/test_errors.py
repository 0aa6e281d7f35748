"""The errors themselves."""

from __future__ import annotations

import pickle

import pytest

from schemas import REMEDIES, Cure, DeadReason, SchemaError, StateError


def test_an_error_says_its_sentence_and_keeps_its_reason() -> None:
    """A person reads the sentence, a counter the reason."""
    error = SchemaError(DeadReason.MISROUTED, "it stands in the wrong place")
    assert (str(error), error.reason) == ("it stands in the wrong place", "misrouted")


def test_an_error_survives_the_way_between_processes() -> None:
    """An error raised in a worker arrives whole."""
    error = pickle.loads(pickle.dumps(SchemaError(DeadReason.SEALED, "too late")))  # noqa: S301 - our own bytes
    assert (type(error), str(error), error.reason) == (SchemaError, "too late", "sealed")


def test_bad_messages_and_bad_state_are_caught_apart() -> None:
    """A record that is refused must not stop the service, nor broken state be refused."""
    assert not issubclass(StateError, SchemaError)
    assert issubclass(StateError, ValueError)
    assert issubclass(SchemaError, ValueError)


def test_a_reason_is_its_name_in_lower_case() -> None:
    """Metrics carry reasons as labels: short, and from a closed set."""
    assert all(reason.value == reason.name.lower() for reason in DeadReason)


@pytest.mark.parametrize("reason", DeadReason)
def test_each_reason_has_its_remedy(reason: DeadReason) -> None:
    """Whoever finds a dead letter is told what to do about it, whatever its reason."""
    remedy = REMEDIES[reason]
    assert remedy.cure in set(Cure)
    assert len(remedy.advice.split()) >= 5
    assert remedy.advice[0].islower()
    assert remedy.advice[-1].isalnum()


def test_only_what_is_good_in_itself_is_cured_by_a_replay() -> None:
    """Wrong bytes stay wrong: a record is cured by partition, group or release, or never."""
    cured = {reason: remedy.cure for reason, remedy in REMEDIES.items()}
    assert set(cured) == set(DeadReason)
    assert {reason for reason, cure in cured.items() if cure is not Cure.NEVER} == {
        DeadReason.MISROUTED,
        DeadReason.SEALED,
        DeadReason.UNKNOWN_TYPE,
        DeadReason.UNSUPPORTED_TYPE,
    }
    assert cured[DeadReason.MISROUTED] is Cure.REPLAY
    assert cured[DeadReason.SEALED] is Cure.REOPEN
