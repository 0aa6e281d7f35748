"""Options that several commands share, made from the settings that they set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from pydantic.fields import FieldInfo

from stream.configure import load_settings
from stream.settings import Settings

__all__ = ["LOG_SETTINGS", "as_json", "settings_from", "settings_options"]

F = TypeVar("F", bound=Callable[..., Any])

LOG_SETTINGS: Final = ("log", "bootstrap_servers", "topic_prefix", "partitions", "broker_grace_s")
"""Settings that say which log is meant."""

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
    chosen = [n for n in names or Settings.model_fields if n != _MATCH]

    def decorate(command: F) -> F:
        for name in reversed(chosen):
            command = _option(name, Settings.model_fields[name])(command)
        if match:
            command = _MATCH_OPTION(command)
        return _CONFIG_OPTION(command)

    return decorate


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Return the settings of a command from its parameters, the environment and its file.

    Raises
    ------
    SettingsError
        With every problem that was found.
    """
    options = {name: values[name] for name in Settings.model_fields if name in values}
    options[_MATCH] = dict(values.get("match_values") or ())
    file = values.get("config")
    return load_settings(options, file=file, environment=os.environ)


as_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")
"""The option of each command that prints facts."""


def _option(name: str, field: FieldInfo) -> Callable[[F], F]:
    default = field.get_default(call_default_factory=True)
    shown = "off" if default is None else default
    text = f"{field.description}." + (
        f" [default: {shown}]" if default not in (None, (), "") else ""
    )
    return click.option(
        f"--{name.replace('_', '-')}", name, multiple=name == "allow", metavar="VALUE", help=text
    )


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


_MATCH_OPTION = click.option(
    "-c",
    "match_values",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="How to match, in LSST's names, for example -c bin_size=64; may be repeated.",
)

_CONFIG_OPTION = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file with settings; options and EVENSKY_* variables go before it.",
)
