"""The server that speaks S3, as tests and the proof use it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from ops.store.server import BUCKET, running

_PIPE_BYTES = 1 << 16


def test_it_answers_however_much_it_has_logged() -> None:
    """What it says of its requests fills no pipe, which would stop it."""
    name = "n" * 8192
    with running() as server:
        for _ in range(3 * _PIPE_BYTES // len(name)):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{server.address}/{BUCKET}/{name}", timeout=20)  # noqa: S310 - our own server
