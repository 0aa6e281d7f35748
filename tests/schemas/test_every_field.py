"""Laws over every field of every message: none is forgotten when one is added."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
import pytest

from schemas import (
    BackgroundModel,
    Message,
    SchemaError,
    decode,
    decode_value,
    encode_value,
    json_schemas,
    model_id,
    model_id_of,
)
from tests.schemas.examples import EXAMPLES, matched_model, raw, record

SCHEMAS = json_schemas()
FIELDS = [(one, name) for one in EXAMPLES for name in one.__struct_fields__]
EACH_FIELD = pytest.mark.parametrize(
    ("example", "name"), FIELDS, ids=lambda one: one if isinstance(one, str) else one.ce_type
)
EACH_TYPE = pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.ce_type)


def _plain(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = msgpack.unpackb(record(message).value)
    return found


def _definition(message: Message, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a field's definition, without its null, and those that it may refer to."""
    schema = SCHEMAS[f"{message.ce_type}.schema.json"]
    return _without_null(schema["properties"][name]), schema.get("$defs", {})


def _without_null(definition: dict[str, Any]) -> dict[str, Any]:
    choices = [one for one in definition.get("anyOf", ()) if one != {"type": "null"}]
    found: dict[str, Any] = choices[0] if choices else definition
    return found


def _refused(message: Message, name: str, value: object) -> str:
    with pytest.raises(SchemaError) as caught:
        decode_value(raw({**_plain(message), name: value}), type(message))
    return str(caught.value)


@EACH_FIELD
@pytest.mark.parametrize("value", [{1: 2}, [[[]]], msgpack.ExtType(5, b"x")], ids=repr)
def test_a_field_of_another_kind_is_refused_by_name(
    example: Message, name: str, value: object
) -> None:
    """What no field can be is refused with the field's name, or as no plain value at all."""
    sentence = _refused(example, name, value)
    assert name in sentence or "map" in sentence or "extension" in sentence


def _beyond(definition: dict[str, Any], defs: dict[str, Any]) -> Iterator[object]:
    """Yield values that the contract's limits shut out, one step behind each."""
    kind = definition.get("type")
    if kind == "string" and "contentEncoding" not in definition:
        if "maxLength" in definition:
            yield "x" * (definition["maxLength"] + 1)
        if definition.get("minLength"):
            yield "x" * (definition["minLength"] - 1)
    if kind == "array" and "items" in definition and "maxItems" in definition:
        item = _a_value(definition["items"] or definition["prefixItems"][0], defs)
        yield [item] * (definition["maxItems"] + 1)
    for limit, step in (("minimum", -1), ("maximum", 1)):
        if limit in definition:
            yield definition[limit] + step
    if "exclusiveMinimum" in definition:
        yield float(definition["exclusiveMinimum"])
    if "enum" in definition:
        yield "neither of them"


def _a_value(definition: dict[str, Any], defs: dict[str, Any]) -> object:
    if "$ref" in definition:
        wanted = defs[definition["$ref"].rpartition("/")[2]]
        required = wanted.get("required", ())
        return {name: _a_value(wanted["properties"][name], defs) for name in required}
    if "enum" in definition:
        return definition["enum"][0]
    plain = {"string": "x" * definition.get("minLength", 1), "integer": 1, "number": 1.0}
    return plain.get(definition.get("type", ""), [])


def _limits() -> Iterator[Any]:
    for example, name in FIELDS:
        for number, value in enumerate(_beyond(*_definition(example, name))):
            yield pytest.param(example, name, value, id=f"{example.ce_type}-{name}-{number}")


@pytest.mark.parametrize(("example", "name", "value"), list(_limits()))
def test_each_limit_of_the_contract_is_held(example: Message, name: str, value: object) -> None:
    """One step behind a limit of the schema a value is refused, and the field is named."""
    sentence = _refused(example, name, value)
    assert name in sentence or (len(str(value)) > 10_000 and "elements and may have" in sentence)


@EACH_TYPE
def test_unknown_fields_are_ignored_in_every_type(example: Message) -> None:
    """A newer producer may say more, at any place and depth, and is understood as far as we go."""
    encoded = record(example)
    said = _plain(example)
    richer = {"a_later_one": {"x": [1, None]}, **_enriched(said), "z_later": 2.5}
    assert richer != said
    found = decode(encoded.key, encoded.headers, raw(richer))[1]
    assert found == example
    assert type(found) is type(example)


def _enriched(value: Any) -> Any:
    """Put an unknown field into every map below the top, save the bytes' own."""
    if isinstance(value, dict):
        return {name: _with_more(_enriched(one)) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_more(_enriched(one)) for one in value]
    return value


def _with_more(value: Any) -> Any:
    return {"invented_later": 1, **value} if isinstance(value, dict) else value


@EACH_TYPE
def test_fields_may_come_in_any_order(example: Message) -> None:
    """A map has no order, so neither has a message that a stranger wrote."""
    backwards = dict(reversed(_plain(example).items()))
    assert decode_value(raw(backwards), type(example)) == example
    assert encode_value(decode_value(raw(backwards), type(example))) == record(example).value


def _other(value: Any) -> Any:
    """Return another value, of the same kind where that is easy."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case [*items]:
            return [*items, "one_more"]
        case _:
            return "something" if value is None else None


MODEL_FIELDS = BackgroundModel.__struct_fields__
SILENT = {"revision", "kind", "model_id"}


@pytest.mark.parametrize("name", MODEL_FIELDS)
def test_a_models_id_hangs_on_each_field_but_three(name: str) -> None:
    """Only revision, kind and the id itself may change under one id; every other field names."""
    fields = _plain(matched_model())
    changed = model_id_of(raw({**fields, name: _other(fields[name])}))
    assert (changed == matched_model().model_id) == (name in SILENT)
    absent = model_id_of(raw({one: value for one, value in fields.items() if one != name}))
    assert (absent == matched_model().model_id) == (name in SILENT)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, (*path, name))
    elif path:
        yield path


LEAVES = [
    path for top in ("model", "quality") for path in _leaves(_plain(matched_model())[top], (top,))
]


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_a_models_id_hangs_on_what_lies_inside(path: tuple[Any, ...]) -> None:
    """Each number, style and byte within the model and its quality is part of the name."""
    fields = copy.deepcopy(_plain(matched_model()))
    inside: Any = fields
    for name in path[:-1]:
        inside = inside[name]
    old = inside[path[-1]]
    inside[path[-1]] = old[:-1] + bytes([old[-1] ^ 1]) if isinstance(old, bytes) else _other(old)
    assert model_id_of(raw(fields)) != matched_model().model_id


def test_the_id_of_a_message_is_the_id_of_its_bytes() -> None:
    """Maker and auditor agree, whatever stands in the three fields that do not count."""
    for changes in ({}, {"revision": 7}, {"kind": "initial"}, {"flags": ()}, {"fit_rms": None}):
        model = msgspec.structs.replace(matched_model(), **changes)
        assert model_id(model) == model_id_of(encode_value(model))
