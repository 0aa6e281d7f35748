"""Sentences of refusals: where, what would be right, what was found."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from schemas import DeadReason, SchemaError, decode_value
from schemas.messages import Message
from tests.schemas.examples import EXAMPLES, arrived, matched_model, raw, record

BY_TYPE = {example.ce_type: example for example in EXAMPLES}


def refusal(message: Message, **changes: object) -> SchemaError:
    """Return the refusal of a message's bytes with some fields otherwise."""
    fields = {**msgpack.unpackb(record(message).value), **changes}
    data = raw({name: item for name, item in fields.items() if item is not ...})
    with pytest.raises(SchemaError) as caught:
        decode_value(data, type(message))
    return caught.value


BAD_MESSAGE = DeadReason.BAD_MESSAGE
BAD_IDENTITY = DeadReason.BAD_IDENTITY


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"size": -1}, BAD_MESSAGE, "size: expected int >= 0, found -1"),
        ({"scale": "1"}, BAD_MESSAGE, "scale: expected float, found '1'"),
        ({"scale": True}, BAD_MESSAGE, "scale: expected float, found True"),
        ({"uri": 7}, BAD_MESSAGE, "uri: expected str, found 7"),
        ({"uri": ""}, BAD_MESSAGE, "uri: expected str of length >= 1, found ''"),
        ({"uri": ...}, BAD_MESSAGE, "uri is missing and must be there"),
        ({"shape": [1, "x"]}, BAD_MESSAGE, "shape[1]: expected int, found 'x'"),
        ({"shape": [1]}, BAD_MESSAGE, "shape: expected array of length 2, found [1]"),
        (
            {"sky": "blue"},
            BAD_MESSAGE,
            "sky: expected one of intact, restored, subtracted, unknown, found 'blue'",
        ),
        ({"visit": -3}, BAD_IDENTITY, "visit: expected int >= 0, found -3"),
        ({"visit": 1.0}, BAD_IDENTITY, "visit: expected int, found 1.0"),
        ({"visit": ...}, BAD_IDENTITY, "visit is missing and must be there"),
        ({"tract": 2**63}, BAD_IDENTITY, "tract: expected int <= 9223372036854775807, found 92"),
        ({"band": ["r"]}, BAD_IDENTITY, "band: expected str, found ['r']"),
        ({"band": "a/b"}, BAD_IDENTITY, "band must be 1 to 64 characters without '/'"),
        ({"checksum": "x" * 64}, BAD_MESSAGE, "checksum must be a sha256: 64 lower-case"),
        ({"checksum": "x" * 9}, BAD_MESSAGE, "checksum: expected str of length >= 64, found 'x"),
    ],
)
def test_a_refusal_names_the_field_the_rule_and_the_value(
    changes: dict[str, object], reason: DeadReason, sentence: str
) -> None:
    """Who wrote the producer can mend it from the sentence alone."""
    error = refusal(arrived(), **changes)
    assert error.reason is reason
    assert str(error).startswith(f"warp.arrived.v1: {sentence}")


def test_a_choice_deep_inside_is_explained_as_well() -> None:
    """The words that may stand in a field are listed wherever it is."""
    members = [{"visit": 1, "status": "fine"}]
    assert str(refusal(BY_TYPE["group.matched.v1"], members=members)) == (
        "group.matched.v1: members[0].status: expected one of failed, matched, no_overlap, "
        "reference, withdrawn, found 'fine'"
    )


@pytest.mark.parametrize("field", ["form", "interp_style"])
def test_a_choice_behind_a_null_is_explained_as_well(field: str) -> None:
    """A field that may be null has its words, too."""
    model: dict[str, Any] = msgpack.unpackb(record(matched_model()).value)["model"]
    model[field] = "crayon"
    sentence = str(refusal(matched_model(), model=model))
    assert sentence.startswith(f"background.model.v1: model.{field}: expected one of ")
    assert "spline" in sentence.lower()


def test_an_enumeration_is_explained_as_well() -> None:
    """So has a field of an enumeration."""
    sentence = str(refusal(BY_TYPE["dead.letter.v1"], reason="mood"))
    assert "bad_headers, bad_identity, bad_message" in sentence


def test_a_string_in_place_of_bytes_is_refused() -> None:
    """Bytes in msgpack are bytes: nothing is guessed to be base64."""
    sentence = str(refusal(BY_TYPE["dead.letter.v1"], value="aGk="))
    assert "value: expected bytes | null, found 'aGk='" in sentence


def test_a_value_that_is_no_map_is_named_as_such() -> None:
    """The whole value can be wrong, not only a field of it."""
    with pytest.raises(SchemaError, match="the value: expected object, found ") as caught:
        decode_value(raw([1, 2]), type(arrived()))
    assert caught.value.reason is BAD_MESSAGE


def test_what_was_found_is_shown_in_brief() -> None:
    """A sentence stays a sentence, however long the value."""
    assert len(str(refusal(arrived(), size=["x" * 100] * 50))) < 200
