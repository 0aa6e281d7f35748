"""``python -m schemas.generate``: write the JSON Schema files into ``schemas/json``."""

from __future__ import annotations

import sys

from schemas.contract import write_json_schemas

__all__: list[str] = []

if __name__ == "__main__":
    for path in write_json_schemas():
        sys.stdout.write(f"{path}\n")
