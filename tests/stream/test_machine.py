"""The machine's share: what the control groups allow, and no more than there is."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from stream.machine import Machine

TOTAL = psutil.virtual_memory().total
CORES = len(os.sched_getaffinity(0))


def system(root: Path, cgroup: str, files: dict[str, str]) -> Machine:
    """Ask a made-up system."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Machine.here(root)


def test_no_control_groups(tmp_path: Path) -> None:
    """Without control groups the whole machine is ours."""
    assert Machine.here(tmp_path) == Machine(CORES, TOTAL)


def test_unlimited(tmp_path: Path) -> None:
    """The word max and a quota of -1 are no limits."""
    files = {
        "sys/fs/cgroup/memory.max": "max\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert system(tmp_path, "0::/\n", files) == Machine(CORES, TOTAL)


@pytest.mark.parametrize("limited", ["pod/box", "pod", "."])
def test_limits_above_us_count(tmp_path: Path, limited: str) -> None:
    """A limit on any group above us is a limit on us."""
    files = {f"sys/fs/cgroup/{limited}/memory.max": "1048576\n"}
    assert system(tmp_path, "0::/pod/box\n", files).memory_bytes == 1048576


def test_smallest_limit_wins(tmp_path: Path) -> None:
    """Of several limits the smallest holds."""
    files = {
        "sys/fs/cgroup/memory.max": "3000000\n",
        "sys/fs/cgroup/pod/memory.max": "2000000\n",
    }
    assert system(tmp_path, "0::/pod\n", files).memory_bytes == 2000000


def test_version_1(tmp_path: Path) -> None:
    """The older kind of control group is understood, as seen from inside a container."""
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "4194304\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    machine = system(tmp_path, "4:memory:/docker/abc\n1:cpu:/docker/abc\n", files)
    assert machine == Machine(1, 4194304)


def test_part_of_a_core_is_one(tmp_path: Path) -> None:
    """Half a core still runs one worker."""
    machine = system(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert machine.cores == 1


def test_limit_beyond_the_machine(tmp_path: Path) -> None:
    """A limit larger than the machine gives no more than the machine."""
    files = {"sys/fs/cgroup/memory.max": str(TOTAL * 2)}
    assert system(tmp_path, "0::/\n", files).memory_bytes == TOTAL
