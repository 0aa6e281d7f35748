"""Missing programs are told, not passed over."""

from __future__ import annotations

import pytest

from tests.programs import require_program

pytest_plugins = ["pytester"]

_SUITE = """
from tests.programs import require_program

def test_proved():
    pass

def test_one():
    require_program("no-such-program", "sudo apt-get install no-such-package")

def test_two():
    require_program("no-such-program", "sudo apt-get install no-such-package")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a suite of which two tests need a program that is not there."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest("from tests.conftest import pytest_sessionfinish")
    pytester.makepyfile(_SUITE)
    return pytester


def test_a_program_that_is_there_is_found() -> None:
    """Its path is returned."""
    assert require_program("sh", "").endswith("/sh")


@pytest.mark.parametrize("processes", [0, 2])
def test_the_last_line_says_what_was_not_proved(suite: pytest.Pytester, processes: int) -> None:
    """Elsewhere than in CI such tests skip, and the run's last line names the remedy."""
    result = suite.runpytest_inprocess("-p", "no:asyncio", "--numprocesses", str(processes))
    result.assert_outcomes(passed=1, skipped=2)
    assert result.outlines[-1] == (
        "Not proved, because skipped: 2 for: no-such-program is missing: "
        "sudo apt-get install no-such-package"
    )


def test_nothing_may_be_unproved_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With CI=true the same tests fail."""
    monkeypatch.setenv("CI", "true")
    suite.runpytest_inprocess("-p", "no:asyncio").assert_outcomes(passed=1, failed=2)
