"""What operators may ask over HTTP: metrics, health, readiness, and which groups wait for what.

Read only, loopback unless told otherwise, and never a question to the log or the storage.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from aiohttp import web

from stream.address import Address
from stream.census import MOST_GROUPS, STATES
from stream.pulse import Pulse
from stream.settings import Problem, SettingsError
from stream.telemetry import Snapshot, Telemetry

__all__ = ["GROUP_STATES", "Operated", "Web"]

GROUP_STATES: Final = STATES

_PATHS: Final = {
    "/metrics": "metrics for Prometheus",
    "/healthz": "whether the service moves",
    "/readyz": "whether it serves, and if not, what is missing",
    f"/groups?state={'|'.join(GROUP_STATES)}": "what each group waits for",
}
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operated(Protocol):
    """The service, as operators see it. All three return at once."""

    def snapshot(self) -> Snapshot:
        """Return the numbers of this moment."""
        ...

    def unready(self) -> Mapping[str, str]:
        """Say what keeps the service from being ready, and why; empty if nothing does."""
        ...

    def groups(self, state: str, most: int) -> Sequence[Mapping[str, object]]:
        """Describe up to `most` groups in a state of `GROUP_STATES`, the longest waiting first."""
        ...


class Web:
    """The server.

    Parameters
    ----------
    address : Address
        Where to listen; port 0 takes any free one, see `address` after `start`.
    service : Operated
    telemetry : Telemetry
    pulse : Pulse
    """

    def __init__(
        self, address: Address, service: Operated, telemetry: Telemetry, pulse: Pulse
    ) -> None:
        self.address = address
        self._service = service
        self._telemetry = telemetry
        self._pulse = pulse
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        SettingsError
            The address cannot be had.
        """
        self._runner = web.AppRunner(self._application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address.host, self.address.port)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise SettingsError((_not_to_be_had(self.address, error),)) from None
        # Only the socket knows which port it was given for 0.
        self.address = Address(self.address.host, self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; may be called twice and after a failed start."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_in_json], client_max_size=1024)
        application.router.add_get("/", self._index)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/readyz", self._readiness)
        application.router.add_get("/groups", self._groups)
        return application

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return _json({"paths": _PATHS})

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        self._telemetry.show(self._service.snapshot())
        body = self._telemetry.exposition()
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def _health(self, _: web.Request) -> web.StreamResponse:
        ailments = self._pulse.ailments()
        body = {
            "healthy": not ailments,
            "why_not": ailments,
            "since_tick_s": round(self._pulse.since_tick_s, 3),
            "since_poll_s": round(self._pulse.since_poll_s, 3),
        }
        return _json(body, status=503 if ailments else 200)

    async def _readiness(self, _: web.Request) -> web.StreamResponse:
        missing = self._service.unready()
        body = {"ready": not missing, "why_not": missing}
        return _json(body, status=503 if missing else 200)

    async def _groups(self, request: web.Request) -> web.StreamResponse:
        state = request.query.get("state", "due")
        if state not in GROUP_STATES:
            raise web.HTTPBadRequest(reason=f"state is one of {', '.join(GROUP_STATES)}")
        groups = self._service.groups(state, MOST_GROUPS)
        return _json({"state": state, "most": MOST_GROUPS, "groups": groups})


def _not_to_be_had(address: Address, error: OSError) -> Problem:
    taken = error.errno == errno.EADDRINUSE
    why = "another program listens there" if taken else os.strerror(error.errno or 0)
    remedy = "give another HOST:PORT, port 0 for any free one, or off"
    return Problem(("http",), f"cannot listen on {address}: {why}", remedy)


@web.middleware
async def _in_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer errors in JSON too, and say what there is."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _json({"error": error.reason, "paths": _PATHS}, status=error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    response.headers["Cache-Control"] = "no-store"
    return response


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body) + b"\n", status=status, content_type="application/json"
    )
