"""Salesforce's Bulk API: the example delivers by jobs to a small Salesforce, as it is but for the addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.installation import Installation, users
from tests.partners.salesforce import CLIENT_ID, CLIENT_SECRET, SmallSalesforce

AUDIENCE, NAME = "a5940e473cea659.1", "Spring newsletter"
CHECKBOX = "Spring_Newsletter__c"


@pytest.fixture
def partner() -> Iterator[SmallSalesforce]:
    with SmallSalesforce({"C-1", "C-2", "C-3", 'C,"4"'}, {CHECKBOX, "Summer__c"}) as server:
        yield server


@pytest.fixture
def connector(installation: Installation, partner: SmallSalesforce) -> str:
    url = partner.url
    settings = {"base_url": url, "allow_private_network": True, "auth": {"token_url": f"{url}/services/oauth2/token"}}
    client = {"salesforce-client-id": CLIENT_ID, "salesforce-client-secret": CLIENT_SECRET}
    return installation.apply("salesforce-bulk", settings, client)


def link(installation: Installation, connector: str, checkbox: str = CHECKBOX) -> None:
    installation.diy("audiences", "link", connector, AUDIENCE, checkbox, "--name", NAME)


def test_salesforce_ticks_and_clears_the_checkbox_by_jobs_and_says_who_is_no_contact(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)

    installation.joined(connector, AUDIENCE, *users("C-1", "C-9", "C-2", 'C,"4"'))
    installation.pass_time(300)
    installation.left(connector, AUDIENCE, *users("C-2", "C-8"))
    installation.pass_time(300)

    assert partner.contacts == {"C-1": {CHECKBOX}, "C-2": set(), "C-3": set(), 'C,"4"': {CHECKBOX}}
    assert [(job.state, len(job.lines)) for job in partner.jobs] == [("JobComplete", 4), ("JobComplete", 2)]
    hint = "Salesforce has no Contact with this external ID, and cannot make one without a last name."
    assert installation.rejections() == {"C-9": ("REQUIRED_FIELD_MISSING", hint)}
    assert installation.waiting() == []


def test_a_contact_that_is_locked_is_written_by_another_job(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)
    partner.locked = {"C-2"}

    installation.joined(connector, AUDIENCE, *users("C-1", "C-2"))
    installation.pass_time(300)
    assert partner.contacts["C-2"] == set()
    installation.pass_time(300)

    assert partner.contacts["C-2"] == {CHECKBOX}
    assert [len(job.lines) for job in partner.jobs] == [2, 1]
    assert (installation.rejections(), installation.waiting()) == ({}, [])


def test_a_job_that_takes_too_long_is_aborted_and_its_users_are_sent_again_with_another(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)
    partner.busy = True
    installation.joined(connector, AUDIENCE, *users("C-1"))
    installation.pass_time(300)
    [(_, reason, detail)] = installation.waiting()
    assert (reason, "has not finished" in detail) == ("partner_unavailable", True)
    assert {job.state for job in partner.jobs} == {"Aborted"}
    given_up = len(partner.jobs)

    partner.busy = False
    installation.pass_time(300)

    assert partner.contacts["C-1"] == {CHECKBOX}
    assert [job.state for job in partner.jobs] == ["Aborted"] * given_up + ["JobComplete"]
    assert (installation.rejections(), installation.waiting()) == ({}, [])


def test_users_wait_until_their_audience_is_linked_to_a_checkbox(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    installation.joined(connector, AUDIENCE, *users("C-1"))
    installation.pass_time(300)
    [(_, reason, detail)] = installation.waiting()
    assert reason == "audience_not_ready"
    assert "diy audiences link" in detail

    link(installation, connector)
    installation.pass_time(300)

    assert partner.contacts["C-1"] == {CHECKBOX}
    assert installation.waiting() == []


def test_a_checkbox_that_is_deleted_at_salesforce_is_an_audience_that_is_gone(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)
    partner.checkboxes.remove(CHECKBOX)

    installation.joined(connector, AUDIENCE, *users("C-1"))
    installation.pass_time(300)
    [(_, reason, detail)] = installation.waiting()
    assert reason == "audience_gone"
    assert "no such checkbox" in detail

    link(installation, connector, "Summer__c")
    installation.pass_time(300)
    assert partner.contacts["C-1"] == {"Summer__c"}
    assert (installation.rejections(), installation.waiting()) == ({}, [])


def test_salesforces_token_is_fetched_once_and_again_when_it_is_no_longer_accepted(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)
    for user in ("C-1", "C-2"):
        installation.joined(connector, AUDIENCE, *users(user))
        installation.pass_time(300)
    assert partner.tokens_given == 1

    partner.expire_token()
    installation.joined(connector, AUDIENCE, *users("C-3"))
    installation.pass_time(300)

    assert partner.tokens_given == 2
    assert partner.contacts["C-3"] == {CHECKBOX}
    assert installation.waiting() == []


def test_when_salesforces_calls_of_the_day_are_used_up_users_wait(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    link(installation, connector)
    partner.out_of_calls = True
    installation.joined(connector, AUDIENCE, *users("C-1"))
    installation.pass_time(300)
    [(_, reason, detail)] = installation.waiting()
    assert (reason, "calls that Salesforce allows" in detail) == ("partner_unavailable", True)

    partner.out_of_calls = False
    installation.pass_time(300)
    assert partner.contacts["C-1"] == {CHECKBOX}


def test_salesforces_checkboxes_are_offered_for_linking(
    installation: Installation, partner: SmallSalesforce, connector: str
) -> None:
    assert "accepts" in installation.diy("connectors", "check", connector)
    offered = installation.json("connectors", "options", connector, "audience")
    assert offered == [{"value": CHECKBOX, "label": "Spring Newsletter"}, {"value": "Summer__c", "label": "Summer"}]
