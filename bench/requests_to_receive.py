"""The request that everything is measured with: 100 mutations in 16 KB, of one audience or several, signed."""

from __future__ import annotations

import msgspec

from tests.end_to_end.stack import BASIC, HMAC_SECRET
from tests.unit.mapp.edge import basic, signature

MUTATIONS = 100
PATH = "/pangolin?type=ADD_TO_AUDIENCE"


def change(audiences: int = 1, *, first: int = 0) -> bytes:
    """As it travels. The mutations are of so many audiences in turn, named from number `first` on."""
    users = [
        {"Audience": f"bench.{first + number % audiences:06d}", "User": f"user-{number:08d}-{'x' * 92}", "Customer": 123}
        for number in range(MUTATIONS)
    ]
    return signed(PATH, msgspec.json.encode({"Type": "ADD_TO_AUDIENCE", "Customer": 123, "Mutations": users}))


def creation(audience: str) -> bytes:
    """A request to make this audience, as it travels."""
    body = {"Type": "CREATE_AUDIENCE", "Customer": 123, "Audience": audience, "Name": audience}
    return signed("/pangolin?type=CREATE_AUDIENCE", msgspec.json.encode(body))


def signed(path: str, body: bytes, *, secret: str = HMAC_SECRET) -> bytes:
    """A POST of this body, as it travels over a connection that stays open. secret: what it is signed with."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: {basic(BASIC)}\r\nX-HMAC: {signature(body, secret)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
