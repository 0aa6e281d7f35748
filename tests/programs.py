"""What a test needs beyond Python: there, or the test says which line installs it."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["not_proved", "require_program"]


def not_proved(why: str) -> NoReturn:
    """Skip the test that asks, or fail it where everything must be proved (``CI=true``)."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why} (with CI=true nothing may be left unproved)", pytrace=False)
    pytest.skip(why)


def require_program(name: str, install_line: str) -> str:
    """Return the path of a program.

    Parameters
    ----------
    name : str
        As it is called in a shell.
    install_line : str
        The line that installs it, shown where it is missing.
    """
    path = shutil.which(name)
    if path is None:
        not_proved(f"{name} is missing: {install_line}")
    return path
