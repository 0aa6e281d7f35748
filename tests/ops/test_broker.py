"""Getting and running a broker: once, whole, again, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ops.broker import broker
from ops.broker.broker import INSTALL, BrokerError, fetch_jars, main, missing_programs

SCRIPT = Path(broker.__file__)


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of programs the only ones on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


_COPIES = """
for word in "$@"; do case $word in -DoutputDirectory=*) to=${word#*=};; esac; done
/bin/mkdir -p "$to"; echo jar > "$to/kafka.jar"
"""
_OFFLINE = "echo '[ERROR] Failed to resolve: Network is unreachable'; exit 1"


def test_missing_programs_are_named_with_the_line_that_installs_them(
    programs: Path, tmp_path: Path
) -> None:
    """Nothing is begun that cannot be ended."""
    assert missing_programs() == ["java", "mvn"]
    with pytest.raises(BrokerError, match=f"java and mvn missing: {INSTALL}"):
        fetch_jars(tmp_path / "store")
    _program(programs, "java", "true")
    assert missing_programs() == ["mvn"]


def test_offline_says_what_is_missing_and_can_be_run_again(programs: Path, tmp_path: Path) -> None:
    """A fetch that fails leaves nothing that looks whole; the next one goes through."""
    store = tmp_path / "store"
    _program(programs, "java", "true")
    _program(programs, "mvn", _OFFLINE)
    with pytest.raises(BrokerError, match=r"could not get the jars.*simply run this again"):
        fetch_jars(store)
    assert list(store.iterdir()) == []
    _program(programs, "mvn", _COPIES)
    jars = fetch_jars(store)
    assert [jar.name for jar in jars.iterdir()] == ["kafka.jar"]


def test_what_was_fetched_is_not_fetched_again(programs: Path, tmp_path: Path) -> None:
    """With the jars at hand neither Maven nor a network is needed."""
    store = tmp_path / "store"
    _program(programs, "java", "true")
    _program(programs, "mvn", _COPIES)
    first = fetch_jars(store)
    _program(programs, "mvn", _OFFLINE)
    assert fetch_jars(store) == first
    (programs / "mvn").unlink()
    assert fetch_jars(store) == first


def test_the_command_line_fails_with_a_sentence(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, no traceback."""
    del programs
    monkeypatch.setattr(broker.fetch_jars, "__defaults__", (Path("/nonexistent"),))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["fetch"]) == 3
    finally:
        signal.signal(signal.SIGTERM, before)
    assert INSTALL in capsys.readouterr().err


@pytest.mark.kafka
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_broker_ends_with_the_command_that_started_it(
    kafka: str, ending: signal.Signals, tmp_path: Path
) -> None:
    """Asked to end, or killed outright, `broker.py start` leaves no process behind."""
    del kafka  # only to have java and the jars asked for
    command = [sys.executable, str(SCRIPT), "start"]
    with_folder = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, text=True, env=with_folder
    ) as starting:
        assert starting.stdout is not None
        assert starting.stdout.readline().startswith("127.0.0.1:")
        nodes = psutil.Process(starting.pid).children(recursive=True)
        assert nodes
        os.kill(starting.pid, ending)
        assert starting.wait(20) == (0 if ending is signal.SIGTERM else -signal.SIGKILL)
    _, alive = psutil.wait_procs(nodes, timeout=20)
    assert not alive
