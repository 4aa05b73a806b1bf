"""Which addresses are public, and how a name becomes addresses."""

from __future__ import annotations

import ipaddress
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.network import AddressInfo, addresses, is_public, look_up, require_encryption
from relay.domain.errors import Misconfigured
from tests.unit.adapters.internet import numeric

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "198.17.255.255",
    "223.255.255.255",
    "2001:200::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "2a00:1450:4001:80b:0:0:0:200e",
    "64:ff9b::8.8.8.8",
]

NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"],
    "loopback": ["127.0.0.1", "127.1.2.3", "127.255.255.255", "::1"],
    "link-local": ["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"],
    "a zone": ["fe80::1%eth0", "fe80::1%1", "2606:4700:4700::1111%eth0", "::1%lo"],
    "shared": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "unique local": ["fc00::1", "fd00:ec2::254", "fdff::1"],
    "site-local": ["fec0::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.254", "255.255.255.255", "4000::1", "100::1", "5f00::1", "1::1"],
    "of protocols": ["192.0.0.1", "192.0.0.192", "192.88.99.1", "2001:1::1", "2001:20::1"],
    "for measuring": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "for documents": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "0:0:0:0:0:ffff:7f00:1"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "Teredo": ["2001::1", "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::8.8.8.8"],
    "no address in its usual spelling": [
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.0.0.01",
        "8.8.8.010",
        "134744072",
        " 8.8.8.8",
        "8.8.8.8\n",
        "8.8.8.8:80",
        "8.8.8.8/32",
        "١.١.١.١",
        "[::1]",
        "localhost",
        "example.com",
        "",
    ],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, all_of_it in NOT_PUBLIC.items() for one in all_of_it])
def test_no_other_address_is_public(kind: str, address: str) -> None:
    assert not is_public(address)


ANY_ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(ANY_ADDRESS)
def test_what_python_knows_to_be_special_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    assert not (special and is_public(str(address)))


# --- how names become addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "0", "0.0"),
        *("10.1", "0xa9fea9fe", "2852039166", "192.168.257", "::1", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
        *("0:0:0:0:0:0:0:1", "64:ff9b::7f00:1", "fe80::1", "fe80::1%1", "fe80::1%25eth0", "8.8.8.8%1", "localhost"),
    ],
)
def test_however_it_is_spelled_a_private_address_is_refused(host: str) -> None:
    with pytest.raises(Misconfigured, match=r"settings\.allow_private_network: true") as caught:
        addresses(host, 443, look_up, 20, public_only=True)
    assert caught.value.code == "private_address"


def test_an_unusual_spelling_of_a_public_address_stands_for_that_address() -> None:
    found = addresses("134744072", 443, look_up, 20, public_only=True)
    assert {info[4] for info in found} == {("8.8.8.8", 443)}


@pytest.mark.parametrize("private", ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_private_address_among_public_ones_is_enough(private: str, first: bool) -> None:
    mixed = ["8.8.8.8", "2606:4700:4700::1111"]
    mixed.insert(0 if first else 2, private)

    def resolver(host: str, port: int) -> list[AddressInfo]:
        return [info for address in mixed for info in numeric(address, port)]

    with pytest.raises(Misconfigured) as caught:
        addresses("partner.example", 443, resolver, 20, public_only=True)
    assert caught.value.code == "private_address"
    assert len(addresses("partner.example", 443, resolver, 20, public_only=False)) == 3


def test_a_zone_is_refused_also_where_only_the_socket_address_has_it() -> None:
    zoned: AddressInfo = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700:4700::1111", 443, 0, 2))
    with pytest.raises(Misconfigured):
        addresses("partner.example", 443, lambda host, port: [zoned], 20, public_only=True)


def test_a_resolver_that_does_not_answer_in_time_is_left_behind() -> None:
    over = threading.Event()

    def hangs(host: str, port: int) -> list[AddressInfo]:
        over.wait(60)
        return numeric("8.8.8.8", port)

    try:
        with pytest.raises(TimeoutError):
            addresses("partner.example", 443, hangs, 0.05, public_only=True)
    finally:
        over.set()


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "?"), UnicodeError("label too long")])
def test_what_the_resolver_raises_is_raised(error: Exception) -> None:
    def fails(host: str, port: int) -> list[AddressInfo]:
        raise error

    with pytest.raises(type(error)):
        addresses("partner.example", 443, fails, 20, public_only=True)


def test_the_sentence_names_the_host_and_not_what_is_behind_it() -> None:
    with pytest.raises(Misconfigured) as caught:
        addresses("console.internal", 8443, lambda host, port: numeric("10.7.6.5", port), 20, public_only=True)
    assert "(console.internal:8443)" in caught.value.hint
    assert "10.7.6.5" not in caught.value.hint


def test_plain_http_is_refused_without_showing_the_rest_of_the_address() -> None:
    require_encryption("https://partner.example/a")
    with pytest.raises(Misconfigured, match=r"\(partner\.example:80\).*settings\.allow_private_network: true") as caught:
        require_encryption("http://partner.example/a?key=a-secret")
    assert caught.value.code == "plain_http"
    assert "a-secret" not in caught.value.hint
