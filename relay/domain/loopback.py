"""Whether a host is this machine itself, as addresses and Host headers write it."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether this name or address (without a port, without brackets) never leaves the machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def without_port(host: str) -> str:
    """The host of a Host header."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
