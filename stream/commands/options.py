"""Options that several commands share, made from the settings that they set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from stream.commands.help import option
from stream.configure import load_settings, shown
from stream.machine import Machine
from stream.policies import POLICY_SETTINGS
from stream.settings import Settings

__all__ = [
    "LOG_SETTINGS",
    "SECTIONS",
    "TRANSPORT_SETTINGS",
    "VERDICT_SETTINGS",
    "as_json",
    "settings_from",
    "settings_options",
]

F = TypeVar("F", bound=Callable[..., Any])

TRANSPORT_SETTINGS: Final = (
    "security_protocol",
    "ssl_ca_file",
    "ssl_certificate_file",
    "ssl_key_file",
    "sasl_mechanism",
    "sasl_user",
    "sasl_password_file",
)
"""Settings of the way to the brokers; not the password: options show in lists of processes."""

LOG_SETTINGS: Final = (
    "log",
    "bootstrap_servers",
    "topic_prefix",
    "partitions",
    "broker_grace_s",
    *TRANSPORT_SETTINGS,
)
"""Settings that say which log is meant, and how to come to it."""

VERDICT_SETTINGS: Final = (
    "verdict_profile",
    "verdict_max_sky_chi2",
    "verdict_sky_chi2_spread",
    "verdict_max_worst_block",
    "verdict_max_extrapolated_fraction",
    "verdict_min_coverage",
    "verdict_flags",
)
"""Settings that say which matches a coadder should not use."""

SECTIONS: Final = {
    "The log": (
        "log",
        "bootstrap_servers",
        "topic_prefix",
        "partitions",
        "app",
        "instance",
        "broker_grace_s",
        "session_timeout_s",
        "max_message_bytes",
        "state_format",
        "accept_loss",
    ),
    "The way to the brokers": TRANSPORT_SETTINGS,
    "When a group is complete": POLICY_SETTINGS,
    "The matching": ("match",),
    "The verdict on a match": VERDICT_SETTINGS,
    "Pixels and the processes that work on them": (
        "allow",
        "workers",
        "worker_memory_bytes",
        "job_timeout_s",
        "max_attempts",
        "max_due_groups",
        "ahead",
        "ahead_groups",
        "ahead_jobs",
        "ahead_max_bytes",
        "max_warp_bytes",
        "max_warp_side_px",
        "fetch_in_flight_bytes",
        "spool_dir",
        "spool_bytes",
        "missing_grace_s",
        "failing_grace_s",
        "storage_stall_s",
    ),
    "What is kept beside the log": ("local_dir", "results_max_bytes", "results_shared"),
    "The service and its operators": (
        "http",
        "grace_s",
        "log_format",
        "log_level",
        "ingest_max_records",
        "ingest_max_ms",
    ),
}
"""The settings under the headings and in the order of the help texts."""

_SECTION_OF: Final = {name: heading for heading, names in SECTIONS.items() for name in names}

_METAVARS: Final = {
    "log": "FILE",
    "bootstrap_servers": "HOST:PORT,...",
    "http": "HOST:PORT",
    "allow": "DIR|s3://...",
    "spool_dir": "DIR",
    "local_dir": "DIR",
    "results_shared": "DIR|s3://...",
    "ssl_ca_file": "FILE",
    "ssl_certificate_file": "FILE",
    "ssl_key_file": "FILE",
    "sasl_password_file": "FILE",
    "reference_margin": "NUMBER",
    "state_format": "N",
    "accept_loss": "PARTITION:OFFSET,...",
}
_UNITS: Final = {"_s": "SECONDS", "_ms": "MILLISECONDS", "_bytes": "BYTES", "_px": "PIXELS"}

_MATCH: Final = "match"


def settings_options(
    names: Iterable[str] | None = None, *, match: bool = False
) -> Callable[[F], F]:
    """Give a command ``--config`` and an option for each of the named settings.

    Parameters
    ----------
    names : iterable of str, optional
        All, if not given.
    match : bool
        Also ``-c NAME=VALUE`` for the matching.
    """
    known = set(Settings.model_fields if names is None else names)
    known = known | {_MATCH} if match else known - {_MATCH}
    chosen = [name for name in _SECTION_OF if name in known]

    def decorate(command: F) -> F:
        for name in reversed(chosen):
            one = _MATCH_OPTION if name == _MATCH else _option(name, Settings.model_fields[name])
            command = one(command)
        return _CONFIG_OPTION(command)

    return decorate


def settings_from(values: Mapping[str, Any], *, jobs: bool = False) -> Settings:
    """Return the settings of a command from its parameters, the environment and its file.

    Parameters
    ----------
    values : mapping of str to object
        Parameters of the command.
    jobs : bool
        Whether it does a service's work on this machine, which must have room for that.

    Raises
    ------
    SettingsError
        With every problem that was found.
    """
    options = {name: values[name] for name in Settings.model_fields if name in values}
    options[_MATCH] = dict(values.get("match_values") or ())
    file = values.get("config")
    machine = Machine.here() if jobs else Machine.elsewhere()
    return load_settings(options, file=file, environment=os.environ, machine=machine)


as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")
"""The option of each command that prints facts."""


def _option(name: str, field: FieldInfo) -> Callable[[F], F]:
    default = field.get_default(call_default_factory=True)
    description = field.description or ""
    text = f"{description[:1].upper()}{description[1:].rstrip('.')}."
    if name == "allow":
        text += " May be repeated."
    if default not in (None, (), ""):
        text += f" [default: {shown(default)}]"
    return option(
        _SECTION_OF[name],
        f"--{name.replace('_', '-')}",
        name,
        multiple=name == "allow",
        metavar=_metavar(name, field),
        help=text,
    )


def _metavar(name: str, field: FieldInfo) -> str:
    """Return what stands for the value in the help: its unit, its choices, or its kind."""
    if name in _METAVARS:
        return _METAVARS[name]
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    if name.startswith("verdict_"):
        return "NAME,..." if name == "verdict_flags" else "NUMBER"
    units = (unit for suffix, unit in _UNITS.items() if name.endswith(suffix))
    return next(units, "N" if field.annotation is int else "NAME")


def _pairs(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, for example bin_size=64")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


_MATCH_OPTION = option(
    _SECTION_OF[_MATCH],
    "-c",
    "match_values",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="How to match, in LSST's names, for example -c bin_size=64; may be repeated. "
    "`evensky run --print-settings` lists them.",
)

_CONFIG_OPTION = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with settings; options and EVENSKY_* variables go before it.",
)
