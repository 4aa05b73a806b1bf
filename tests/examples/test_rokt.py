"""ROKT's audiences, described as an HTTP API: the example delivers to a small ROKT, as it is but for address and account."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.examples.installation import Installation, users
from tests.partners.rokt import ACCOUNT, SECRETS, SmallRokt

AUDIENCE, NAME = "a5940e473cea659.1", "Spring newsletter"


def sha(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()


@pytest.fixture
def partner() -> Iterator[SmallRokt]:
    with SmallRokt() as server:
        yield server


@pytest.fixture
def connector(installation: Installation, partner: SmallRokt) -> str:
    settings = {"base_url": partner.url, "allow_private_network": True, "parameters": {"account_id": ACCOUNT}}
    keys = {"rokt-public-key": SECRETS["client_id"], "rokt-secret-key": SECRETS["client_secret"]}
    return installation.apply("rokt-audiences-over-http", settings, keys)


def test_rokt_gets_hashes_in_the_list_named_like_the_audience_ten_minutes_later(
    installation: Installation, partner: SmallRokt, connector: str
) -> None:
    installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)
    hashed = sha("cleo@example.com").upper()

    installation.joined(connector, AUDIENCE, *users(" Ann @Example.com", "bob@example.com", "no address", field="Email"))
    installation.joined(connector, AUDIENCE, {"User": "without-email"}, {"Email": hashed})
    installation.left(connector, AUDIENCE, {"Email": "BOB@example.com"})
    assert partner.served == []
    installation.pass_time(600)

    assert partner.lists == {NAME: {sha("ann@example.com"), sha("cleo@example.com")}}
    assert installation.rejections() == {
        "no address": ("unusable_value", "What this user has as E-mail cannot be used for ROKT."),
        "without-email": ("missing_field", "This user has no value for E-mail, which ROKT needs."),
    }
    assert installation.waiting() == []


def test_a_list_without_a_name_is_that_of_the_audiences_id_and_never_rokts_default(
    installation: Installation, partner: SmallRokt, connector: str
) -> None:
    installation.joined(connector, AUDIENCE, {"Email": "ann@example.com"})
    installation.pass_time(600)
    assert partner.lists == {AUDIENCE: {sha("ann@example.com")}}


def test_two_audiences_never_share_a_list_at_rokt(
    installation: Installation, partner: SmallRokt, connector: str
) -> None:
    installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)
    second = installation.run("audiences", "create", connector, "a.2", "--name", NAME)
    assert second.exit_code == 1


def test_rokts_keys_are_checked(installation: Installation, partner: SmallRokt, connector: str) -> None:
    assert "accepts" in installation.diy("connectors", "check", connector)
    installation.diy("secrets", "set", "rokt-secret-key", input="rsec-of-another")
    assert installation.run("connectors", "check", connector).exit_code == 1
