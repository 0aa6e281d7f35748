"""A real Kafka broker on this machine, for the tests and for a first try: one node or three.

From a shell, until Ctrl-C::

    python ops/broker/broker.py start            # prints the address for --bootstrap-servers
    python ops/broker/broker.py start --nodes 3
    python ops/broker/broker.py start --version 3.9.1
    python ops/broker/broker.py start --secured  # also with TLS, a user and permissions
    python ops/broker/broker.py fetch            # only the jars

It needs Java 17 and Maven, and openssl for certificates. The jars are fetched once, into `.kafka/`
at the top of the checkout. The nodes listen on free ports of the loopback interface and keep
everything in a temporary folder that goes with them: this is no broker for anything that must last.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

if not __package__:  # run as a program of its own, from wherever
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ops.broker.secure import (
    PROTOCOLS,
    Certificates,
    make_certificates,
    scram_arguments,
    secured_properties,
)

__all__ = [
    "INSTALL",
    "VERSIONS",
    "BrokerError",
    "Cluster",
    "cluster_id",
    "fetch_jars",
    "missing_programs",
    "running",
]

INSTALL = "sudo apt-get install openjdk-17-jre-headless maven"

VERSIONS = ("4.1.1", "3.9.1")
"""Those that are known to work, the one that is used unless another is asked for first."""

_HERE = Path(__file__).resolve().parent
_STORE = _HERE.parents[1] / ".kafka"
_USER = "evensky"
_READY_S = 90.0
_LOOK_S = 0.1
_TAIL = 2000
_JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class BrokerError(Exception):
    """The broker cannot be had or does not start; the message says what to do."""


def missing_programs() -> list[str]:
    """Return which of the programs that the broker needs are not installed."""
    return [name for name in ("java", "mvn") if shutil.which(name) is None]


def fetch_jars(store: Path = _STORE, version: str = VERSIONS[0]) -> Path:
    """Fetch Kafka's jars unless they are there.

    Parameters
    ----------
    store : Path
        Folder to keep them in.
    version : str
        Of Kafka.

    Returns
    -------
    Path
        The folder of the jars: whole, because it gets its name only when everything is in it.

    Raises
    ------
    BrokerError
        A program is missing, or Maven could not get something.
    """
    jars = store / f"kafka-{version}"
    if jars.is_dir():
        return jars
    missing = missing_programs()
    if missing:
        raise BrokerError(f"{' and '.join(missing)} missing: {INSTALL}")
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix="fetching-") as folder:
        part = Path(folder) / "jars"
        _copy_dependencies(part, version)
        try:
            part.rename(jars)
        except OSError:
            if not jars.is_dir():  # else another process was faster, and that will do
                raise
    return jars


def _copy_dependencies(folder: Path, version: str) -> None:
    command = ["mvn", "--batch-mode", "--quiet", "--file", str(_HERE / "pom.xml")]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={folder}", f"-Dkafka.version={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise BrokerError(
            f"Maven could not get the jars of Kafka {version} (is this machine offline?). "
            f"What was fetched is kept; simply run this again. Maven said: {errors[:1]}"
        )


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Node:
    """One broker, which is its own controller's voter as well.

    It has a listener of its own for clients that come through a proxy, which is what that listener
    advertises; clients would go around any other.
    """

    number: int
    port: int
    controller: int
    behind: int
    proxy: int
    folder: Path
    secured: Mapping[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        """What the node printed."""
        return self.folder / "output.txt"

    def tail(self) -> str:
        """Return the end of what it printed."""
        return self.output.read_text(errors="replace")[-_TAIL:] if self.output.exists() else ""


def cluster_id() -> str:
    """Return a new cluster's id: 16 bytes in base64url, the first so that no option begins so.

    Of 64 ids that are all chance one begins with ``-``, which Kafka's tools take for an option.
    """
    return base64.urlsafe_b64encode(b"\0" + os.urandom(15)).decode().rstrip("=")


@dataclass
class Cluster:
    """Nodes of one Kafka cluster on this machine.

    Parameters
    ----------
    nodes : int
        1, or 3 for replication.
    users : mapping of str to str
        Passwords of users; if there are any, there are secured listeners too, and on those
        nothing is allowed that was not granted.
    version : str
        Of Kafka, such as those of `VERSIONS`.
    """

    nodes: int = 1
    users: Mapping[str, str] = field(default_factory=dict)
    version: str = VERSIONS[0]
    certificates: Certificates | None = field(default=None, init=False)
    members: list[Node] = field(default_factory=list, init=False)
    _folder: Path | None = field(default=None, init=False)
    _jars: Path | None = field(default=None, init=False)

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.members)

    @property
    def proxied(self) -> str:
        """Address for clients that are to come through a proxy, if one listens by `routes`."""
        return ",".join(f"127.0.0.1:{node.proxy}" for node in self.members)

    @property
    def routes(self) -> Mapping[int, int]:
        """The ports where a proxy (`ops.broker.proxy`) would listen, and those behind them."""
        return {node.proxy: node.behind for node in self.members}

    def secured(self, protocol: str) -> str:
        """Address for clients on one of `ops.broker.secure.PROTOCOLS`."""
        return ",".join(f"127.0.0.1:{node.secured[protocol]}" for node in self.members)

    def start(self) -> None:
        """Format and start all nodes; return when each of them is listed by each."""
        self._jars = fetch_jars(version=self.version)
        self._folder = Path(tempfile.mkdtemp(prefix="evensky-kafka-"))
        protocols = PROTOCOLS if self.users else ()
        ports = iter(_free_ports((4 + len(protocols)) * self.nodes))
        for number in range(self.nodes):
            folder = self._folder / str(number)
            folder.mkdir()
            secured = {protocol: next(ports) for protocol in protocols}
            port, controller, behind, proxy = (next(ports) for _ in range(4))
            node = Node(number, port, controller, behind, proxy, folder, secured)
            self.members.append(node)
        try:
            if self.users:
                self.certificates = _certified(self._folder)
            self._format()
            for number in range(self.nodes):
                self.launch(number)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def _format(self) -> None:
        identity = cluster_id()
        formatting = []
        for node in self.members:
            properties = {**_properties(self.members, node), **self._secured_properties(node)}
            lines = [f"{name}={value}" for name, value in properties.items()]
            (node.folder / "broker.properties").write_text("\n".join(lines) + "\n")
            words = ["format", "-t", identity, *scram_arguments(self.users), "-c"]
            formatting.append(self._java(node, "kafka.tools.StorageTool", *words))
        codes = [process.wait() for process in formatting]
        for node, code in zip(self.members, codes, strict=True):
            if code != 0:
                raise BrokerError(f"node {node.number} could not be formatted: {node.tail()}")

    def _secured_properties(self, node: Node) -> dict[str, object]:
        if self.certificates is None:
            return {}
        return secured_properties(node.secured, self.users, self.certificates)

    def _java(self, node: Node, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [*_dies_with_us(), "java", *_JVM, "-cp", f"{self._jars}/*", main, *arguments]
        with node.output.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own words
                [*command, str(node.folder / "broker.properties")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def launch(self, number: int) -> None:
        """Start one node, also after `kill`; does not wait."""
        node = self.members[number]
        node.process = self._java(node, "kafka.Kafka")

    def kill(self, number: int) -> None:
        """End one node as a power loss would: SIGKILL."""
        process = self.members[number].process
        if process is not None:
            process.kill()
            process.wait()

    def wait_ready(self, within: float = _READY_S) -> None:
        """Wait until every node lists every node; an open port is not readiness."""
        wanted = {node.number for node in self.members}
        give_up = time.monotonic() + within
        for node in self.members:
            while _listed(node.port) != wanted:
                if node.process is None or node.process.poll() is not None:
                    raise BrokerError(f"node {node.number} ended: {node.tail()}")
                if time.monotonic() > give_up:
                    raise BrokerError(f"node {node.number} is not ready after {within:g} s")
                time.sleep(_LOOK_S)

    def stop(self) -> None:
        """End all nodes and remove what they kept; may be called twice."""
        # Nothing outlives them, so there is nothing that a slow, orderly shutdown would save.
        for node in self.members:
            self.kill(node.number)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _certified(folder: Path) -> Certificates:
    try:
        return make_certificates(folder)
    except FileNotFoundError as error:
        raise BrokerError(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise BrokerError(f"openssl made no certificates: {error.stderr!r}") from error


def _dies_with_us() -> Sequence[str]:
    """Return a prefix that has Linux kill the node when we are killed ourselves."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _properties(members: Sequence[Node], node: Node) -> dict[str, object]:
    copies = min(3, len(members))
    in_sync = min(2, copies)
    voters = ",".join(f"{m.number}@127.0.0.1:{m.controller}" for m in members)
    topics = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    spoken = {"PLAINTEXT": node.port, **node.secured}
    reached = [f"{protocol}://127.0.0.1:{port}" for protocol, port in spoken.items()]
    kinds = (
        "CONTROLLER:PLAINTEXT",
        "PROXIED:PLAINTEXT",
        *(f"{protocol}:{protocol}" for protocol in spoken),
    )
    controller = f"CONTROLLER://127.0.0.1:{node.controller}"
    behind = f"PROXIED://127.0.0.1:{node.behind}"
    return {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": ",".join(kinds),
        "listeners": ",".join((*reached, behind, controller)),
        "advertised.listeners": ",".join((*reached, f"PROXIED://127.0.0.1:{node.proxy}")),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": node.folder / "data",
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        **{f"{topic}.replication.factor": copies for topic in topics},
        **{f"{topic}.min.isr": in_sync for topic in topics[1:]},
        **{f"{topic}.num.partitions": 4 for topic in topics},
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "log.index.size.max.bytes": 1024 * 1024,
        # The cleaner looks for work so often, so that a test can see compaction.
        "log.cleaner.backoff.ms": 500,
        "message.max.bytes": 10 * 1024 * 1024,
        "replica.fetch.max.bytes": 10 * 1024 * 1024,
    }


