"""Machine code of every kernel is there before there is work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core import event
from numpy.typing import NDArray

import core
from core import GridStatistic, InterpStyle, MaskedImage, MatchConfig
from tests.house import ROOT

PLANES = {"BAD": 3, "DETECTED": 7}


@pytest.fixture(scope="module", autouse=True)
def warm() -> core.WarmUp:
    """Return what the warm-up of this process found."""
    return core.warm_up()


def exposure(shape: tuple[int, int], level: float, masked: float, layout: str) -> MaskedImage:
    """Return noise with some pixels masked, in arrays as readers of files give them."""
    chance = np.random.default_rng(7)
    image = chance.normal(level, 2.0, shape).astype(np.float32)
    mask = np.where(chance.random(shape) < masked, 8, 0).astype(np.int32)
    variance = chance.uniform(3.0, 5.0, shape).astype(np.float32)
    return MaskedImage(
        laid_out(image, layout), laid_out(mask, layout), laid_out(variance, layout), PLANES
    )


def laid_out(plane: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return a plane as part of something larger, by columns, read-only, or off its alignment."""
    if layout == "cut":
        return np.pad(plane, 3)[3:-3, 3:-3]
    if layout == "columns":
        return np.asfortranarray(plane)
    if layout == "unaligned":
        room = np.empty(plane.nbytes + 1, dtype=np.uint8)[1:].view(plane.dtype)
        odd = room.reshape(plane.shape)
        odd[:] = plane
        return odd
    if layout == "read-only":
        plane.setflags(write=False)
    return plane


CONFIGS = st.builds(
    MatchConfig,
    grid_statistic=st.sampled_from(GridStatistic),
    interp_style=st.sampled_from(InterpStyle),
    undersample_style=st.sampled_from(core.UndersampleStyle),
    profile=st.sampled_from(core.FitProfile),
    approx_weighting=st.booleans(),
    use_polynomial=st.booleans(),
    order=st.integers(0, 2),
    bin_size=st.integers(20, 230),
    num_iter=st.integers(1, 4),
)
SHAPES = st.tuples(st.integers(230, 400), st.integers(230, 400))
LAYOUTS = st.sampled_from(["plain", "read-only", "cut", "columns", "unaligned"])


@settings(deadline=None, max_examples=150)
@given(config=CONFIGS, shape=SHAPES, masked=st.sampled_from([0, 0.2, 0.999]), layout=LAYOUTS)
def test_a_real_match_compiles_nothing(
    config: MatchConfig, shape: tuple[int, int], masked: float, layout: str
) -> None:
    """After the warm-up no setting, size, mask or memory layout has anything compiled."""
    reference, science = exposure(shape, 10, masked, layout), exposure(shape, 20, 0.1, "plain")
    with event.install_recorder("numba:compile") as recorder:
        for one in (reference, science):
            core.selection_statistics(one, config)
        core.select_reference([reference, science], config)
        try:
            model = core.match_background(reference, science, config, quality=True).model
            model.image()
            model.image((3, 2, 40, 50))
            model.at(np.array([1.5, 7.0]), np.array([2.0, 90.0]))
            model.extrapolated()
        except core.CoreError:
            pass
    assert [one.data for _, one in recorder.buffer] == []


# -- in other processes ----------------------------------------------------------------------------

SCRIPT = """
import hashlib, json
from importlib import import_module
from pkgutil import iter_modules
import numpy as np
import core
from core import kernels
from core.kernels.compile import Kernel

report = core.warm_up()
modules = [import_module(f"core.kernels.{one.name}") for one in iter_modules(kernels.__path__)]
found = [one for module in modules for one in vars(module).values() if isinstance(one, Kernel)]
kinds = {f"{one.__module__}.{one.__qualname__}": len(one.compiled.signatures) for one in found}
y, x = np.mgrid[:260, :250]
image = (np.sin(x * y) * 3 + 0.01 * x).astype(np.float32)
mask = np.where(np.cos(7 * x + y) > 0.8, 1, 0).astype(np.int32)
one = core.MaskedImage(image, mask, 1 + np.abs(image), {"BAD": 0})
two = core.MaskedImage(7 - image, mask, 2 + np.abs(image), {"BAD": 0})
digest = hashlib.sha256()
for words in (
    {"grid_statistic": "MEANCLIP"},
    {"grid_statistic": "MEDIAN"},
    {"use_polynomial": True, "order": 3},
    {"profile": "survey"},
):
    config = core.MatchConfig.from_mapping({"bin_size": 50, **words})
    match = core.match_background(one, two, config, quality=True)
    numbers = (match.fit_rms, match.matched_mse, match.diff_im_var, match.quality)
    digest.update(match.model.image().tobytes() + repr(numbers).encode())
print(json.dumps([report.compiled, report.loaded, report.kept, kinds, digest.hexdigest()]))
"""


@dataclass(frozen=True)
class Told:
    """What a process tells of its warm-up, how often each kernel was compiled, and its results."""

    compiled: int
    loaded: int
    kept: bool
    kinds: dict[str, int]
    digest: str


def in_another_process(**environment: str) -> Told:
    """Warm up and match in a new process."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    return Told(*json.loads(done.stdout))


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    """Run for the plainest processor twice: without machine code at hand, then with it."""
    cache = str(tmp_path_factory.mktemp("cache"))
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": cache}
    return in_another_process(**plain), in_another_process(**plain)


def test_what_was_compiled_is_loaded(processes: tuple[Told, Told]) -> None:
    """A process that finds the machine code of another compiles nothing."""
    first, second = processes
    assert (first.compiled > 0, first.loaded, first.kept) == (True, 0, True)
    assert (second.compiled, second.loaded > 0, second.kept) == (0, True, True)


def test_any_processor_gives_the_same_bits(processes: tuple[Told, Told]) -> None:
    """Code for the plainest processor gives every bit that code for ours gives."""
    ours = in_another_process()
    assert {one.digest for one in processes} == {ours.digest}


def test_no_kernel_is_left_out(processes: tuple[Told, Told]) -> None:
    """Each kernel is called by the warm-up, or by one that is."""
    assert [name for name, kinds in processes[0].kinds.items() if not kinds] == []


def test_one_machine_code_a_kernel(processes: tuple[Told, Told]) -> None:
    """Few kernels are compiled for two kinds of arguments, as every first start pays for each."""
    kinds = processes[0].kinds
    assert sum(kinds.values()) <= 1.25 * len(kinds), kinds
