"""Where a server listens, as an operator writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Address", "parse_address"]

_LARGEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Split ``host:port``; IPv6 hosts stand in brackets.

    Raises
    ------
    ValueError
        There is no host or no port in 0 .. 65535.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > _LARGEST_PORT:
        raise ValueError(f"{text.strip()!r} is not HOST:PORT")
    return Address(host, int(port))
