"""How kernels become machine code: late, once, and whatever became of the files it is kept in."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numba.core import event

from core.kernels.compile import Kernel
from tests.house import ROOT

KERNELS = '''
"""Two kernels, one of which calls the other."""

from core.kernels.compile import kernel


@kernel
def total(row):
    """Return the sum of a row."""
    found = 0.0
    for value in row:
        found += value
    return found


@kernel
def totals(plane):
    """Return the sum of a plane's inner columns."""
    found = 0.0
    for row in range(plane.shape[0]):
        found += total(plane[row, 1:-1])
    return found
'''

SINGLE = np.ones((5, 6), dtype=np.float32)
DOUBLE = np.full((5, 6), 0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a module of kernels that were never compiled."""
    (tmp_path / "sums.py").write_text(KERNELS)
    return tmp_path


def loaded(folder: Path) -> ModuleType:
    """Load the module anew, as another process would."""
    spec = importlib.util.spec_from_file_location("sums", folder / "sums.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files(folder: Path, ending: str) -> list[Path]:
    """List the files of machine code (nbc) or their indices (nbi)."""
    return sorted((folder / "__pycache__").glob(f"*.{ending}"))


@pytest.fixture
def compiled() -> Iterator[Callable[[], int]]:
    """Count what is compiled from here on."""
    with event.install_recorder("numba:compile") as recorder:
        yield lambda: sum(one.is_start for _, one in recorder.buffer)


# -- late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "modules",
    ["core, core.kernels.compile", "stream.cli", "stream.wiring, stream.commands.run, stream.demo"],
)
def test_the_parent_has_no_compiler(modules: str) -> None:
    """Neither help nor the service that feeds the workers waits for numba."""
    script = f"import sys, {modules}; print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    told = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert told.stdout.split() == ["False", "False"]


def test_a_kernel_is_its_function(folder: Path) -> None:
    """A kernel has the name and the words of its function, which can still be had as written."""
    total = loaded(folder).total
    assert isinstance(total, Kernel)
    assert (total.__name__, total.__doc__) == ("total", "Return the sum of a row.")
    assert total.py_func(SINGLE[0]) == 6


def test_kernels_call_each_other(folder: Path, compiled: Callable[[], int]) -> None:
    """A kernel is compiled at its first call, with those that it calls, and then no more."""
    module = loaded(folder)
    assert (module.totals(SINGLE), compiled()) == (20, 2)
    assert (module.totals(2 * SINGLE), compiled()) == (40, 2)


# -- once ------------------------------------------------------------------------------------------


def test_machine_code_is_kept(folder: Path, compiled: Callable[[], int]) -> None:
    """What one process has compiled beside the source, the next one finds there."""
    loaded(folder).totals(SINGLE)
    before = compiled()
    assert loaded(folder).totals(SINGLE) == 20
    assert compiled() == before


def test_a_changed_source_is_compiled_anew(folder: Path) -> None:
    """Machine code belongs to the source that it was made of."""
    assert loaded(folder).totals(SINGLE) == 20
    (folder / "sums.py").write_text(KERNELS.replace("1:-1", "1:3"))
    assert loaded(folder).totals(SINGLE) == 10


MANY = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import sums
planes = [np.ones((5, 6), np.float32), np.full((5, 6), 0.5)]
print(*(sums.totals(plane) for plane in planes[:: int(sys.argv[2])]))
"""


def test_many_may_compile_at_once(folder: Path) -> None:
    """Processes that fill one folder at the same time get right numbers and leave it whole."""
    command = [sys.executable, "-c", MANY, str(folder)]
    both = [
        subprocess.Popen([*command, step], stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own words
        for step in ("1", "-1", "1", "-1")
    ]
    told = [process.communicate()[0].split() for process in both]
    assert told == [["20.0", "10.0"], ["10.0", "20.0"]] * 2
    module = loaded(folder)
    assert (module.totals(SINGLE), module.totals(DOUBLE)) == (20, 10)


# -- whatever became of the files ------------------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scrawl(path: Path) -> None:
    path.write_bytes(b"\x80\x04no pickle" + bytes(100))


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("spoil", [_cut, _empty, _scrawl, Path.unlink, _replace_by_folder])
def test_spoilt_files_are_got_over(folder: Path, spoil: Callable[[Path], Any], ending: str) -> None:
    """Machine code that was cut short, overwritten or lost costs a compilation and nothing more."""
    loaded(folder).totals(SINGLE)
    for path in files(folder, ending):
        spoil(path)
    assert loaded(folder).totals(SINGLE) == 20
    assert loaded(folder).totals(SINGLE) == 20


def test_mended_files_are_used_again(folder: Path, compiled: Callable[[], int]) -> None:
    """A spoilt file is written anew by whoever met it."""
    loaded(folder).totals(SINGLE)
    for path in [*files(folder, "nbi"), *files(folder, "nbc")]:
        _cut(path)
    loaded(folder).totals(SINGLE)
    before = compiled()
    loaded(folder).totals(SINGLE)
    assert compiled() == before


def test_code_for_other_arguments_is_not_run(folder: Path) -> None:
    """Two entries of one index that share a file, as a race may leave them, are told apart."""
    module = loaded(folder)
    module.total(SINGLE[0])
    module.total(DOUBLE[0])
    first, second = files(folder, "nbc")
    first.write_bytes(second.read_bytes())
    assert [loaded(folder).total(row[0]) for row in (SINGLE, DOUBLE)] == [6, 3]


def test_a_disk_that_fills_up_is_got_over(folder: Path) -> None:
    """Machine code that cannot be kept is run all the same."""
    module = loaded(folder)
    module.total.compiled  # noqa: B018 - looks for its folder, and finds it writable
    shutil.rmtree(folder / "__pycache__")  # with what the interpreter keeps there
    (folder / "__pycache__").touch()
    assert module.total(SINGLE[0]) == 6


def test_nowhere_to_keep_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the source's folder nor the user's can be written, code lives in memory."""
    (folder / "__pycache__").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "sums.py"))
    assert loaded(folder).totals(SINGLE) == 20
    assert sorted(path.name for path in folder.iterdir()) == ["__pycache__", "sums.py"]
