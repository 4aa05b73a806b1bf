"""Discord's roles: the example delivers one call a user to a small Discord, as it is but for address and server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.installation import Installation, users
from tests.partners.discord import GUILD, PAUSE_S, TOKEN, SmallDiscord

AUDIENCE, NAME = "a5940e473cea659.1", "Spring newsletter"
ANN, BOB, CLEO = "80351110224678912", "80351110224678913", "80351110224678914"
STRANGER = "99999999999999999"


@pytest.fixture
def partner(installation: Installation) -> Iterator[SmallDiscord]:
    with SmallDiscord(installation.clock, {ANN, BOB, CLEO}) as server:
        yield server


@pytest.fixture
def connector(installation: Installation, partner: SmallDiscord) -> str:
    settings = {
        "base_url": f"{partner.url}/api/v10",
        "allow_private_network": True,
        "parameters": {"guild": GUILD},
    }
    return installation.apply("discord-roles", settings, {"discord-bot-token": TOKEN})


def create(installation: Installation, connector: str) -> str:
    """The ID of the role."""
    made: str = installation.json("audiences", "create", connector, AUDIENCE, "--name", NAME)["partner_id"]
    return made


def test_discord_makes_a_role_and_gives_and_takes_it_at_the_pace_it_asks_for(
    installation: Installation, partner: SmallDiscord, connector: str
) -> None:
    role = create(installation, connector)
    assert partner.roles[role] | {"position": 0} == {
        "id": role, "name": NAME, "permissions": "0", "position": 0, "mentionable": False,
    }  # fmt: skip

    installation.joined(connector, AUDIENCE, *users(ANN, BOB, STRANGER, CLEO, "ann#1234", field="DiscordId"))
    installation.left(connector, AUDIENCE, *users(BOB, STRANGER, field="DiscordId"))

    assert partner.having(role) == {ANN, CLEO}
    # The header says a whole second; the fraction is in the answer's body.
    assert partner.limited > 0
    assert partner.waited == [pytest.approx(PAUSE_S)] * partner.limited
    assert installation.rejections() == {
        STRANGER: ("10007", "The user is not on the Discord server (status 404)."),
        "ann#1234": ("50035", "This is not the ID of a Discord user. Correct it at its source (status 400)."),
    }
    assert installation.waiting() == []


def test_a_role_with_the_audiences_name_is_used_again_unless_it_allows_something(
    installation: Installation, partner: SmallDiscord, connector: str
) -> None:
    powerful = partner.add_role(NAME, "8")
    role = create(installation, connector)
    assert role != powerful
    installation.diy("audiences", "create", connector, AUDIENCE, "--name", NAME)
    assert [one["name"] for one in partner.roles.values()] == ["@everyone", NAME, NAME]


def test_a_role_that_is_deleted_at_discord_is_an_audience_that_is_gone(
    installation: Installation, partner: SmallDiscord, connector: str
) -> None:
    del partner.roles[create(installation, connector)]
    installation.joined(connector, AUDIENCE, *users(ANN, field="DiscordId"))
    [(_, reason, detail)] = installation.waiting()
    assert (reason, detail) == ("audience_gone", "The role was deleted at Discord (status 404).")
    assert installation.rejections() == {}


def test_a_bot_that_may_not_give_the_role_keeps_users_waiting_and_nobody_is_rejected(
    installation: Installation, partner: SmallDiscord, connector: str
) -> None:
    role = create(installation, connector)
    partner.too_high = {role}
    installation.joined(connector, AUDIENCE, *users(ANN, BOB, field="DiscordId"))
    [(_, reason, detail)] = installation.waiting()
    assert reason == "misconfigured"
    assert "Manage Roles" in detail

    partner.too_high = set()
    installation.pass_time(300)
    assert partner.having(role) == {ANN, BOB}
    assert (installation.rejections(), installation.waiting()) == ({}, [])


def test_discord_offers_servers_and_roles_and_describes_a_role(
    installation: Installation, partner: SmallDiscord, connector: str
) -> None:
    assert "accepts" in installation.diy("connectors", "check", connector)
    role = create(installation, connector)
    guilds = installation.json("connectors", "options", connector, "guild")
    roles = installation.json("connectors", "options", connector, "role")
    assert [one["label"] for one in guilds] == ["Our customers", "Our team"]
    assert {"value": role, "label": NAME} in roles
    described = installation.json("audiences", "describe", connector, AUDIENCE)
    assert NAME in str(described)


def test_users_whose_ids_are_part_of_an_address_are_in_no_log(
    installation: Installation, partner: SmallDiscord, connector: str, capfd: pytest.CaptureFixture[str]
) -> None:
    create(installation, connector)
    installation.joined(connector, AUDIENCE, *users(ANN, STRANGER, field="DiscordId"))
    partner.roles.clear()
    installation.left(connector, AUDIENCE, *users(ANN, field="DiscordId"))
    logged = "".join(capfd.readouterr())
    assert connector in logged
    assert ANN not in logged
    assert STRANGER not in logged
