"""The public names of the mathematics."""

from __future__ import annotations

import importlib

import pytest

import core

MODULES = [
    "background",
    "chebyshev",
    "config",
    "errors",
    "grid",
    "image",
    "interpolate",
    "matching",
    "reference",
    "statistics",
    "survey",
]

FIXED = {
    "MaskedImage",
    "MatchConfig",
    "match_background",
    "match_backgrounds",
    "select_reference",
    "NoOverlapError",
    "Match",
    "ReferenceChoice",
    "Background",
    "ChebyshevBackground",
    "SplineBackground",
    "SelectionStatistics",
    "selection_statistics",
    "reference_costs",
    "MatchResult",
    "NoReferenceError",
    "NoExposuresError",
    "NUMERICS_VERSION",
}

NOT_OF_THE_MATERIAL = {
    "NUMERICS_VERSION",
    "Scaler",
    "WarmUp",
    "warm_up",
    "CoreError",
    "ConfigError",
    "ImageError",
    "ImageTypeError",
    "ModelOverflowError",
}
"""What has no docstring, or nothing to do with the formulas."""


def test_names_that_other_programs_rely_on_are_there() -> None:
    """The names fixed for other programs are public names of core."""
    assert set(core.__all__) >= FIXED


@pytest.mark.parametrize("module", [core, *(f"core.{name}" for name in MODULES)], ids=str)
def test_all_is_true(module: object) -> None:
    """A module's __all__ names what is there, once each."""
    loaded = importlib.import_module(module) if isinstance(module, str) else module
    names = loaded.__all__  # type: ignore[attr-defined]  # a module found by name
    assert len(names) == len(set(names))
    assert all(hasattr(loaded, name) for name in names)


def test_errors_are_all_public() -> None:
    """Whatever the mathematics can raise can be caught by its name in core."""
    assert set(importlib.import_module("core.errors").__all__) <= set(core.__all__)


@pytest.mark.parametrize("name", sorted(set(core.__all__) - NOT_OF_THE_MATERIAL))
def test_what_is_public_names_its_source(name: str) -> None:
    """Whoever doubts a number is told which section it comes of."""
    assert "MATCHING.md" in (getattr(core, name).__doc__ or "")
