"""Kinds of fields that several messages share, and the checks that types cannot say.

Ranges and lengths stand in the annotations: they are held whenever bytes are made or read, and
the JSON Schemas show them. What an annotation cannot say is checked as a message is constructed.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Annotated, Final, Literal

from msgspec import Meta

from schemas.errors import DeadReason, SchemaError

__all__ = [
    "MAX_INTEGER",
    "MAX_VISITS",
    "Digest",
    "Factor",
    "Kind",
    "Line",
    "Name",
    "Natural",
    "Positive",
    "Share",
    "Sky",
    "Status",
    "Text",
    "Trigger",
    "Verdict",
    "Visits",
    "refuse_unless",
    "require_digest",
    "require_positive",
    "require_rising",
]

MAX_INTEGER: Final = 2**63 - 1
"""The largest integer of a message: what a signed 64-bit reader can hold."""

MAX_VISITS: Final = 10_000
"""Most visits that one group may have; a Rubin-sized survey has up to 1000."""

Natural = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        extra_json_schema={"pattern": r"^[^/\x00-\x1f\x7f-\x9f\u2028\u2029]+$"},
    ),
]
Line = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=1024)]
Digest = Annotated[
    str,
    Meta(min_length=64, max_length=64, extra_json_schema={"pattern": "^[0-9a-f]{64}$"}),
]
Factor = Annotated[float, Meta(extra_json_schema={"exclusiveMinimum": 0})]
Share = Annotated[float, Meta(ge=0, le=1)]
Visits = Annotated[
    tuple[Natural, ...],
    Meta(max_length=MAX_VISITS, extra_json_schema={"uniqueItems": True}),
]

Sky = Literal["intact", "subtracted", "restored", "unknown"]
Kind = Literal["initial", "update", "retraction"]
Status = Literal["reference", "matched", "no_overlap", "failed", "withdrawn"]
Trigger = Literal["manifest", "count", "closed", "quiet", "deadline", "update", "sealed"]
Verdict = Literal["accept", "reject", "none"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def refuse_unless(holds: bool, sentence: str) -> None:
    """Raise `SchemaError` (``bad_message``) with the sentence unless the rule holds."""
    if not holds:
        raise SchemaError(DeadReason.BAD_MESSAGE, sentence)


def require_digest(name: str, value: str | None) -> None:
    """Refuse a sha256 that is not 64 lower-case hexadecimal digits; None is absent."""
    if value is not None and _DIGEST.fullmatch(value) is None:
        sentence = f"{name} must be a sha256: 64 lower-case hexadecimal digits, not {value[:80]!r}"
        raise SchemaError(DeadReason.BAD_MESSAGE, sentence)


def require_positive(name: str, value: float | None) -> None:
    """Refuse a number that is not finite and above 0; None is absent."""
    if value is not None and not (value > 0 and math.isfinite(value)):
        sentence = f"{name} must be finite and greater than 0, not {value!r}"
        raise SchemaError(DeadReason.BAD_MESSAGE, sentence)


def require_rising(name: str, visits: tuple[int, ...]) -> None:
    """Refuse visits that are not in ascending order, each once."""
    for before, after in pairwise(visits):
        if before >= after:
            sentence = f"{name} must rise, each visit once, but {after} follows {before}"
            raise SchemaError(DeadReason.BAD_MESSAGE, sentence)
