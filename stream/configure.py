"""Settings from a file, the environment and options, each value with where it came from.

Options win over the environment, the environment over the file, the file over the defaults. The
environment is an argument, never read here: `EVENSKY_JOB_TIMEOUT_S=60`, `EVENSKY_ALLOW=/a:/b`,
`EVENSKY_MATCH__BIN_SIZE=64`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from core import MatchConfig
from stream.machine import Machine
from stream.passwords import PASSWORD, PASSWORD_FILE, misplaced, read_password
from stream.settings import Context, Problem, Settings, SettingsError

__all__ = ["PREFIX", "explain", "load_settings", "shown"]

PREFIX = "EVENSKY_"
"""What the names of our environment variables begin with."""

_MATCH = "match"
_POLICIES = "policies"
_BETWEEN_PLACES = re.compile(f"{os.pathsep}(?!(?<=s3{os.pathsep})//)")
_LIKE_OURS = 0.8  # difflib's ratio: EVENSKY_WORKER is ours misspelt, EVENSKY_SERVICE_HOST is not


@dataclass(frozen=True, slots=True)
class _Given:
    """One value as an operator gave it; ``match.bin_size`` is one name."""

    name: str
    value: object
    origin: str


def load_settings(
    options: Mapping[str, object],
    *,
    file: Path | None = None,
    environment: Mapping[str, str],
    machine: Machine | None = None,
) -> Settings:
    """Gather the settings and refuse what is impossible.

    Parameters
    ----------
    options : mapping of str to object
        Values of the command line by setting; None means not given. `match` may be a mapping.
    file : Path, optional
        A TOML file with the names of `Settings`; matching stands in its table ``[match]``.
    environment : mapping of str to str
        Usually `os.environ`.
    machine : Machine, optional
        What the settings are meant for; this one, if not given.

    Raises
    ------
    SettingsError
        Every problem found, with the name of the setting, where it was given, and the remedy.
    """
    given = [*_from_file(file), *_from_environment(environment), *_from_options(options)]
    wrong = (*_unknown(given), *misplaced((one.name, one.origin) for one in given))
    if wrong:
        raise SettingsError(wrong)
    given += [_Given(PASSWORD, *found) for found in _from_password_file(given)]
    origins = {one.name: one.origin for one in given}
    context = Context(machine or Machine.here(), origins)
    try:
        return Settings.model_validate(_nested(given), context=context)
    except ValidationError as error:
        raise SettingsError(tuple(_problems(error, origins))) from None
    except SettingsError as error:
        raise SettingsError(tuple(_placed(error.problems, origins))) from None


def explain(settings: Settings) -> str:
    """Draw a table of all settings: name, value, where it came from, what it is or takes."""
    rows = [
        (name, shown(getattr(settings, name)), settings.origin(name), field.description or "")
        for name, field in Settings.model_fields.items()
        if name != _MATCH and not (name == _POLICIES and settings.policies)
    ]
    origin = settings.origin(_POLICIES)
    rows += [
        (f"{_POLICIES}[{number}]", str(rule), origin, "its values for the groups that it names")
        for number, rule in enumerate(settings.policies, 1)
    ]
    expected = MatchConfig.expected()
    rows += [
        (f"{_MATCH}.{name}", shown(value), settings.origin(f"{_MATCH}.{name}"), expected[name])
        for name, value in settings.match_config().to_mapping().items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )


# -- the three places ------------------------------------------------------------------------------


def _from_file(file: Path | None) -> list[_Given]:
    if file is None:
        return []
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError((_unreadable(file, error),)) from None
    return [_Given(name, value, str(file)) for name, value in _flat(table)]


def _from_password_file(given: Iterable[_Given]) -> Iterator[tuple[str, str]]:
    """Yield the password in the file that was named last, and the file."""
    named = [one for one in given if one.name == PASSWORD_FILE]
    if named:
        path, origin = Path(str(named[-1].value)), named[-1].origin
        yield read_password(path, origin), str(path)


def _unreadable(file: Path, error: Exception) -> Problem:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    remedy = "give a TOML file that can be read"
    return Problem(("config",), f"{file} cannot be used ({why})", remedy, (str(file),))


def _from_environment(environment: Mapping[str, str]) -> list[_Given]:
    return [
        _Given(name.removeprefix(PREFIX).lower().replace("__", "."), value, name)
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and _is_ours(name)
    ]


def _is_ours(variable: str) -> bool:
    """Tell our variables, misspelt ones too, from those that others set with our prefix.

    Kubernetes gives every container EVENSKY_SERVICE_HOST, EVENSKY_PORT_9797_TCP and more of the
    kind for a service that is called evensky.
    """
    name = variable.removeprefix(PREFIX).lower()
    return name.startswith(f"{_MATCH}__") or bool(_similar(name))


def _from_options(options: Mapping[str, object]) -> list[_Given]:
    return [
        _Given(name, value, f"-c {name.removeprefix(_MATCH + '.')}" if "." in name else _flag(name))
        for name, value in _flat(options)
        if value is not None and value != ()
    ]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _flat(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if name == _MATCH and isinstance(value, Mapping):
            yield from ((f"{_MATCH}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


# -- from what was given to settings or sentences --------------------------------------------------


def _nested(given: Iterable[_Given]) -> dict[str, object]:
    """Let later values win, split lists of folders, and gather the matching in its own table."""
    values: dict[str, object] = {}
    match: dict[str, object] = {}
    for one in given:
        if one.name.startswith(f"{_MATCH}."):
            match[one.name.removeprefix(f"{_MATCH}.")] = one.value
        elif one.name == "allow" and isinstance(one.value, str):
            values[one.name] = [part for part in _BETWEEN_PLACES.split(one.value) if part]
        else:
            values[one.name] = one.value
    return values | ({_MATCH: match} if match else {})


def _unknown(given: Iterable[_Given]) -> Iterator[Problem]:
    for one in given:
        if one.name.partition(".")[0] in Settings.model_fields:
            continue
        near = _similar(one.name)
        remedy = f"did you mean {near[0]}?" if near else "evensky run --print-settings lists all"
        yield Problem((one.name,), "there is no such setting", remedy, (one.origin,))


def _similar(name: str) -> list[str]:
    return difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=_LIKE_OURS)


def _problems(error: ValidationError, origins: Mapping[str, str]) -> Iterator[Problem]:
    for detail in error.errors(include_url=False, include_context=False):
        name = _named(detail["loc"])
        field = Settings.model_fields[str(detail["loc"][0])]
        sentence = (
            detail["msg"]
            .removeprefix("Value error, ")
            .partition(", unable to parse")[0]
            .replace("Input", "it" if name == PASSWORD else _quoted(detail["input"]), 1)
        )
        place = _place(name, origins)
        yield Problem((name,), sentence, f"what it sets: {field.description}", (place,))


def _named(place: Sequence[int | str]) -> str:
    """Name a setting, or what a rule of ``[[policies]]`` says, counted from 1."""
    if place[0] == _POLICIES and len(place) > 1:
        _, number, *inner = place
        return ".".join((f"{_POLICIES}[{int(number) + 1}]", *map(str, inner[:1])))
    return ".".join(str(part) for part in place[:2] if isinstance(part, str))


def _place(name: str, origins: Mapping[str, str]) -> str:
    return origins.get(name.partition("[")[0], "default")


def _quoted(value: object) -> str:
    return repr(value) if isinstance(value, str) else shown(value)


def _placed(problems: Iterable[Problem], origins: Mapping[str, str]) -> Iterator[Problem]:
    for problem in problems:
        places = tuple(_place(name, origins) for name in problem.settings)
        yield replace(problem, origins=places)


def shown(value: object) -> str:
    """Return a value as an operator would write it."""
    match value:
        case None:
            return "off"
        case tuple() | list():
            return ", ".join(map(str, value)) or "none"
        case int() if not isinstance(value, bool) and value >= 2**20:
            return f"{int(value) / 2**20:g}MiB" if value < 2**30 else f"{int(value) / 2**30:g}GiB"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
