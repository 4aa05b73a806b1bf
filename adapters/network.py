"""Where calls may go: a connector without `allow_private_network` reaches public addresses only, and those only encrypted.

The address of such a connector is written by people who need not know what else can be reached from where this runs (metadata
servers, databases, consoles). A name is looked up once, all that it stands for is checked, and the connection is made to exactly
what was checked: an answer of the DNS that changes in between cannot lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from relay.domain.errors import Misconfigured


class Network(msgspec.Struct, frozen=True):
    """What a connector may reach. `public_only`: public addresses, by https. `follow_redirects`: see `adapters.redirects`."""

    public_only: bool = False
    follow_redirects: bool = False


ANYWHERE = Network()
"""No address is refused; a redirect is an answer."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name and socket address, as `socket.getaddrinfo` gives them."""

Resolver = Callable[[str, int], Sequence[AddressInfo]]
"""Host and port → where it can be reached, best first. Raises `OSError`, or `ValueError` for what cannot be a name."""


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """By the system. What stands for an IPv4 address in any spelling (`127.1`, `0x7f000001`) gives this address."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


# https://www.iana.org/assignments/iana-ipv4-special-registry and .../multicast-addresses, as a list of our own: what `ipaddress`
# calls global differs between versions of Python.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a provider
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, metadata servers
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # measuring
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

# https://www.iana.org/assignments/ipv6-unicast-address-assignments and .../iana-ipv6-special-registry. Everything outside of
# 2000::/3 is something else: loopback, IPv4-mapped, unique local, link-local, multicast, NAT64 with a local prefix (RFC 8215) …
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# RFC 6052: how a network without IPv4 reaches the IPv4 address in the last 32 bits.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether it is the address of one machine on the public Internet. False for everything that is not plainly that: a zone
    (`fe80::1%eth0`), a name, an unusual spelling."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC_4)
    if ip.scope_id is not None:
        return False
    if ip in _NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip in _UNICAST_6 and not any(ip in network for network in _NOT_PUBLIC_6)


def addresses(host: str, port: int, resolver: Resolver, timeout_s: float, *, public_only: bool) -> Sequence[AddressInfo]:
    """Where the host can be reached; all of it is public if it must be. `host`: a name or an address, without brackets.

    Raises `TimeoutError` if the resolver has no answer in time (it cannot be stopped, and is left behind), what the resolver
    raises, and `Misconfigured` (`private_address`) if a single one of them is not public: it is not for chance to choose.
    """
    if public_only and "%" in host:
        raise _private(host, port)
    found = _within(lambda: resolver(host, port), timeout_s)
    if public_only and not all(_is_public(info) for info in found):
        raise _private(host, port)
    return found


def require_encryption(url: str) -> None:
    """Raises `Misconfigured` (`plain_http`) unless it begins with https."""
    if urlsplit(url).scheme != "https":
        raise Misconfigured(
            f"The partner's address ({place(url)}) does not begin with https://, so everything would be readable on its way. Use "
            "https://, or set `settings.allow_private_network: true` if it is in your own network.",
            code="plain_http",
        )


def place(url: str) -> str:
    """Host and port of an address, to be shown: `api.example.com:443`, `[::1]:8082`."""
    parts = urlsplit(url)
    return _shown(parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))


def _is_public(info: AddressInfo) -> bool:
    family, _, _, _, where = info
    if family == socket.AF_INET6 and any(where[3:4]):
        return False
    return family in (socket.AF_INET, socket.AF_INET6) and is_public(str(where[0]))


def _private(host: str, port: int) -> Misconfigured:
    return Misconfigured(
        f"The partner's address ({_shown(host, port)}) is not one on the public Internet, and nothing was sent there. If it is "
        "meant to be reached in your own network, set `settings.allow_private_network: true`; otherwise correct it.",
        code="private_address",
    )


def _shown(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def _within(look: Callable[[], Sequence[AddressInfo]], timeout_s: float) -> Sequence[AddressInfo]:
    """The system's resolver knows no time-out: it runs in a thread of its own, which nobody waits for longer."""
    answers: queue.SimpleQueue[Sequence[AddressInfo] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(look())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=run, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError("The name could not be looked up in time.") from None
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            del answer  # see `adapters.connection`
    return answer
