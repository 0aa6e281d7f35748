"""The machine's share: what the control groups allow, and no more than there is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stream.machine import Disk, Machine, disk_of
from tests.programs import not_proved

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


# -- disks -----------------------------------------------------------------------------------------


def test_a_tmpfs_is_memory() -> None:
    """A folder on it, there or not yet, is told apart from one on a disk, and knows its size."""
    shared = Path("/dev/shm")  # noqa: S108 - nothing is written there
    kinds = {mount.mountpoint: mount.fstype for mount in psutil.disk_partitions(all=True)}
    if kinds.get(str(shared)) != "tmpfs":
        not_proved(f"no tmpfs is mounted at {shared}")
    whole = Disk(shutil.disk_usage(shared).total, in_memory=True)
    assert disk_of(shared) == disk_of(shared / "not" / "there yet") == whole


MOUNTS: Sequence[tuple[str, str, bool]] = [
    ("/ ext4", "spool", False),
    ("/ tmpfs", "spool", True),
    ("/ tmpfs, HERE ext4", "spool", False),
    ("HERE/real tmpfs, / ext4", "real/planes", True),
    ("HERE/real tmpfs, / ext4", "real2/planes", False),
    ("HERE ext4, HERE tmpfs", "spool", True),
    ("HERE tmpfs, HERE ext4", "spool", False),
    ("/ ext4, HERE/real ramfs", "link/planes", True),
    ("", "spool", False),
]


@pytest.mark.parametrize(("mounts", "folder", "expected"), MOUNTS)
def test_the_mount_that_a_folder_lies_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, folder: str, *, expected: bool
) -> None:
    """It is the nearest above, links followed; of two at one place the later one, which covers."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real2").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    pairs = [one.replace("HERE", str(tmp_path)).split() for one in mounts.split(", ") if one]
    told = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in pairs]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: told)
    found = disk_of(tmp_path / folder)
    assert found == Disk(shutil.disk_usage(tmp_path).total, in_memory=expected)


def test_a_folder_is_found_from_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not begin at the root is one below the working folder."""
    monkeypatch.chdir(tmp_path)
    assert disk_of(Path("a/b")) == disk_of(tmp_path)
