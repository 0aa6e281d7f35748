"""The tree as tests of the house see it: its files, its modules, its functions."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["PACKAGES", "ROOT", "Function", "functions", "modules", "sources", "tracked"]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("core", "schemas", "stream")
"""What is installed."""


_LIST = ["/usr/bin/env", "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]


@dataclass(frozen=True)
class Function:
    """A function and how long it is: its lines without decorators and docstring."""

    file: Path
    name: str
    lines: int


@cache
def tracked() -> tuple[Path, ...]:
    """List the files of the tree: git's, or all where there is no git (an unpacked archive)."""
    try:
        listed = subprocess.run(  # noqa: S603 - our own words
            _LIST,
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return sources(*PACKAGES, "tests", "ops")
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(file for file in files if file.is_file())


def sources(*folders: str) -> tuple[Path, ...]:
    """List the Python files of some folders."""
    return tuple(file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Parse the Python files of some folders."""
    for file in sources(*folders):
        yield file, ast.parse(file.read_text())


def functions(*folders: str) -> Iterator[Function]:
    """Measure every function of some folders, those within others too."""
    for file, module in modules(*folders):
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield Function(file, node.name, _length(node))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from ``def`` to the end; a docstring may be as long as it must."""
    end = node.end_lineno or node.lineno
    first = node.body[0]
    docstring = 0
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        docstring = first.end_lineno - first.lineno + 1
    return end - node.lineno + 1 - docstring
