"""Getting and running a broker: once, whole, again, and never left behind."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from ops.broker import broker
from ops.broker.broker import (
    INSTALL,
    VERSIONS,
    BrokerError,
    Cluster,
    fetch_jars,
    main,
    missing_programs,
)
from ops.broker.secure import INSTALL_OPENSSL, make_certificates, scram_arguments
from tests.e2e.processes import evensky
from tests.programs import require_program

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


def test_the_id_of_a_cluster_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever chance gives, no program takes the id for an option of its own."""
    monkeypatch.setattr(os, "urandom", lambda count: b"\xfb" * count)
    found = broker.cluster_id()
    assert found[0].isalpha()
    assert len(base64.urlsafe_b64decode(found + "==")) == 16


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
    monkeypatch.setattr(broker.fetch_jars, "__defaults__", (Path("/nonexistent"), VERSIONS[0]))
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


@pytest.mark.kafka
def test_a_secured_broker_says_how_to_come_in(secured: Cluster, tmp_path: Path) -> None:
    """The options that `start --secured` tells are those of a user with that password.

    Whom the broker knows and whom nothing was granted is told what to grant.
    """
    del secured  # only to have java, the jars and openssl asked for
    command = [sys.executable, str(SCRIPT), "start", "--secured"]
    with_folder = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=with_folder
    ) as starting:
        assert starting.stdout is not None
        assert starting.stderr is not None
        assert starting.stdout.readline().startswith("127.0.0.1:")
        options = starting.stderr.readline().removeprefix("secured: ").split()
        password_file = Path(options[-1])
        assert password_file.stat().st_mode & 0o077 == 0
        _, told = evensky("topics", "check", *options, code=2)
        assert "user evensky may not Describe" in told
        assert password_file.read_text().strip() not in told
        starting.terminate()
        starting.communicate(timeout=20)
    assert not password_file.exists()


def test_certificates_need_openssl(programs: Path, tmp_path: Path) -> None:
    """Without it, or when it fails, a broker with users does not begin to start; the rest is gone.

    The line that installs it is told.
    """
    store, users = tmp_path / "store", {"night": "secret"}
    (store / f"kafka-{VERSIONS[0]}").mkdir(parents=True)
    cluster = broker.Cluster(users=users)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(broker, "fetch_jars", lambda **_: store)
        patched.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(BrokerError, match=INSTALL_OPENSSL):
            cluster.start()
        _program(programs, "openssl", "echo no; exit 1")
        with pytest.raises(BrokerError, match="openssl made no certificates"):
            broker.Cluster(users=users).start()
    assert not list(tmp_path.glob("evensky-kafka-*"))


def test_certificates_are_what_they_are_for(tmp_path: Path) -> None:
    """One authority signed broker and client, another nobody; the broker is this machine."""
    openssl = require_program("openssl", INSTALL_OPENSSL)
    made = make_certificates(tmp_path)

    def signs(authority: Path, certificate: Path, *more: str) -> bool:
        words = [openssl, "verify", *more, "-CAfile", str(authority), str(certificate)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own words

    for leaf in (made.broker, made.client):
        assert signs(made.authority, leaf, "-x509_strict")
        assert not signs(made.stranger, leaf)
    for name in ("127.0.0.1", "::1"):
        assert signs(made.authority, made.broker, "-verify_ip", name) == (name == "127.0.0.1")
    assert signs(made.authority, made.broker, "-verify_hostname", "localhost")


def test_users_are_made_for_each_mechanism() -> None:
    """SCRAM's at formatting, PLAIN's in the configuration, each with its own password."""
    users = {"a": "1", "b": "2"}
    assert scram_arguments(users)[1::2] == [
        f"{mechanism}=[name={user},password={password}]"
        for user, password in users.items()
        for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
    ]
