"""What the package shows, and what it leans on."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import schemas

MODULES = [
    "schemas",
    *(f"schemas.{found.name}" for found in pkgutil.iter_modules(schemas.__path__)),
]


def rank(name: str) -> tuple[int, str]:
    """Return the place of a name: constants, then types, then functions."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", MODULES)
def test_all_is_true_and_sorted(name: str) -> None:
    """``__all__`` names what is there, once, in order: constants, types, functions."""
    module = importlib.import_module(name)
    assert all(hasattr(module, public) for public in module.__all__)
    assert module.__all__ == sorted(set(module.__all__), key=rank)


def test_the_package_shows_exactly_what_it_imports() -> None:
    """A name that the package brings in is public, and none is public that is not ours."""
    tree = ast.parse(Path(schemas.__file__).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == set(schemas.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_of_a_module_is_listed(name: str) -> None:
    """A function or class without an underscore is in ``__all__``."""
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {public for public in made if not public.startswith("_")} <= set(module.__all__)


def test_only_one_module_knows_msgpack() -> None:
    """Another codec would be a change of one file."""
    importers = {
        path.stem
        for path in Path(schemas.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "msgpack" for alias in node.names)
    }
    assert importers == {"wire"}
