"""What runs, as it is found after a kill: by the next process, and by one alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream.ledger import Entry, Ledger, dead_ledgers
from tests.house import ROOT

SERVICE = "0123456789abcdef"


def entry(number: int, **changes: object) -> Entry:
    """Return an entry of its own."""
    fields = {"job": f"{number:064x}", "group": "live/rings/7/3/r", "visit": number}
    return Entry(**{**fields, "alone": False, "at": 1_000_000 + number, **changes})  # type: ignore[arg-type]  # they are what they must be


def found(folder: Path, service: str = SERVICE) -> list[list[Entry]]:
    """Return what each dead process left, and have it forgotten."""
    with dead_ledgers(folder, service) as dead:
        return [list(one.entries) for one in dead]


KILLED = """
    import os, signal, sys
    from contextlib import ExitStack
    from pathlib import Path
    from stream.ledger import Ledger
    from tests.stream.test_ledger import SERVICE, entry
    ledger = Ledger(Path(sys.argv[1]), SERVICE)
    over = ledger.listed(entry(9))
    with over:
        pass
    with ExitStack() as running:
        for number in (1, 2, 3):
            running.enter_context(ledger.listed(entry(number)))
        print("running", flush=True)
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        sys.stdin.read()
    ledger.close()
"""


@contextmanager
def process(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has three jobs at work."""
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), how]
    with subprocess.Popen(  # noqa: S603 - our own words
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "running\n"
            yield running
        finally:
            running.kill()


def test_a_kill_leaves_what_ran(tmp_path: Path) -> None:
    """The next process finds the jobs that ran, not those that were over, and finds them once."""
    with process(tmp_path, "kill") as killed:
        assert killed.wait() == -signal.SIGKILL
    assert found(tmp_path) == [[entry(1), entry(2), entry(3)]]
    assert found(tmp_path) == []


def test_the_living_are_left_alone(tmp_path: Path) -> None:
    """What a process that lives, or is only stopped, has at work is nobody else's to report."""
    with process(tmp_path, "wait") as alive:
        assert found(tmp_path) == []
        alive.send_signal(signal.SIGSTOP)
        assert found(tmp_path) == []
        alive.send_signal(signal.SIGCONT)
        alive.kill()
        alive.wait()
        assert len(found(tmp_path)) == 1


def test_an_end_leaves_nothing(tmp_path: Path) -> None:
    """A process that ends by itself takes its file along, whatever it was at."""
    with process(tmp_path, "wait") as ending:
        assert ending.stdin is not None
        ending.stdin.close()
        assert ending.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_each_is_given_to_one(tmp_path: Path) -> None:
    """Of two processes that start at the same time one is given what a dead one left."""
    with process(tmp_path, "kill") as killed:
        killed.wait()
    with dead_ledgers(tmp_path, SERVICE) as first, dead_ledgers(tmp_path, SERVICE) as second:
        assert (len(first), len(second)) == (1, 0)


def test_what_could_not_be_reported_stays(tmp_path: Path) -> None:
    """If the log cannot be written the file is found again by whoever starts next."""
    with process(tmp_path, "kill") as killed:
        killed.wait()
    with pytest.raises(ConnectionError), dead_ledgers(tmp_path, SERVICE):
        raise ConnectionError
    assert len(found(tmp_path)) == 1


def test_other_services_are_none_of_ours(tmp_path: Path) -> None:
    """Two services may share a folder: each finds its own dead, and foreign files stay."""
    with process(tmp_path, "kill") as killed:
        killed.wait()
    (tmp_path / "notes").write_text("mine")
    assert found(tmp_path, "another") == []
    assert len(found(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_no_folder_no_dead(tmp_path: Path) -> None:
    """Where nothing has ever run there is nothing to report."""
    assert found(tmp_path / "nowhere") == []


@given(st.lists(st.binary(max_size=5000), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_damaged_file_tells_of_nothing(tmp_path: Path, pages: list[bytes]) -> None:
    """Whatever stands in a file, what makes no sense is passed over and the file is removed."""
    path = tmp_path / f"running-{SERVICE}-0"
    path.write_bytes(b"".join(page.ljust(4096, b"\n") for page in pages))
    assert found(tmp_path) == [[]]
    assert not path.exists()


JOBS = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40)


@given(JOBS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_file_is_what_runs(tmp_path: Path, steps: list[tuple[bool, int]]) -> None:
    """At any moment the file holds just what runs, in no more pages than have run at once."""
    ledger = Ledger(tmp_path, SERVICE)
    running: dict[int, ExitStack] = {}
    most = 0
    for starts, number in steps:
        if starts and number not in running:
            running[number] = ExitStack()
            running[number].enter_context(ledger.listed(entry(number)))
        elif not starts and number in running:
            running.pop(number).close()
        most = max(most, len(running))
        copy = tmp_path / f"running-copy-{number}"
        copy.write_bytes(ledger.path.read_bytes())
        (left,) = found(tmp_path, "copy")
        assert sorted(one.visit for one in left) == sorted(running)
        assert ledger.path.stat().st_size == most * 4096
    ledger.close()


def test_a_job_that_fails_is_off_the_list(tmp_path: Path) -> None:
    """An exception, or a cancellation, is no death."""
    ledger = Ledger(tmp_path, SERVICE)
    with pytest.raises(KeyError), ledger.listed(entry(1)):
        raise KeyError
    assert ledger.path.read_bytes().strip(b"\n") == b""
    ledger.close()


def test_the_longest_names_fit_a_page(tmp_path: Path) -> None:
    """The longest identity that a group can have is written and read back whole."""
    name = "\N{GREEK SMALL LETTER ALPHA}" * 64
    longest = entry(1, group=f"{name}/{name}/{2**63 - 1}/{2**63 - 1}/{name}", visit=2**63 - 1)
    ledger = Ledger(tmp_path, SERVICE)
    with ledger.listed(longest):
        (tmp_path / "running-copy-0").write_bytes(ledger.path.read_bytes())
    assert found(tmp_path, "copy") == [[longest]]
    ledger.close()


def test_a_disk_that_fails_is_told_once(tmp_path: Path) -> None:
    """If nothing can be written the work goes on, with one warning."""
    ledger = Ledger(tmp_path, SERVICE)
    ledger.close()  # its descriptor is no more
    with capture_logs() as logs:
        for number in (1, 2):
            with ledger.listed(entry(number)):
                pass
    assert [line["event"] for line in logs] == ["what runs cannot be written down"]
