"""What a stranger's file may ask for; apart from the decoder, which only workers import."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DecodeLimits"]


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a file may ask of the worker that decodes it.

    Attributes
    ----------
    max_bytes : int
        Bytes of the file once inflated.
    max_side : int
        Pixels along either axis.
    max_pixels : int
        Pixels of one plane.
    max_hdus : int
        HDUs to look at in search of the planes.
    max_header_bytes : int
        Bytes of one header.
    """

    max_bytes: int = 1 << 30
    max_side: int = 16_384
    max_pixels: int = 1 << 26
    max_hdus: int = 64
    max_header_bytes: int = 1 << 20
