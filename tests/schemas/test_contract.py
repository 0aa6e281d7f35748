"""The JSON Schemas: generated, kept in the tree, and true of the messages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from jsonschema import Draft202012Validator

from schemas import MESSAGE_TYPES, Message, json_schemas
from schemas.contract import JSON_FOLDER, schema_text, write_json_schemas
from tests.schemas.examples import EXAMPLES, arrived

SCHEMAS = json_schemas()


def validator(message: Message) -> Draft202012Validator:
    """Return the judge of a message's type."""
    return Draft202012Validator(SCHEMAS[f"{message.ce_type}.schema.json"])


def as_json(message: Message) -> dict[str, Any]:
    """Return the JSON twin of a message: its bytes in base64."""
    fields: dict[str, Any] = json.loads(msgspec.json.encode(message))
    return fields


def test_the_tree_holds_what_is_generated() -> None:
    """The files are the contract: run ``python -m schemas.generate`` after changing a type."""
    kept = {path.name: path.read_text(encoding="utf-8") for path in JSON_FOLDER.iterdir()}
    assert kept == {name: schema_text(schema) for name, schema in SCHEMAS.items()}


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    """Generating is repeatable, and makes its folder."""
    for path in write_json_schemas(tmp_path / "new"):
        assert path.read_bytes() == (JSON_FOLDER / path.name).read_bytes()


def test_each_type_has_a_schema() -> None:
    """A file for every type, under its name."""
    assert set(SCHEMAS) == {f"{ce_type}.schema.json" for ce_type in MESSAGE_TYPES}
    for name, schema in SCHEMAS.items():
        assert f"{schema['title']}.schema.json" == name
        assert schema["$id"] == f"urn:evensky:schema:{schema['title']}"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_a_schema_of_2020_12(name: str) -> None:
    """Any validator of the draft can load it."""
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_field_is_described(name: str) -> None:
    """A stranger can write a producer from the files alone."""
    schema = SCHEMAS[name]
    for definition in [schema, *schema.get("$defs", {}).values()]:
        assert "properties" not in definition or definition["description"].endswith(".")
        for field in definition.get("properties", {}).values():
            assert re.fullmatch(r"[A-Z1-9].*\.", field["description"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)
def test_an_example_is_valid(example: Message) -> None:
    """What we send passes the contract."""
    validator(example).validate(as_json(example))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)
def test_the_fields_of_the_bytes_are_those_of_the_schema(example: Message) -> None:
    """Bytes and contract name the same fields in the same order."""
    fields = msgpack.unpackb(msgspec.msgpack.encode(example))
    assert list(fields) == list(SCHEMAS[f"{example.ce_type}.schema.json"]["properties"])


@pytest.mark.parametrize(
    "change",
    [
        {"visit": -1},
        {"visit": 1.5},
        {"band": "a/b"},
        {"band": ""},
        {"band": "a\tb"},
        {"campaign": "x" * 65},
        {"checksum": "A" * 64},
        {"checksum": "0" * 65},
        {"sky": "blue"},
        {"scale": 0},
        {"psf_fwhm": -1.5},
        {"expected": 0},
        {"shape": [1, 2, 3]},
        {"uri": None},
    ],
)
def test_the_contract_refuses_what_we_refuse(change: dict[str, Any]) -> None:
    """A producer's own check finds what would have become a dead letter."""
    assert not validator(arrived()).is_valid({**as_json(arrived()), **change})


def test_the_contract_lets_unknown_fields_pass() -> None:
    """A newer message is valid under an older schema."""
    assert validator(arrived()).is_valid({**as_json(arrived()), "later": 1})
