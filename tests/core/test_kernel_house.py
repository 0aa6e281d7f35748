"""The rules of kernels, module by module: whom they call, and how they are compiled."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import CodeType, ModuleType

import pytest

import core.kernels
from core.kernels.compile import Kernel

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.iter_modules(core.kernels.__path__, prefix="core.kernels.")
]


def kernels(module: ModuleType) -> list[Kernel]:
    """Return the kernels that a module defines."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, Kernel) and value.py_func.__module__ == module.__name__
    ]


def names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function looks up, those of functions within it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names(constant)


WITH_KERNELS = [module for module in MODULES if kernels(module)]


def test_there_are_kernels() -> None:
    """The rules below are about something."""
    assert {"core.kernels.cells", "core.kernels.planes"} <= {one.__name__ for one in WITH_KERNELS}


@pytest.mark.parametrize("module", WITH_KERNELS, ids=lambda module: module.__name__)
def test_kernels_call_those_of_their_own_module_only(module: ModuleType) -> None:
    """The cache notices when a kernel's file changes, not when that of one it calls does."""
    foreign = [
        (kernel.__name__, name)
        for kernel in kernels(module)
        for name in names(kernel.py_func.__code__)
        if isinstance(found := kernel.py_func.__globals__.get(name), Kernel | ModuleType)
        and (isinstance(found, ModuleType) and found.__name__.startswith("core"))
        | (isinstance(found, Kernel) and found.py_func.__module__ != module.__name__)
    ]
    assert foreign == []


@pytest.mark.parametrize("module", WITH_KERNELS, ids=lambda module: module.__name__)
def test_arithmetic_is_as_it_is_written(module: ModuleType) -> None:
    """No kernel may reorder sums or contract products: the bits are those of any processor."""
    for kernel in kernels(module):
        options = kernel.compiled.targetoptions
        assert not options.get("fastmath"), kernel.__name__
        assert options["error_model"] == "numpy", kernel.__name__
        assert not options["boundscheck"], kernel.__name__
