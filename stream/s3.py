"""What all that speaks S3 has in common: names of places, and how a bucket is opened.

Keys, region and endpoint come from the environment's ``AWS_`` variables, or from the machine's
role, as for other S3 clients; never from a message.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from obstore.store import S3Store

__all__ = ["is_place", "open_bucket"]

_PLACE: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*/?")
_DOTS: Final = {".", ".."}


def is_place(text: str) -> bool:
    """Tell whether a text is ``s3://BUCKET[/PREFIX]``, with nothing else in it."""
    return _PLACE.fullmatch(text) is not None and _DOTS.isdisjoint(text.split("/"))


def open_bucket(place: str, patience: timedelta) -> S3Store:
    """Return a bucket, or what is below a prefix of it; credentials are looked for, so it may wait.

    Parameters
    ----------
    place : str
        ``s3://BUCKET[/PREFIX]``.
    patience : timedelta
        For connecting, and for each answer.
    """
    return S3Store.from_url(
        place,
        # plain HTTP is spoken only to an endpoint that the operator has named with http://
        client_options={"timeout": patience, "connect_timeout": patience, "allow_http": True},
        retry_config={"max_retries": 1, "retry_timeout": patience},
    )
