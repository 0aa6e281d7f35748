"""A server that speaks S3, in a process of its own: it keeps nothing after its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import obstore
from obstore.store import S3Store

__all__ = ["BUCKET", "KEYS", "Server", "found_at", "running"]

BUCKET: Final = "sky"

KEYS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "night",
    "AWS_SECRET_ACCESS_KEY": "planted",
    "AWS_REGION": "us-east-1",
}
"""What clients need in their environment, beside ``AWS_ENDPOINT_URL``; it takes any keys."""


@dataclass(frozen=True)
class Server:
    """A server with an empty bucket.

    Attributes
    ----------
    process : Popen
    address : str
        As a URL.
    """

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        """Where it listens on the loopback interface."""
        return int(self.address.rpartition(":")[2])

    def put(self, key: str, data: bytes) -> None:
        """Keep an object in the bucket."""
        store = S3Store(
            BUCKET,
            endpoint=self.address,
            access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region=KEYS["AWS_REGION"],
            client_options={"allow_http": True},
        )
        obstore.put(store, key, data)

    def make_bucket(self) -> None:
        """Make the bucket."""
        url = f"{self.address}/{BUCKET}"
        request = urllib.request.Request(url, method="PUT")  # noqa: S310 - our own server
        urllib.request.urlopen(request).close()  # noqa: S310 - the same


@contextmanager
def running() -> Iterator[Server]:
    """Run a server for the time of the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    words = process.stderr
    if words is None:
        raise RuntimeError("the server's words are not to be had")
    # It logs each request, and would stop at a full pipe.
    listener = threading.Thread(target=deque, args=(words, 0), daemon=True)
    try:
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in words)
        server = Server(process, next(one.group() for one in found if one))
        listener.start()
        server.make_bucket()
        yield server
    finally:
        process.kill()
        process.wait()
        if listener.ident is not None:
            listener.join()
        words.close()


@contextmanager
def found_at(address: str) -> Iterator[None]:
    """Have the processes that are started meanwhile find a server, by their environment.

    Parameters
    ----------
    address : str
        As a URL.
    """
    wanted = {**KEYS, "AWS_ENDPOINT_URL": address}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
