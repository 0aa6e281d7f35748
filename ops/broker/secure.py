"""What a secured test broker needs: certificates, users, and listeners that ask for them.

The listener ``PLAINTEXT`` stays, for the brokers themselves and for whoever sets permissions up: on
it nobody has a name, and who has none may do everything. A cluster that matters has no such.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "INSTALL_OPENSSL",
    "MECHANISMS",
    "PROTOCOLS",
    "Certificates",
    "make_certificates",
    "scram_arguments",
    "secured_properties",
]

INSTALL_OPENSSL: Final = "sudo apt-get install openssl"

PROTOCOLS: Final = ("SASL_SSL", "SSL", "SASL_PLAINTEXT")
"""Listeners beside ``PLAINTEXT``; on ``SSL`` a client must show a certificate."""

MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
"""How a user's password may be proved, on each listener with users."""

_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CA: Final = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
_LEAF: Final = ("basicConstraints=critical,CA:FALSE", "authorityKeyIdentifier=keyid")
_DAYS: Final = "7"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form.

    Attributes
    ----------
    authority : Path
        What signed all the others.
    broker : Path
        Certificate and key of the brokers, for ``localhost`` and 127.0.0.1.
    client, client_key : Path
        A client's, whose name is ``CN=client``.
    stranger : Path
        Another authority, which signed nothing.
    """

    authority: Path
    broker: Path
    client: Path
    client_key: Path
    stranger: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority, a broker's certificate and a client's, for a week.

    Raises
    ------
    FileNotFoundError
        There is no openssl.
    subprocess.CalledProcessError
        It did not do it.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise FileNotFoundError(f"openssl is missing: {INSTALL_OPENSSL}")
    # A configuration of our own, because the system's adds extensions to what is signed.
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = name\n[name]\n")
    for name in ("authority", "stranger"):
        _request(openssl, folder, name, *_extensions(*_CA))
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    signed = ("-CA", "authority.pem", "-CAkey", "authority.key")
    _request(openssl, folder, "broker", *signed, *_extensions(*_LEAF, names))
    _request(openssl, folder, "client", *signed, *_extensions(*_LEAF))
    both = folder / "broker.both.pem"
    parts = ("broker.key", "broker.pem", "authority.pem")
    both.write_text("".join((folder / part).read_text() for part in parts))
    return Certificates(
        authority=folder / "authority.pem",
        broker=both,
        client=folder / "client.pem",
        client_key=folder / "client.key",
        stranger=folder / "stranger.pem",
    )


def _extensions(*extensions: str) -> list[str]:
    return [word for one in extensions for word in ("-addext", one)]


def _request(openssl: str, folder: Path, name: str, *more: str) -> None:
    command = [openssl, "req", "-x509", "-config", "openssl.cnf", *_KEY, "-days", _DAYS]
    command += ["-subj", f"/CN={name}", "-addext", "subjectKeyIdentifier=hash"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", *more]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own words


def scram_arguments(users: Mapping[str, str]) -> list[str]:
    """Return what formatting is told so that users are there from the first start."""
    return [
        word
        for user, password in users.items()
        for mechanism in MECHANISMS
        if mechanism.startswith("SCRAM")
        for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
    ]


def secured_properties(
    ports: Mapping[str, int], users: Mapping[str, str], certificates: Certificates
) -> dict[str, object]:
    """Return a broker's properties for its secured listeners and for permissions.

    Parameters
    ----------
    ports : mapping of str to int
        Of each of `PROTOCOLS`.
    users : mapping of str to str
        Their passwords.
    certificates : Certificates
    """
    known = " ".join(f'user_{user}="{password}"' for user, password in users.items())
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    modules = {"PLAIN": f"{plain} {known};"}
    return {
        **{
            f"listener.name.{protocol.lower()}.{mechanism.lower()}.sasl.jaas.config": modules.get(
                mechanism, f"{scram};"
            )
            for protocol in ports
            if protocol.startswith("SASL")
            for mechanism in MECHANISMS
        },
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates.broker,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.authority,
        "listener.name.ssl.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
