"""The contract that other programs rely on: JSON Schemas, generated from the message classes.

``python -m schemas.generate`` rewrites the files in ``schemas/json``.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from schemas.messages import MESSAGE_TYPES

__all__ = ["JSON_FOLDER", "json_schemas", "schema_text", "write_json_schemas"]

JSON_FOLDER: Final = Path(__file__).with_name("json")
"""Where the generated files are kept."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ENTRY: Final = re.compile(
    r"^(?P<names>\w+(?:, \w+)*) : .*\n(?P<text>(?:    .*\n?)+)", re.MULTILINE
)


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema 2020-12 of every message type, by file name.

    A schema describes the msgpack map with the same words as its JSON twin: what is ``bytes`` here
    (base64 in JSON) is msgpack's *bin*. Descriptions are those of the classes' docstrings.
    """
    return {f"{ce_type}.schema.json": _schema(ce_type) for ce_type in sorted(MESSAGE_TYPES)}


def schema_text(schema: dict[str, Any]) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema, indent=2) + "\n"


def write_json_schemas(folder: Path = JSON_FOLDER) -> list[Path]:
    """Write every schema into a folder and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in json_schemas().items():
        path = folder / name
        path.write_text(schema_text(schema), encoding="utf-8")
        written.append(path)
    return written


def _schema(ce_type: str) -> dict[str, Any]:
    kind = MESSAGE_TYPES[ce_type]
    made = msgspec.json.schema(kind)
    definitions = made["$defs"]
    for struct in _structs(kind):
        _describe(definitions[struct.__name__], struct)
    top = definitions.pop(kind.__name__)
    inner = {"$defs": definitions} if definitions else {}
    return {
        "$schema": _DIALECT,
        "$id": f"urn:evensky:schema:{ce_type}",
        **top,
        "title": ce_type,
        **inner,
    }


def _structs(kind: type[Struct]) -> Iterator[type[Struct]]:
    """Yield a message class and the Structs that its fields use."""
    found = msgspec.inspect.type_info(kind)
    pending: list[object] = [found]
    while pending:
        each = pending.pop()
        if isinstance(each, msgspec.inspect.StructType):
            yield each.cls
            pending.extend(field.type for field in each.fields)
        elif isinstance(each, msgspec.inspect.UnionType):
            pending.extend(each.types)
        elif isinstance(each, msgspec.inspect.VarTupleType):
            pending.append(each.item_type)


def _describe(definition: dict[str, Any], struct: type[Struct]) -> None:
    """Put the docstring's sentences into a definition."""
    summary = inspect.getdoc(struct) or ""
    definition["description"] = summary.partition("\n\n")[0].replace("\n", " ")
    texts = _field_texts(struct)
    for name, field in definition["properties"].items():
        field["description"] = texts[name]


def _field_texts(struct: type[Struct]) -> dict[str, str]:
    """Return what the *Attributes* sections of a class and its bases say of each field."""
    texts: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, Struct):
            for entry in _ENTRY.finditer((inspect.getdoc(base) or "") + "\n"):
                text = " ".join(entry["text"].split())
                texts.update(dict.fromkeys(entry["names"].split(", "), text))
    return texts
