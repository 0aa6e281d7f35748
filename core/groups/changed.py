"""A value of this package with some fields changed; mypy holds them to their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace
else:
    from msgspec.structs import replace  # in whose own types a field may be anything

__all__ = ["replace"]
