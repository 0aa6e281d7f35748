"""Settings that are possible one by one and cannot work together, each with its remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core import ConfigError, MatchConfig, UndersampleStyle
from stream.machine import Disk, Machine
from stream.problems import Problem
from stream.spool.place import laid_bytes
from stream.transport import impossible_transport

if TYPE_CHECKING:
    from stream.settings import Settings

__all__ = ["PARENT_BYTES", "fitting_workers", "impossible", "memory_left"]

_MIB: Final = 2**20
_GIB: Final = 2**30

PARENT_BYTES: Final = 448 * _MIB
"""What the process that feeds the workers needs for itself: libraries, state, messages; beside it
has `ahead_max_bytes`, 64 MiB unless given."""

_BYTES_OF_A_BIN: Final = 12  # value and error as float32, count as int32
_BYTES_OF_A_TERM: Final = 8  # a coefficient as float64
_BYTES_OF_A_MESSAGE: Final = 8192  # names, digests and scalars, generously


def impossible(settings: Settings, machine: Machine) -> Iterator[Problem]:
    """Yield each combination of settings that cannot work on a machine, with its remedy."""
    yield from _impossible_log(settings)
    yield from impossible_transport(settings)
    yield from _impossible_policies(settings)
    yield from _impossible_sizes(settings, machine)
    yield from _impossible_matching(settings)


def fitting_workers(settings: Settings, machine: Machine) -> int:
    """Return how many workers a machine has the cores and the memory for, at least 1."""
    room = machine.memory_bytes - _beside_workers(settings) - _spool_in_memory(settings, machine)
    return max(1, min(machine.cores, int(room // settings.worker_memory_bytes)))


def _impossible_log(settings: Settings) -> Iterator[Problem]:
    given = settings.model_fields_set
    if settings.bootstrap_servers is None:
        if not settings.log.resolve().parent.is_dir():
            yield Problem(("log",), f"there is no folder {settings.log.parent}", "make it first")
    elif "log" in given:
        yield Problem(
            ("log", "bootstrap_servers"),
            "the log is either a file or Kafka",
            "take one of the two away",
        )
    elif settings.session_timeout_s >= settings.broker_grace_s:
        yield Problem(
            ("session_timeout_s", "broker_grace_s"),
            f"a healthy group may be silent for {settings.session_timeout_s:g} s, and the service "
            f"would give up after {settings.broker_grace_s:g} s",
            "make broker_grace_s larger than session_timeout_s",
        )
    for root in settings.allow:
        if isinstance(root, Path) and not root.is_dir():
            yield Problem(("allow",), f"there is no folder {root}", "make it or take it away")


def _impossible_policies(settings: Settings) -> Iterator[Problem]:
    """Look at the policy of all groups, then at what each rule makes of it."""
    values = settings.policy_values()
    yield from _impossible_times(values)
    for number, rule in enumerate(settings.policies, 1):
        for problem in _impossible_times(values | rule.given):
            if rule.given.keys() & set(problem.settings):  # else all groups have it
                yield replace(problem, settings=(f"policies[{number}]",))


def _impossible_times(values: Mapping[str, Any]) -> Iterator[Problem]:
    quiet, deadline = values["quiet_s"], values["deadline_s"]
    if quiet is not None and quiet >= deadline:
        yield Problem(
            ("quiet_s", "deadline_s"),
            f"a quiet time of {quiet:g} s never ends before the deadline of {deadline:g} s",
            "make quiet_s smaller than deadline_s, or off",
        )
    most = values["update_max_s"]
    if values["update_quiet_s"] > most:
        yield Problem(
            ("update_quiet_s", "update_max_s"),
            f"an update cannot wait {values['update_quiet_s']:g} s for quiet and {most:g} s at "
            "most",
            "make update_quiet_s at most update_max_s",
        )


def _impossible_sizes(settings: Settings, machine: Machine) -> Iterator[Problem]:
    if settings.max_warp_bytes > settings.fetch_in_flight_bytes:
        yield Problem(
            ("max_warp_bytes", "fetch_in_flight_bytes"),
            "the largest warp would never fit into what may be read ahead",
            "make fetch_in_flight_bytes at least max_warp_bytes",
        )
    spool = _spool_in_memory(settings, machine)
    if spool > (left := memory_left(settings, machine)):
        needed = machine.memory_bytes - left + spool
        spooled = f", {_gib(spool)} of spool in memory" if spool else ""
        yield Problem(
            (
                "workers",
                "worker_memory_bytes",
                "fetch_in_flight_bytes",
                *(("spool_bytes",) if spool else ()),
            ),
            f"{settings.workers} x {_gib(settings.worker_memory_bytes)}, "
            f"{_gib(settings.fetch_in_flight_bytes)} read ahead{spooled} and "
            f"{_gib(_service_bytes(settings))} for the service make {_gib(needed)}, more than the "
            f"{_gib(machine.memory_bytes)} there are",
            "lower one of them or raise the container's limit",
        )
    yield from _impossible_spool(settings, machine.disk_of(settings.spool_folder))


def memory_left(settings: Settings, machine: Machine) -> int:
    """Return what memory is left to a spool on tmpfs, bytes; less than 0 if there is too little."""
    workers = settings.workers * settings.worker_memory_bytes
    return machine.memory_bytes - workers - _beside_workers(settings)


def _beside_workers(settings: Settings) -> int:
    return settings.fetch_in_flight_bytes + _service_bytes(settings)


def _spool_in_memory(settings: Settings, machine: Machine) -> int:
    return settings.spool_bytes if machine.disk_of(settings.spool_folder).in_memory else 0


def _service_bytes(settings: Settings) -> int:
    return PARENT_BYTES + settings.ahead_max_bytes


def _impossible_spool(settings: Settings, disk: Disk) -> Iterator[Problem]:
    two = 2 * laid_bytes((settings.max_warp_side_px, settings.max_warp_side_px))
    if 0 < settings.spool_bytes < two:
        yield Problem(
            ("spool_bytes", "max_warp_side_px"),
            f"two warps of {settings.max_warp_side_px} px a side take {_gib(two)} decoded, and the "
            f"spool has {_gib(settings.spool_bytes)}",
            "raise spool_bytes, lower max_warp_side_px to the survey's, or turn the spool off "
            "with 0",
        )
    if settings.spool_bytes + settings.fetch_in_flight_bytes > disk.bytes:
        yield Problem(
            ("spool_bytes", "spool_dir"),
            f"{_gib(settings.spool_bytes)} of spool and "
            f"{_gib(settings.fetch_in_flight_bytes)} read ahead do not fit on its disk, which has "
            f"{_gib(disk.bytes)}",
            "lower spool_bytes or name another spool_dir",
        )


def _impossible_matching(settings: Settings) -> Iterator[Problem]:
    try:
        config = settings.match_config()
    except ConfigError as error:
        yield _refused(error)
        return
    size = _message_bytes(config, settings.max_warp_side_px)
    if size > settings.max_message_bytes:
        yield Problem(
            ("match.bin_size", "max_warp_side_px", "max_message_bytes"),
            f"bins of {config.bin_size} px on {settings.max_warp_side_px} px make a message of "
            f"{size} bytes, more than the {int(settings.max_message_bytes)} allowed",
            "raise bin_size, lower max_warp_side_px to the survey's, or raise max_message_bytes "
            "here and on the models topic",
        )


def _message_bytes(config: MatchConfig, side: int) -> int:
    """Return how large the message of a model can become on warps of a side, in pixels."""
    bins = math.ceil(side / config.bin_size)
    terms = 0
    if config.use_polynomial:
        terms = (config.order + 1) * (config.order + 2) // 2
        if config.undersample_style is UndersampleStyle.INCREASE_NXNYSAMPLE:
            # the grid is made anew with at most so many samples a side (MATCHING.md section 7)
            bins = max(bins, config.order * config.bin_size // (config.order + 1))
    return bins**2 * _BYTES_OF_A_BIN + terms * _BYTES_OF_A_TERM + _BYTES_OF_A_MESSAGE


def _refused(error: ConfigError) -> Problem:
    known = [field.name for field in fields(MatchConfig)]
    if error.field in known:
        sentence, remedy = f"{error.value!r} is not possible", f"it must be {error.expected}"
    else:
        sentence, remedy = "there is no such setting", f"there are {', '.join(known)}"
    return Problem((f"match.{error.field}",), sentence, remedy)


def _gib(size: float) -> str:
    return f"{size / _GIB:.3g} GiB"
