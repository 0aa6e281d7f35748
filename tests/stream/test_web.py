"""What operators are told over HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import pytest

from stream.address import Address
from stream.census import MOST_GROUPS
from stream.pulse import Pulse
from stream.settings import SettingsError
from stream.telemetry import PartitionView, Snapshot, Telemetry
from stream.web import Web

LOOPBACK = Address("127.0.0.1", 0)


def ignore(_: float) -> None:
    """Take no note of a lag."""


class FakeService:
    """A service whose answers a test chooses."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self.asked: list[tuple[str, int]] = []
        self.shown = Snapshot(groups_due=7, partitions={3: PartitionView(11, 1.5e9)}, ready=True)

    def snapshot(self) -> Snapshot:
        """Return one owned partition, or what the test says."""
        return self.shown

    def unready(self) -> Mapping[str, str]:
        """Return what the test says is missing."""
        return self.missing

    def groups(self, state: str, most: int) -> Sequence[Mapping[str, object]]:
        """Return one group."""
        self.asked.append((state, most))
        return [{"group": "live/none/0/0/r", "waits_for": ("3", "4")}]


class FakeClock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Asking:
    """A running server and what stands behind it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.service = FakeService()
        self.clock = FakeClock()
        self.web = Web(LOOPBACK, self.service, Telemetry(), Pulse(ignore, self.clock))
        self._session = session

    async def json(self, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
        """Ask and return status and body."""
        async with self._session.request(method, f"http://{self.web.address}{path}") as response:
            assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.json()

    async def text(self, path: str) -> tuple[str, str]:
        """Ask and return content type and body."""
        async with self._session.get(f"http://{self.web.address}{path}") as response:
            return response.headers["Content-Type"], await response.text()


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    """Start a server on any free port."""
    async with aiohttp.ClientSession() as session:
        asking = Asking(session)
        await asking.web.start()
        yield asking
        await asking.web.close()


async def test_any_port(asking: Asking) -> None:
    """Port 0 becomes the port that the system gave."""
    assert asking.web.address.port > 0


async def test_metrics(asking: Asking) -> None:
    """The gauges are those of the moment at which somebody asks."""
    kind, body = await asking.text("/metrics")
    assert kind.startswith("text/plain; version=0.0.4")
    assert "evensky_groups_due 7.0" in body
    assert 'evensky_consumer_lag_records{partition="3"} 11.0' in body


async def test_health(asking: Asking) -> None:
    """A service that moves is healthy, one that does not says what stands still."""
    assert (await asking.json("/healthz"))[0] == 200
    asking.clock.now = 61.0
    status, body = await asking.json("/healthz")
    assert status == 503
    assert body["why_not"] == [
        "the event loop has not ticked for 61 s",
        "the log has not been polled for 61 s",
    ]


async def test_readiness(asking: Asking) -> None:
    """A service that is not ready says what is missing."""
    assert await asking.json("/readyz") == (200, {"ready": True, "why_not": {}})
    asking.service.missing = {"partition 3": "restoring"}
    body = {"ready": False, "why_not": {"partition 3": "restoring"}}
    assert await asking.json("/readyz") == (503, body)


async def test_groups(asking: Asking) -> None:
    """Groups are listed by state, due ones unless another is asked for, and never without bound."""
    status, body = await asking.json("/groups")
    assert (status, body["state"]) == (200, "due")
    assert body["groups"] == [{"group": "live/none/0/0/r", "waits_for": ["3", "4"]}]
    await asking.json("/groups?state=open")
    assert asking.service.asked == [("due", MOST_GROUPS), ("open", MOST_GROUPS)]


async def test_no_such_state(asking: Asking) -> None:
    """An unknown state is refused with the known ones."""
    status, body = await asking.json("/groups?state=lost")
    assert status == 400
    assert "open, due, published" in str(body["error"])


async def test_no_such_path(asking: Asking) -> None:
    """Whoever asks for something else is told what there is."""
    status, body = await asking.json("/nothing")
    assert status == 404
    assert "/metrics" in str(body["paths"])
    assert (await asking.json("/"))[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/groups"])
async def test_read_only(asking: Asking, path: str) -> None:
    """Nothing can be changed over HTTP."""
    for method in ("POST", "PUT", "DELETE"):
        assert (await asking.json(path, method))[0] == 405


async def test_port_taken(asking: Asking) -> None:
    """A taken port is refused with the setting and the remedy, and leaves nothing behind."""
    second = Web(asking.web.address, asking.service, Telemetry(), Pulse(ignore))
    with pytest.raises(SettingsError, match=r"http: cannot listen on .*another program.*port 0"):
        await second.start()
    await second.close()


async def test_no_such_address() -> None:
    """An address that is not ours is refused in the same way."""
    web = Web(Address("192.0.2.1", 0), FakeService(), Telemetry(), Pulse(ignore))
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"):
        await web.start()


async def test_closed(asking: Asking) -> None:
    """A closed server has given its port back; closing twice does no harm."""
    await asking.web.close()
    await asking.web.close()
    with socket.create_server((asking.web.address.host, asking.web.address.port)):
        pass


async def test_health_tells_how_long_ago_it_moved(asking: Asking) -> None:
    """The ages of the last tick and the last poll are told, to the millisecond."""
    asking.clock.now = 1.23467
    assert await asking.json("/healthz") == (
        200,
        {"healthy": True, "why_not": [], "since_tick_s": 1.235, "since_poll_s": 1.235},
    )


async def test_the_index_names_every_path_and_each_answers(asking: Asking) -> None:
    """What the index lists can be asked for, and says how much it lists at most."""
    status, body = await asking.json("/")
    paths = body["paths"]
    assert status == 200
    assert isinstance(paths, dict)
    named = {path.partition("?")[0] for path in paths}
    assert named == {"/metrics", "/healthz", "/readyz", "/groups"}
    assert all(paths.values())
    for path in named - {"/metrics"}:
        assert (await asking.json(path))[0] == 200
    assert (await asking.json("/groups"))[1]["most"] == MOST_GROUPS


@pytest.mark.parametrize("state", ["open", "due", "published"])
async def test_each_state_can_be_asked_for(asking: Asking, state: str) -> None:
    """Open, due and published groups are asked of the service under their own names."""
    status, body = await asking.json(f"/groups?state={state}")
    assert (status, body["state"]) == (200, state)
    assert asking.service.asked == [(state, MOST_GROUPS)]


async def test_what_is_not_allowed_says_what_is(asking: Asking) -> None:
    """A refused method is answered with those that are allowed, and what paths there are."""
    async with aiohttp.ClientSession() as session:
        answer = await session.delete(f"http://{asking.web.address}/healthz")
        assert answer.headers["Allow"] == "GET,HEAD"
        assert answer.content_type == "application/json"
        body = await answer.json()
    assert body["error"] == "Method Not Allowed"
    assert "/metrics" in body["paths"]


async def test_metrics_are_new_at_each_asking(asking: Asking) -> None:
    """Gauges follow the service between two questions; nothing is kept from the first."""
    assert "evensky_ready 1.0" in (await asking.text("/metrics"))[1]
    asking.service.shown = Snapshot(groups_due=1)
    body = (await asking.text("/metrics"))[1]
    assert "evensky_groups_due 1.0" in body
    assert "evensky_ready 0.0" in body
    assert 'consumer_lag_records{partition="3"}' not in body
