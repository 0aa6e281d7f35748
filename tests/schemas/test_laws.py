"""Laws that hold for every type: evolution, damage, repeatability, cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from schemas import (
    MESSAGE_TYPES,
    DeadReason,
    Message,
    SchemaError,
    decode,
    decode_value,
    json_schemas,
    unpack,
)
from tests.schemas.examples import EXAMPLES, arrived, raw, record
from tests.schemas.test_totality import RECORDS, field_changed

SCHEMAS = json_schemas()
EACH_TYPE = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)


def without(message: Message, name: str) -> bytes:
    """Return the value of a message that lacks a field."""
    fields = msgpack.unpackb(record(message).value)
    del fields[name]
    return raw(fields)


def optional_fields(message: Message) -> list[str]:
    """Return the fields that the contract does not require."""
    schema = SCHEMAS[f"{message.ce_type}.schema.json"]
    return [name for name in schema["properties"] if name not in schema["required"]]


@EACH_TYPE
def test_an_optional_field_may_be_absent(example: Message) -> None:
    """A producer of an earlier day, or a terse one, is understood: absent is the default."""
    loose = [name for name in optional_fields(example) if _stands_alone(example, name)]
    for name in loose:
        message = decode_value(without(example, name), type(example))
        field = next(field for field in msgspec.structs.fields(example) if field.name == name)
        assert getattr(message, name) == field.default


def _stands_alone(message: Message, name: str) -> bool:
    """Whether a rule of the message does not tie the field to another."""
    tied = {"background.model.v1": {"model"}, "background.metric.v1": {"visit"}}
    return name not in tied.get(message.ce_type, set())


@EACH_TYPE
def test_a_required_field_must_be_there(example: Message) -> None:
    """Each field that the contract requires is asked for by name."""
    for name in SCHEMAS[f"{example.ce_type}.schema.json"]["required"]:
        with pytest.raises(SchemaError, match=f"{name} is missing and must be there"):
            decode_value(without(example, name), type(example))


@EACH_TYPE
def test_a_value_cut_off_anywhere_is_refused(example: Message) -> None:
    """No part of a message is a message, and no message has anything behind it."""
    value = record(example).value
    pieces = [value[:stop] for stop in range(len(value))]
    for damaged in (*pieces, value + b"\x00", value + value):
        with pytest.raises(SchemaError) as caught:
            unpack(damaged)
        assert caught.value.reason is DeadReason.BAD_MSGPACK


@EACH_TYPE
def test_a_null_is_only_where_the_contract_has_one(example: Message) -> None:
    """Null is a value like any other: where the schema has none, neither have we."""
    schema = SCHEMAS[f"{example.ce_type}.schema.json"]
    fields = msgpack.unpackb(record(example).value)
    for name, definition in schema["properties"].items():
        nullable = {"type": "null"} in definition.get("anyOf", ())
        if not nullable:
            with pytest.raises(SchemaError, match=name):
                decode_value(raw({**fields, name: None}), type(example))


@settings(max_examples=100)
@given(field_changed())
def test_what_we_accept_the_contract_accepts(changed: tuple[int, bytes]) -> None:
    """No producer passes with us and fails its own check against the contract."""
    number, value = changed
    try:
        _, message = decode(RECORDS[number].key, RECORDS[number].headers, value)
    except SchemaError:
        return
    schema = SCHEMAS[f"{message.ce_type}.schema.json"]
    Draft202012Validator(schema).validate(json.loads(msgspec.json.encode(message)))


SCRIPT = """
import hashlib
from schemas import config_digest
from tests.schemas.examples import EXAMPLES, record

total = hashlib.sha256()
for message in EXAMPLES:
    encoded = record(message)
    total.update(encoded.key + encoded.value + repr(encoded.headers).encode())
planes = {"BAD", "SAT", "NO_DATA", "DETECTED", "CR"}
print(total.hexdigest(), config_digest({"planes": planes, "bin_size": 64}))
"""


def test_bytes_are_the_same_in_every_process() -> None:
    """Neither the process nor its hash seed has a part in the bytes."""
    outputs = {run_python(SCRIPT, PYTHONHASHSEED=seed) for seed in ("1", "2")}
    assert len(outputs) == 1


def test_the_messages_need_nothing_of_the_service() -> None:
    """Another program can import the messages alone: no loop, broker, log or core comes along."""
    names = run_python("import sys, schemas; print(*sys.modules)").split()
    heavy = {"asyncio", "aiokafka", "astropy", "scipy", "pydantic", "structlog", "stream", "core"}
    assert not heavy & {name.partition(".")[0] for name in names}


def run_python(script: str, **environment: str) -> str:
    """Return what a script prints in a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


HOSTILE = {
    "arrays in arrays": b"\xdc\x27\x10" * 80_000,
    "maps in maps": b"\xde\x00\x80\xa1a" * 50_000,
    "one long array": b"\xdc\x27\x10" + b"\xc0" * 10_000,
    "array of arrays": b"\xdc\x27\x10" + b"\x9f" * 200_000,
    "long keys": b"\xde\x00\x80" + (b"\xda\x07\xd0" + b"k" * 2000 + b"\xc0") * 128,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_takes_bounded_memory(name: str) -> None:
    """256 KiB of the worst that msgpack can claim take at most 128 MiB, for a moment."""
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError):
            decode_value(HOSTILE[name], type(arrived()))
        assert tracemalloc.get_traced_memory()[1] < 128 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_events_are_read_fast_enough() -> None:
    """An announcement is read in well under 100 us: 10,000 a second leave room for the rest."""
    encoded = record(arrived())
    start = time.process_time()
    for _ in range(2000):
        decode(encoded.key, encoded.headers, encoded.value)
    assert time.process_time() - start < 0.2


def test_every_type_says_its_name_once() -> None:
    """Class and type name belong together, one to one."""
    assert all(kind.ce_type == ce_type for ce_type, kind in MESSAGE_TYPES.items())
