"""Where a password may come from, and what is said of one that may not: never the password."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stream.problems import Problem, SettingsError

__all__ = ["PASSWORD", "PASSWORD_FILE", "misplaced", "read_password"]

PASSWORD: Final = "sasl_password"  # noqa: S105 - the name of a setting
PASSWORD_FILE: Final = "sasl_password_file"  # noqa: S105 - the name of another

_VARIABLE: Final = "EVENSKY_SASL_PASSWORD"
_MOST_BYTES: Final = 4096


def misplaced(given: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Say where a password was given that must not be given there, or twice.

    Parameters
    ----------
    given : iterable of (str, str)
        Names of settings and where each was given. An option shows in every list of processes, a
        file of settings is copied and printed: only the environment and a file of its own will do.
    """
    places = list(given)
    for name, origin in places:
        if name == PASSWORD and origin != _VARIABLE:
            sentence = "a password may not stand there"
            remedy = f"put it into a file and name that with {PASSWORD_FILE}, or set {_VARIABLE}"
            yield Problem((PASSWORD,), sentence, remedy, (origin,))
    files = [origin for name, origin in places if name == PASSWORD_FILE]
    if files and (PASSWORD, _VARIABLE) in places:
        names, origins = (PASSWORD, PASSWORD_FILE), (_VARIABLE, files[-1])
        yield Problem(names, "the password is given twice", "take one of the two away", origins)


def read_password(path: Path, origin: str) -> str:
    """Return the password in a file: its only line, without the end of that line.

    Parameters
    ----------
    path : Path
    origin : str
        Where the file was named.

    Raises
    ------
    SettingsError
        The file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _refused(f"{path} cannot be read ({error.strerror})", origin) from None
    try:
        text = content.decode()
    except UnicodeDecodeError:  # its message would show a byte
        raise _refused(f"{path} is not UTF-8", origin) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text or len(content) > _MOST_BYTES:
        raise _refused(f"{path} does not hold one line", origin)
    return text


def _refused(sentence: str, origin: str) -> SettingsError:
    remedy = "name a file that holds the password and nothing else"
    return SettingsError((Problem((PASSWORD_FILE,), sentence, remedy, (origin,)),))
