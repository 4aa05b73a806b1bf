"""The examples of ROKT and Meta deliver as they are, but for address and account: their adapters are written, not described."""

from __future__ import annotations

import hashlib

from tests.examples.installation import Installation
from tests.partners.meta import ACCOUNT, TOKEN, SmallMeta
from tests.partners.rokt import ACCOUNT as ROKT_ACCOUNT
from tests.partners.rokt import SECRETS, SmallRokt

AUDIENCE, NAME = "a5940e473cea659.1", "Spring newsletter"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_example_of_rokt_keeps_the_list_named_like_the_audience(installation: Installation) -> None:
    with SmallRokt() as partner:
        settings = {"base_url": partner.url, "allow_private_network": True, "account_id": ROKT_ACCOUNT}
        keys = {"rokt-client-id": SECRETS["client_id"], "rokt-client-secret": SECRETS["client_secret"]}
        connector = installation.apply("rokt", settings, keys)
        installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)

        installation.joined(connector, AUDIENCE, {"Email": " Ann @Example.com"}, {"Email": "bob@example.com"})
        installation.joined(connector, AUDIENCE, {"Email": "no address"})
        installation.left(connector, AUDIENCE, {"Email": "BOB@example.com"})
        assert partner.lists == {}
        installation.pass_time(600)

        assert partner.lists == {NAME: {sha("ann@example.com")}}
        assert installation.rejections().keys() == {"no address"}
        assert installation.waiting() == []


def test_the_example_of_meta_makes_the_audience_and_keeps_its_members(installation: Installation) -> None:
    with SmallMeta() as partner:
        settings = {"base_url": partner.url, "allow_private_network": True, "account_id": ACCOUNT}
        connector = installation.apply("meta", settings, {"meta-access-token": TOKEN})
        installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)

        installation.joined(connector, AUDIENCE, {"Email": " Ann@Example.com"}, {"Email": "bob@example.com"})
        installation.left(connector, AUDIENCE, {"Email": "BOB@example.com"})
        installation.pass_time(600)

        ((audience, members),) = partner.members.items()
        assert partner.audiences[audience]["name"] == NAME
        assert {dict(member)["EMAIL"] for member in members} == {sha("ann@example.com")}
        assert installation.rejections() == {}
        assert installation.waiting() == []