def _listed(port: int) -> set[int]:
    """Return the numbers of the nodes that the one on this port lists (Kafka's Metadata v1)."""
    request = struct.pack(">hhih", 3, 1, 0, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(struct.pack(">i", len(request)) + request)
            with link.makefile("rb") as answer:
                (size,) = struct.unpack(">i", answer.read(4))
                return set(_node_numbers(answer.read(size)))
    except (OSError, struct.error):
        return set()


def _node_numbers(answer: bytes) -> Iterator[int]:
    (count,) = struct.unpack_from(">i", answer, 4)
    at = 8
    for _ in range(count):
        number, host = struct.unpack_from(">ih", answer, at)
        at += 6 + host + 4
        (rack,) = struct.unpack_from(">h", answer, at)
        at += 2 + max(0, rack)
        yield number


@contextmanager
def running(
    nodes: int = 1, users: Mapping[str, str] | None = None, version: str = VERSIONS[0]
) -> Iterator[Cluster]:
    """Run a cluster for the time of a block, and end it however the block ends."""
    cluster = Cluster(nodes, users or {}, version)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def _stop_on_term(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="A real Kafka broker on this machine.")
    parser.add_argument("command", choices=["start", "fetch"])
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1)
    parser.add_argument("--secured", action="store_true", help="also with TLS and a user")
    parser.add_argument("--version", default=VERSIONS[0], help="of Kafka (%(default)s)")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop_on_term)
    try:
        if chosen.command == "fetch":
            sys.stdout.write(f"{fetch_jars(version=chosen.version)}\n")
            return 0
        users = {_USER: secrets.token_urlsafe(12)} if chosen.secured else {}
        with running(chosen.nodes, users, chosen.version) as cluster:
            sys.stdout.write(f"{cluster.bootstrap}\n")
            sys.stdout.flush()
            if chosen.secured:
                sys.stderr.write(_introduced(cluster))
            sys.stderr.write("Kafka runs until Ctrl-C; give the address to --bootstrap-servers\n")
            signal.pause()
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except KeyboardInterrupt:
        pass
    return 0


def _introduced(cluster: Cluster) -> str:
    """Write the user's password into a file; return the options that use it."""
    if cluster.certificates is None:
        return ""
    authority = cluster.certificates.authority
    password_file = authority.with_name("password")
    password_file.touch(0o600)
    password_file.write_text(f"{cluster.users[_USER]}\n")
    return (
        f"secured: --bootstrap-servers {cluster.secured('SASL_SSL')} --security-protocol SASL_SSL "
        f"--ssl-ca-file {authority} --sasl-user {_USER} --sasl-password-file {password_file}\n"
        "it may do nothing until it is granted, by whoever comes to the first address\n"
    )


if __name__ == "__main__":
    sys.exit(main())
