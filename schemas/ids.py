"""Digests that name inputs, configurations, models and jobs (DESIGN.md sections 2 and 3).

Each is a sha256, in lower-case hexadecimal, of msgpack bytes that are written in one way only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal

from schemas.envelope import encode_value
from schemas.errors import DeadReason, SchemaError
from schemas.events import WarpArrived
from schemas.limits import RESULT_LIMITS, Limits
from schemas.models import BackgroundModel
from schemas.wire import pack, pack_state, unpack

__all__ = ["arrival_digest", "config_digest", "input_digest", "job_id", "model_id", "model_id_of"]

# When and as what a model was sent is no part of what it says (DESIGN.md section 2).
_OUTSIDE_MODEL_ID: Final = ("revision", "kind", "model_id")


def input_digest(checksum: str, scale: float, unit: str | None, sky: str) -> str:
    """Name what a warp puts into a match; a member whose digest differs has *changed*.

    Parameters
    ----------
    checksum : str
        The sha256 of the warp's file.
    scale : float
        What its image is multiplied with.
    unit : str or None
        Unit of the scaled image.
    sky : str
        State of its sky.
    """
    return _sha256(_input(checksum, scale, unit, sky))


def arrival_digest(arrival: WarpArrived) -> str:
    """Name what the warp of an arrival puts into a match."""
    # A message has passed the border, so its parts need no second look as they are written.
    parts = _input(arrival.checksum, arrival.scale, arrival.unit, arrival.sky)
    return hashlib.sha256(pack_state(parts)).hexdigest()


def config_digest(config: Mapping[str, object]) -> str:
    """Name a configuration of the matching, whatever the order of its fields.

    Parameters
    ----------
    config : mapping of str to object
        Field names with strings, finite numbers, truth values, None, or sequences and mappings
        of such.
    """
    return hashlib.sha256(pack(["evensky config 1", dict(config)], sort_keys=True)).hexdigest()


def job_id(
    kind: Literal["measure", "match"],
    reference_digest: str | None,
    science_digest: str,
    config_digest: str,
    numerics_version: str,
) -> str:
    """Name a job by what it computes: of the same name comes the same result.

    Parameters
    ----------
    kind : str
        What is done with the warps.
    reference_digest : str or None
        Input digest of the reference; None where there is none.
    science_digest : str
        Input digest of the warp itself.
    config_digest : str
        Of the configuration of the matching.
    numerics_version : str
        Of the arithmetic.
    """
    inputs = [reference_digest, science_digest]
    return _sha256(["evensky job 1", kind, *inputs, config_digest, numerics_version])


def model_id(message: BackgroundModel) -> str:
    """Name a model by what it says: its message without ``revision``, ``kind`` and ``model_id``.

    A message is made with any `model_id` first (for example 64 zeros), then given its own with
    `msgspec.structs.replace`.
    """
    return model_id_of(encode_value(message))


def model_id_of(value: bytes, limits: Limits = RESULT_LIMITS) -> str:
    """Recompute the name of a model from its message's bytes, whatever version wrote them.

    Parameters
    ----------
    value : bytes
        The value of a ``background.model.v1`` record, as it was written.
    limits : Limits

    Raises
    ------
    SchemaError
        The bytes are not a msgpack map within the limits.
    """
    fields = unpack(value, limits)
    if not isinstance(fields, dict):
        raise SchemaError(DeadReason.BAD_MESSAGE, "a model is a msgpack map, and this is none")
    kept = {name: item for name, item in fields.items() if name not in _OUTSIDE_MODEL_ID}
    return hashlib.sha256(pack(kept)).hexdigest()


def _input(checksum: str, scale: float, unit: str | None, sky: str) -> list[object]:
    return ["evensky input 1", checksum, float(scale), unit, str(sky)]


def _sha256(value: object) -> str:
    return hashlib.sha256(pack(value)).hexdigest()
