"""Before anything is started: what must not be, what must be free, and the state with its secrets and its connector."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.configuration import LOCAL_SECRETS, Configuration
from relay.connectors.publishing import Publishing
from relay.domain.connector import Connector, DocumentVersion, Inbound
from relay.domain.errors import ConfigurationError, NotFound

CONNECTOR = "pangolin"
ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "connectors" / "pangolin.yaml"
DOCUMENT_URL = "http://127.0.0.1:8082"
"""Where the document says that Pangolin is."""


def check_address(configuration: Configuration) -> None:
    """A local run uses secrets that everybody knows: on any other address than this machine's own it is refused."""
    if configuration.on_cloud_run:
        raise ConfigurationError("K_SERVICE is set, as on Cloud Run, and a local run stays on one's own machine: unset it.")
    if not configuration.on_loopback:
        raise ConfigurationError(
            f"HOST is {configuration.host!r}, and a local run uses secrets that everybody knows, so it stays on this machine: "
            "leave HOST out, or set HOST=127.0.0.1."
        )


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """While inside, no other local run works on this state: each would make the connector deliver to its own Pangolin, and the
    other's users with it. The lock ends with the process, however that dies.

    Raises `ConfigurationError` where another one runs.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / "local-run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another 'make run' works on the state in {directory}. End it first, or give this one a state of its own: "
                "STATE_DIR=... make run"
            ) from None
        yield
    finally:
        os.close(descriptor)


def check_ports(configuration: Configuration) -> None:
    """Raises `ConfigurationError` for the first port that cannot be had."""
    taken: dict[int, str] = {}
    wanted = {
        "RECEIVER_PORT": configuration.receiver_port,
        "CONSOLE_PORT": configuration.console_port,
        "PANGOLIN_PORT": configuration.pangolin_port,
    }
    if configuration.feed_port:
        wanted |= {"FEED_PORT": configuration.feed_port, "GATEWAY_PORT": configuration.gateway_port}
    for variable, port in wanted.items():
        if port in taken:
            raise ConfigurationError(f"{taken[port]} and {variable} are both {port}; each needs a port of its own.")
        taken[port] = variable
        if variable == "GATEWAY_PORT":
            continue  # the simulated platform's, which may be there already
        problem = _occupied(configuration.host, port)
        if problem:
            raise ConfigurationError(f"Port {port} {problem}. Choose another one with {variable}=... make run")


def _occupied(host: str, port: int) -> str:
    """Why the port cannot be had; empty if it can."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # Where someone listens on all addresses, some systems still let one bind a single one: the call finds them.
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=0.5):
        return "is in use"
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return ""


class Prepared(msgspec.Struct, frozen=True):
    """The state as the processes will find it.

    notes  sentences about what was done
    hmac_secret, basic  what the simulated DMP signs with: the current values
    """

    notes: tuple[str, ...]
    hmac_secret: str
    basic: str

    @property
    def is_local(self) -> bool:
        """Whether these are the fixed local secrets, which may be printed."""
        return (self.hmac_secret, self.basic) == (LOCAL_SECRETS["pangolin-hmac"], LOCAL_SECRETS["pangolin-basic"])


def prepare(configuration: Configuration, backend: Backend) -> Prepared:
    """Sets the local secrets that are not set, and makes the connector deliver to Pangolin where it runs now.

    What is there already is kept, with its operator's changes; only the address of Pangolin is corrected.
    """
    publishing = Publishing(backend, describe, configuration.user)
    for name, value in LOCAL_SECRETS.items():
        if not backend.secrets.get(name):
            publishing.set_secret(name, value)
    note, inbound = _apply(configuration, backend, publishing)
    hmac_secret = (*backend.secrets.get(inbound.hmac_secret), "")[0] if inbound.hmac_secret else ""
    basic = (*backend.secrets.get(inbound.basic_auth), "")[0] if inbound.basic_auth else ""
    return Prepared((note,), hmac_secret, basic)


def _apply(configuration: Configuration, backend: Backend, publishing: Publishing) -> tuple[str, Inbound]:
    url = configuration.local_url(configuration.pangolin_port)
    live = _live(backend)
    if live is None:
        text = DOCUMENT.read_text(encoding="utf-8").replace(DOCUMENT_URL, url)
        publishing.apply(text)
        note = "applied"
    else:
        version, connector = live
        address = str(connector.settings.get("base_url", ""))
        if address.rstrip("/") == url:
            return f"connector {CONNECTOR}: version {version.number}, as it was", connector.inbound
        publishing.apply(version.text.replace(address, url))
        note = f"applied, since Pangolin is at {url} now"
    live = _live(backend)
    if live is None:
        raise ConfigurationError(f"The connector {CONNECTOR} is not published. See: diy connectors versions {CONNECTOR}")
    version, connector = live
    return f"connector {CONNECTOR}: version {version.number} {note}", connector.inbound


def _live(backend: Backend) -> tuple[DocumentVersion, Connector] | None:
    try:
        number = backend.connectors.state(CONNECTOR).live
        version = backend.connectors.version(CONNECTOR, number) if number else None
    except NotFound:
        return None
    if version is None:
        return None
    return next(((version, connector) for connector in version.connectors if connector.name == CONNECTOR), None)
