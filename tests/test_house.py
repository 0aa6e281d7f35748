"""The rules of the house that no linter holds."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import statistics
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from types import ModuleType

import pytest

from tests.house import PACKAGES, ROOT, functions, modules, sources, tracked

MODULES = sorted(
    found.name
    for package in PACKAGES
    for found in pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


# -- size ------------------------------------------------------------------------------------------


def test_functions_are_short() -> None:
    """Half of the functions have 8 lines at most, nine of ten 25, and none more than 50."""
    lines = sorted(function.lines for function in functions(*PACKAGES))
    assert statistics.median(lines) <= 8
    assert lines[len(lines) * 9 // 10] <= 25


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "ops"])
def test_no_function_is_long(folder: str) -> None:
    """No function has more than 50 lines, tests and tools included."""
    assert [function for function in functions(folder) if function.lines > 50] == []


def test_no_file_is_long() -> None:
    """No file has 500 lines or more."""
    lengths = {file: len(file.read_text().splitlines()) for file in sources(*PACKAGES, "tests")}
    assert {file: length for file, length in lengths.items() if length >= 500} == {}


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_ours_alone(package: str) -> None:
    """The top-level names, generic as they are, belong to no other distribution."""
    assert set(packages_distributions().get(package, [])) <= {"evensky"}
    assert Path(str(importlib.import_module(package).__file__)).parent == ROOT / package


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_and_true(name: str) -> None:
    """What a module defines for others stands in its __all__, sorted, and is there."""
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    listed: list[str] = list(getattr(module, "__all__", []))
    assert listed == sorted(listed, key=_ruffs_order)
    assert [one for one in listed if not hasattr(module, one)] == []
    assert set(_defined(module)) <= set(listed)


def _ruffs_order(name: str) -> tuple[int, str]:
    """Sort constants before classes before functions, as ruff does."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def _defined(module: ModuleType) -> Iterator[str]:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node.name


# -- what is not done here -------------------------------------------------------------------------

SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore|pragma|mypy:|ruff:)(.*)")
ARGUED = re.compile(r"(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w, -]+\])\s+[#-]\s+.{4,}")


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "ops"])
def test_suppressions_argue_their_case(folder: str) -> None:
    """Whoever silences a checker names the rule and gives a reason on the same line."""
    unargued = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sources(folder)
        for line in file.read_text().splitlines()
        for found in SUPPRESSION.finditer(line)
        if "SUPPRESSION" not in line and not ARGUED.match(found.group(2))
    ]
    assert unargued == []


def _forbidden() -> Iterator[str]:
    """Yield names of machines and registries, put together so that they are not in this file."""
    yield from ("/" + folder + "/" for folder in ("work", "root", "home"))
    yield "opt/" + "wheels"
    yield r"\.lib" + "rary"
    halves = (("py", "pi"), ("python", "hosted"), ("npm", "js"), ("repo1?.mav", "en"))
    yield from (re.escape(first + second).replace(r"\?", "?") + r"\." for first, second in halves)
    yield "mav" + "en2/"


@pytest.mark.parametrize("pattern", list(_forbidden()))
def test_no_machine_leaks(pattern: str) -> None:
    """Nothing in the tree names a machine's folders or a registry's host."""
    wanted = re.compile(pattern)
    found = [
        str(file.relative_to(ROOT))
        for file in tracked()
        if file != Path(__file__) and wanted.search(file.read_bytes().decode("latin-1"))
    ]
    assert found == []


def test_one_module_knows_kafka() -> None:
    """Every import of the Kafka client stands in one place."""
    assert {_area(file) for file in _importers("aiokafka")} == {"stream/log/kafka"}


def test_one_module_knows_msgpack() -> None:
    """Every import of msgpack stands in one module."""
    assert {str(file.relative_to(ROOT)) for file in _importers("msgpack")} == {"schemas/wire.py"}


def _area(file: Path) -> str:
    """Name a module, or the family of modules that it was split into."""
    return re.sub(r"_\w+$", "", str(file.relative_to(ROOT).with_suffix("")))


def _importers(library: str) -> Iterator[Path]:
    for file, module in modules(*PACKAGES):
        if any(name.partition(".")[0] == library for name in _imports(module)):
            yield file


def _imports(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


SETS_THREADS = Path("stream/onethread.py")
"""Sets variables, and reads none, before a worker imports numpy: that is all it is for."""


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_environment_at_import(folder: str) -> None:
    """Importing a module reads no environment variable."""
    readers = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, module in modules(folder)
        if file.relative_to(ROOT) != SETS_THREADS
        for node in _run_at_import(module)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    ]
    assert readers == []


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what an import executes: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in [*child.decorator_list, child.args]:
                yield from ast.walk(part)
        elif not isinstance(child, ast.Lambda):
            yield from _run_at_import(child)


def test_no_mocks() -> None:
    """Tests stand fakes at the seams; nothing is patched by a mocking library."""
    mocking = {"mock", "unittest", "pytest_mock"}
    users = [
        str(file.relative_to(ROOT))
        for file, module in modules("tests")
        if any(name.partition(".")[0] in mocking for name in _imports(module))
    ]
    assert users == []


def test_tests_are_packages() -> None:
    """Every folder with tests is a package, else tests/core would shadow core."""
    folders = {file.parent for file in sources("tests")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


# -- the package -----------------------------------------------------------------------------------


def test_facts() -> None:
    """The distribution says what it is, and that it is not for a public index."""
    metadata = distribution("evensky").metadata
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Private :: Do Not Upload" in metadata.get_all("Classifier", [])
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")


def test_one_command() -> None:
    """The command evensky is the only script."""
    scripts = [entry for entry in distribution("evensky").entry_points if entry.value]
    assert [(entry.group, entry.name) for entry in scripts] == [("console_scripts", "evensky")]


@pytest.mark.parametrize("package", PACKAGES)
def test_typed(package: str) -> None:
    """Each package tells type checkers that it is typed."""
    assert (ROOT / package / "py.typed").exists()


def test_version_has_its_changes() -> None:
    """The changelog has a section for the version, and one for what comes next."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{distribution('evensky').version}]" in changelog
    assert "## [Unreleased]" in changelog
