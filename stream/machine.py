"""What the machine gives this process: cores and memory, a container's limits included."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import psutil

__all__ = ["Disk", "Machine", "disk_of"]


_ENDLESS: Final = 1 << 62
_IN_MEMORY: Final = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Disk:
    """What a folder lies on.

    Attributes
    ----------
    bytes : int
        All that fits on it, used or not.
    in_memory : bool
        Whether its files take memory and no disk: tmpfs.
    """

    bytes: int
    in_memory: bool


def disk_of(folder: Path) -> Disk:
    """Return the disk that a folder lies on, or will when it is made."""
    # not `exists`, which breaks on a folder that we may not look into
    there = next(one for one in (folder, *folder.absolute().parents) if os.access(one, os.F_OK))
    real = there.resolve()
    mounts = psutil.disk_partitions(all=True)
    holding = [mount for mount in mounts if real.is_relative_to(mount.mountpoint)]
    holding.sort(key=lambda mount: len(mount.mountpoint))  # and of equals the last one covers
    in_memory = bool(holding) and holding[-1].fstype in _IN_MEMORY
    return Disk(psutil.disk_usage(str(there)).total, in_memory)


@dataclass(frozen=True, slots=True)
class Machine:
    """The share of a machine that this process may use.

    Attributes
    ----------
    cores : int
        Cores it may run on, at least 1; a container's quota counts, rounded down.
    memory_bytes : int
        The smallest of the machine's memory and the limits of the control groups above us: what
        lies beyond it brings the kernel's OOM killer, which takes the whole container.
    disk_of : callable
        Gives the disk that a folder lies on.
    """

    cores: int
    memory_bytes: int
    disk_of: Callable[[Path], Disk] = field(default=disk_of, compare=False)

    @classmethod
    def elsewhere(cls) -> Machine:
        """Return a machine with room for all: for who speaks to a service that runs elsewhere."""
        return cls(1, _ENDLESS, lambda _: Disk(_ENDLESS, in_memory=False))

    @classmethod
    def here(cls, root: Path = Path("/")) -> Machine:
        """Ask the system.

        Parameters
        ----------
        root : Path
            Where ``proc`` and ``sys`` are mounted; tests give their own.
        """
        groups = _control_groups(root)
        limits = [limit for group in groups for limit in _memory_limits(root, group)]
        quotas = [quota for group in groups for quota in _core_quotas(root, group)]
        return cls(
            cores=max(1, min([len(os.sched_getaffinity(0)), *quotas])),
            memory_bytes=min([psutil.virtual_memory().total, *limits]),
        )


def _control_groups(root: Path) -> tuple[PurePosixPath, ...]:
    """List our control groups and those above them, relative to the hierarchy's top."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    leaves = [PurePosixPath(line.split(":", 2)[2].lstrip("/")) for line in lines]
    # A limit holds for everything below it, and inside a container the top itself is the limit.
    return tuple(sorted({group for leaf in leaves for group in (leaf, *leaf.parents)}))


def _memory_limits(root: Path, group: PurePosixPath) -> Iterator[int]:
    top = root / "sys/fs/cgroup"
    yield from _numbers(top / group / "memory.max")
    yield from _numbers(top / "memory" / group / "memory.limit_in_bytes")


def _core_quotas(root: Path, group: PurePosixPath) -> Iterator[int]:
    top = root / "sys/fs/cgroup"
    numbers = [*_numbers(top / group / "cpu.max")]
    numbers = numbers or [
        *_numbers(top / "cpu" / group / "cpu.cfs_quota_us"),
        *_numbers(top / "cpu" / group / "cpu.cfs_period_us"),
    ]
    match numbers:
        case [quota, period] if quota > 0 and period > 0:
            yield quota // period
        case _:
            pass


def _numbers(file: Path) -> Iterator[int]:
    """Yield a control file's numbers; ``max`` means that there is no limit."""
    try:
        words = file.read_text().split()
    except OSError:
        return
    if "max" not in words[:1]:
        yield from (int(word) for word in words)
