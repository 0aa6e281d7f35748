"""What has been published stays readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from schemas import MESSAGE_TYPES, BackgroundModel, decode, encode, model_id_of
from tests.schemas.examples import EXAMPLES, FURTHER, arrived, record
from tests.schemas.golden_records import FOLDER, add_missing, files_of, read

FILES = sorted(FOLDER.glob("*.bin"))


def test_every_type_has_golden_bytes() -> None:
    """No type is published without a file; ``python -m tests.schemas.golden_records`` adds it."""
    assert {path.name.rsplit(".", 2)[0] for path in FILES} == set(MESSAGE_TYPES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_bytes_decode(path: Path) -> None:
    """Whatever version wrote them, the bytes are a message, and nothing of them is lost."""
    golden = read(path)
    attributes, message = decode(golden.key, golden.headers, golden.value)
    again = encode(message, id=attributes.id, source=attributes.source, time=attributes.time)
    assert (again.key, again.headers) == (golden.key, golden.headers)
    assert _stands_in(msgpack.unpackb(golden.value), msgpack.unpackb(again.value))


def _stands_in(old: Any, new: Any) -> bool:
    """Whether what was written stands in what is written now, at whatever depth."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _stands_in(value, new[name]) for name, value in old.items())
    return bool(old == new)


@pytest.mark.parametrize("ce_type", MESSAGE_TYPES)
def test_the_newest_golden_bytes_are_written_again(ce_type: str) -> None:
    """Today's bytes of today's example are those that are kept."""
    golden = read(files_of(ce_type)[-1])
    attributes, message = decode(golden.key, golden.headers, golden.value)
    again = encode(message, id=attributes.id, source=attributes.source, time=attributes.time)
    assert again == golden


@pytest.mark.parametrize("example", [*EXAMPLES, *FURTHER], ids=lambda example: example.ce_type)
def test_an_example_has_its_golden_bytes(example: object) -> None:
    """A change of a type's bytes shows here, and needs a new file, never another old one."""
    assert record(example) in [read(path) for path in files_of(example.ce_type)]  # type: ignore[arg-type,attr-defined]  # examples are of all types


def test_old_models_are_lssts() -> None:
    """A model of the days before there were profiles is rebuilt by LSST's rules."""
    golden = read(files_of("background.model.v1")[0])
    assert "profile" not in msgpack.unpackb(golden.value)["model"]
    message = decode(golden.key, golden.headers, golden.value)[1]
    assert isinstance(message, BackgroundModel)
    assert message.model is not None
    assert message.model.profile == "lsst"


@pytest.mark.parametrize("path", files_of("background.model.v1"), ids=lambda path: path.stem)
def test_a_golden_models_id_recomputes(path: Path) -> None:
    """An id once published proves its bytes for ever."""
    value = read(path).value
    assert model_id_of(value) == msgpack.unpackb(value)["model_id"]


def test_adding_golden_bytes_never_touches_old_ones(tmp_path: Path) -> None:
    """The command adds what is new, once, under the next number."""
    (first,) = add_missing(tmp_path, [arrived()])
    before = first.read_bytes()
    assert add_missing(tmp_path, [arrived()]) == []
    (second,) = add_missing(tmp_path, [arrived(visit=9)])
    assert [path.name for path in (first, second)] == [
        "warp.arrived.v1.1.bin",
        "warp.arrived.v1.2.bin",
    ]
    assert first.read_bytes() == before
    assert files_of("warp.arrived.v1", tmp_path) == [first, second]
