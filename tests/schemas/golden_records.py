"""Golden bytes: one file for each version of a message that was ever published.

``python -m tests.schemas.golden_records`` adds a file for each example whose record is not there
yet, and never touches one that is: what has been published must be readable for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgpack

from schemas import Encoded, Message
from tests.schemas.examples import EXAMPLES, FURTHER, raw, record

__all__ = ["FOLDER", "add_missing", "files_of", "read"]

FOLDER: Final = Path(__file__).with_name("golden")


def read(path: Path) -> Encoded:
    """Return the record that a golden file holds."""
    key, headers, value = msgpack.unpackb(path.read_bytes())
    return Encoded(key, tuple((name, text) for name, text in headers), value)


def files_of(ce_type: str, folder: Path = FOLDER) -> list[Path]:
    """Return the golden files of a type, oldest first: ``<type>.<number>.bin``."""
    return sorted(folder.glob(f"{ce_type}.*.bin"), key=lambda path: int(path.suffixes[-2][1:]))


def add_missing(
    folder: Path = FOLDER, examples: Sequence[Message] = (*EXAMPLES, *FURTHER)
) -> list[Path]:
    """Write a new file for each example that no file of its type holds; return the new ones."""
    folder.mkdir(exist_ok=True)
    added = []
    for message in examples:
        files, encoded = files_of(message.ce_type, folder), record(message)
        if all(read(path) != encoded for path in files):
            path = folder / f"{message.ce_type}.{len(files) + 1}.bin"
            path.write_bytes(raw((encoded.key, encoded.headers, encoded.value)))
            added.append(path)
    return added


if __name__ == "__main__":
    for new in add_missing():
        sys.stdout.write(f"{new}\n")
