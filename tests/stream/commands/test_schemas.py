"""`evensky schemas`: the contract, printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import schemas
from tests.stream.commands.conftest import Say


@pytest.mark.parametrize("name", sorted(schemas.MESSAGE_TYPES))
def test_one_type(name: str, say: Say) -> None:
    """The schema of a type is valid JSON Schema 2020-12 and names itself."""
    said = say("schemas", name)
    assert said.code == 0
    schema = json.loads(said.out)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert name in schema["$id"]


def test_all_written(say: Say) -> None:
    """With -o there is one file a type."""
    assert say("schemas", "-o", "new/folder").code == 0
    names = {path.name for path in Path("new/folder").iterdir()}
    assert names == {f"{name}.schema.json" for name in schemas.MESSAGE_TYPES}
