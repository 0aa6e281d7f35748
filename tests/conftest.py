"""Real Kafka brokers for the tests that want one, and the last line of a run."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest

from ops.broker.broker import INSTALL, VERSIONS, BrokerError, Cluster, running
from ops.broker.secure import INSTALL_OPENSSL
from ops.store.server import Server
from ops.store.server import running as store
from tests.programs import not_proved, require_program


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Run one broker for the whole session; topics need names of their own."""
    with _broker() as found:
        yield found


@pytest.fixture(scope="session")
def kafka(cluster: Cluster) -> str:
    """Address of that broker."""
    return cluster.bootstrap


@pytest.fixture(scope="session")
def older_kafka() -> Iterator[str]:
    """Address of a broker of the oldest Kafka that we say we work with."""
    with _broker(version=VERSIONS[-1]) as cluster:
        yield cluster.bootstrap


@contextmanager
def _broker(**more: Any) -> Iterator[Cluster]:
    for program in ("java", "mvn"):
        require_program(program, INSTALL)
    with ExitStack() as until_the_end:
        try:
            cluster = until_the_end.enter_context(running(**more))
        except BrokerError as error:
            not_proved(str(error))
        yield cluster


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """Run one server that speaks S3 for the whole session; keys need prefixes of their own."""
    with store() as server:
        yield server


@pytest.fixture
def name() -> str:
    """Make a name that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


USERS: Final = ("night", "upstream", "consumer", "operator", "nobody")
"""Users of the secured broker; none may do anything before a test allows it."""


@pytest.fixture(scope="session")
def secured() -> Iterator[Cluster]:
    """Run one broker with TLS, users and permissions for the whole session."""
    require_program("openssl", INSTALL_OPENSSL)
    users = {name: f"planted-{secrets.token_hex(8)}" for name in USERS}
    with _broker(users=users) as cluster:
        yield cluster


LONG: Final = {"test_bench", "test_packaging", "test_report", "test_sky_truth", "test_warm"}
"""Files that take long, beside those that need a broker or run the whole program."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where processes share a run, give out the long files first, so that all end together."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("kafka")}
        long |= {item.path for item in items if item.path.stem in LONG}
        long |= {item.path for item in items if item.path.parent.name == "e2e"}
        items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Say, behind everything else, what was not proved because tests were skipped."""
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.stats.get("skipped"):
        return
    whys = Counter(_why(report) for report in reporter.stats["skipped"])
    told = "; ".join(f"{number} for: {why}" for why, number in whys.most_common())
    reporter.write_line(f"Not proved, because skipped: {told}", yellow=True)


def _why(report: pytest.TestReport) -> str:
    where = report.longrepr
    why = where[2] if isinstance(where, tuple) else str(where)
    return why.removeprefix("Skipped: ")
