"""What the machine gives this process: cores and memory, a container's limits included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

__all__ = ["Machine"]


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
    """

    cores: int
    memory_bytes: int

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
