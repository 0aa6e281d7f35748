"""The reference material that stands beside the checkout: golden cases and real warps."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["shared_path"]

_ROOT = Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts: str) -> Path:
    """Return a path of the reference material, or skip the test that asked for it."""
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference material {'/'.join(parts)} is not beside the checkout")
    return path
