"""A stand-in for the Internet: what is sent to a public address arrives at a server on this machine, and certificates are by an
authority of our own. Everything else is real: names, sockets, TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.network import AddressInfo
from tests.contract.adapters.scripted import Script, ScriptedServer, Visit

_get_addresses = socket.getaddrinfo


class Internet:
    """Give it to a client as its resolver.

    names   name → what it stands for: one list of addresses a look-up, the last one for ever; others are unknown, unless they are
            addresses themselves
    places  public address → port on this machine; what is not here cannot be reached
    asked   the names that were looked up
    called  the addresses to which a connection was begun, with their ports
    """

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.places: dict[str, int] = {}
        self.asked: list[str] = []
        self.called: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[AddressInfo]:
        turns = self.names.get(host)
        if turns is None:
            return numeric(host, port)
        self.asked.append(host)
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        return [info for address in found for info in numeric(address, port)]


def numeric(address: str, port: int) -> list[AddressInfo]:
    """By the real resolver, which asks nobody for that."""
    return list(_get_addresses(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    """All sockets of the test, and whoever looks up a name, use it."""
    made = Internet()
    connect = socket.socket.connect

    def routed(self: socket.socket, where: tuple[str, int]) -> None:
        made.called.append(where[:2])
        port = made.places.get(where[0])
        if port is not None:
            where = ("127.0.0.1", port)
        elif not ipaddress.ip_address(where[0]).is_loopback:
            raise OSError(101, "Network is unreachable")
        connect(self, where)

    def looked_up(host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[AddressInfo]:
        if host in made.names:
            return made(host, port)
        return list(_get_addresses(host, port, family, type, proto, flags))

    monkeypatch.setattr(socket.socket, "connect", routed)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    return made


_NO_USE = dict.fromkeys(
    (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    ),
    False,
)


class Authority:
    """Makes certificates. `bundle`: the file to trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        usages = dict.fromkeys(("key_cert_sign", "crl_sign"), True)
        own = (
            self._begin(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**{**_NO_USE, **usages}), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self.bundle = directory / "authority.pem"
        self.bundle.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def context(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        """What a server needs to prove that it is this name (or this address). `days`: until when; negative: it is expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            spoken_for: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            spoken_for = x509.DNSName(name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        request = (
            self._begin(subject, key, days=days)
            .add_extension(x509.SubjectAlternativeName([spoken_for]), critical=False)
            .add_extension(issuer, critical=False)
        )
        certificate = request.sign(self._key, hashes.SHA256())
        file = self._directory / f"{key.private_numbers().private_value}.pem"
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _begin(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = 1) -> x509.CertificateBuilder:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - datetime.timedelta(days=2))
            .not_valid_after(end)
        )


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Authority:
    """Clients trust it, in place of the authorities that they come with."""
    made = Authority(tmp_path)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(made.bundle))
    return made


class EncryptedServer(ScriptedServer):
    """A scripted server behind TLS."""

    def __init__(self, script: Script, context: ssl.SSLContext) -> None:
        def behind_tls(visit: Visit) -> None:
            with context.wrap_socket(visit.connection, server_side=True) as connection:
                visit.connection = connection
                self._connections.append(connection)
                script(visit)

        super().__init__(behind_tls)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])
