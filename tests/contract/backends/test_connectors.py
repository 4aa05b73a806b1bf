"""Documents with versions, and the state of connectors."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.backends.interfaces import Backend, Token
from relay.domain.connector import ConnectorState, RateLimits
from relay.domain.errors import Conflict, NotFound, TurnLost
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, connector, document, drop_all, held, message, published, request, users

NO_LIMIT = RateLimits()


# documents
def test_versions_are_numbered_from_one(backend: Backend) -> None:
    given = document()
    assert backend.connectors.add_version(given) == replace(given, number=1)
    assert backend.connectors.add_version(given).number == 2
    assert backend.connectors.add_version(document(connector("other"))).number == 1
    assert [version.number for version in backend.connectors.versions("pangolin")] == [1, 2]
    assert backend.connectors.version("pangolin", 1) == replace(given, number=1)


def test_every_stored_connector_carries_the_number_of_its_version(backend: Backend) -> None:
    for guess in (1, 1, 7):
        connectors = [replace(connector(name), document_version=guess) for name in ("pangolin", "pangolin@sandbox")]
        stored = backend.connectors.add_version(replace(document(*connectors), number=guess))
        assert stored == backend.connectors.version("pangolin", stored.number)
    numbers = [
        (version.number, {one.document_version for one in version.connectors})
        for version in backend.connectors.versions("pangolin")
    ]
    assert numbers == [(1, {1}), (2, {2}), (3, {3})]


def test_many_versions_are_read_at_once_and_those_that_are_not_there_are_left_out(backend: Backend) -> None:
    for given in (document(), document(), document(connector("other"))):
        backend.connectors.add_version(given)
    places = [("pangolin", 2), ("other", 1)]
    found = backend.connectors.versions_at([*places, ("pangolin", 3), ("nobody", 1)])
    assert found == {place: backend.connectors.version(*place) for place in places}
    assert backend.connectors.versions_at([]) == {}


def test_documents_are_listed_in_the_order_in_which_they_were_first_applied(backend: Backend) -> None:
    assert backend.connectors.documents() == []
    for name in ("zebra", "aardvark", "zebra"):
        backend.connectors.add_version(document(connector(name)))
    assert backend.connectors.documents() == ["zebra", "aardvark"]


def test_what_is_not_there_is_not_found(backend: Backend) -> None:
    backend.connectors.add_version(document())
    with pytest.raises(NotFound):
        backend.connectors.versions("unknown")
    with pytest.raises(NotFound):
        backend.connectors.version("pangolin", 2)
    with pytest.raises(NotFound):
        backend.connectors.publish("pangolin", 2)
    with pytest.raises(NotFound):
        backend.connectors.delete("unknown")
    with pytest.raises(NotFound):
        backend.connectors.set_default("unknown")


# publishing
def test_a_draft_does_not_run(backend: Backend) -> None:
    backend.connectors.add_version(document())
    assert backend.connectors.states() == []
    with pytest.raises(NotFound):
        backend.connectors.state("pangolin")


def test_publishing_makes_the_states_of_all_its_connectors(backend: Backend) -> None:
    published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    assert backend.connectors.states() == [
        ConnectorState(name="pangolin", live=1, live_since=BEGINNING, enabled=True),
        ConnectorState(name="pangolin@sandbox", live=1, live_since=BEGINNING, enabled=True),
    ]
    assert backend.connectors.version("pangolin", 1).published_at == BEGINNING


def test_publishing_changes_the_live_version_and_nothing_else(backend: Backend) -> None:
    published(backend)
    backend.connectors.set_enabled("pangolin", False)
    backend.connectors.set_action("pangolin", "Add", "skipped")
    assert published(backend) == 2
    assert backend.connectors.state("pangolin") == ConnectorState(
        name="pangolin", live=2, live_since=BEGINNING, enabled=False, actions={"Add": "skipped"}
    )
    backend.connectors.publish("pangolin", 1)
    assert backend.connectors.state("pangolin").live == 1


def test_a_document_that_was_deleted_and_applied_again_does_not_pass_for_the_one_before(
    backend: Backend, clock: TurnedClock
) -> None:
    published(backend)
    before = backend.connectors.state("pangolin")
    backend.connectors.delete("pangolin")
    clock.advance(1)
    published(backend)
    after = backend.connectors.state("pangolin")
    assert (before.live, before.live_since) == (1, BEGINNING)
    assert (after.live, after.live_since) == (1, BEGINNING + 1)


def test_a_connector_that_the_version_does_not_have_stops(backend: Backend) -> None:
    published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    published(backend, connector("other"))
    published(backend, connector("pangolin"))
    assert backend.connectors.state("pangolin@sandbox").live == 0
    assert backend.connectors.state("pangolin").live == 2
    assert backend.connectors.state("other").live == 1


def test_publishing_makes_gathering_holds_due(backend: Backend) -> None:
    number = published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    later = BEGINNING + 600
    held(backend, "a.1", why=request("gathering", due_at=later))
    held(backend, "a.2", why=request("gathering", due_at=later), connector="pangolin@sandbox")
    held(backend, "a.3", why=request("come_back_later", due_at=later))
    held(backend, "a.4", why=request("gathering", due_at=later), connector="other")
    backend.connectors.publish("pangolin", number)
    assert [audience.id for audience in backend.audiences.due(BEGINNING)] == ["a.1", "a.2"]


# deleting
def test_a_deleted_document_leaves_nothing(backend: Backend) -> None:
    published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    published(backend, connector("other"))
    backend.connectors.set_default("pangolin")
    backend.connectors.delete("pangolin")
    assert backend.connectors.documents() == ["other"]
    assert [state.name for state in backend.connectors.states()] == ["other"]
    assert backend.connectors.default() == "other"
    with pytest.raises(NotFound):
        backend.connectors.version("pangolin", 1)


def test_a_document_whose_audiences_hold_batches_is_not_deleted(backend: Backend) -> None:
    published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    held(backend, connector="pangolin@sandbox")
    with pytest.raises(Conflict):
        backend.connectors.delete("pangolin")
    assert backend.connectors.documents() == ["pangolin"]
    drop_all(backend, "pangolin@sandbox")
    backend.connectors.delete("pangolin")
    assert backend.connectors.documents() == []
    assert backend.audiences.all() == []


def test_the_logins_of_a_connector_go_with_its_document(backend: Backend) -> None:
    published(backend, connector("pangolin"), connector("pangolin@sandbox"))
    others = ["login.other.user.1.2", "login.pangolin-2.user.1.2", "login.pangolin@production.user.1.2", "oauth2.of.pangolin"]
    its_own = ["login.pangolin.user.1.2", "login.pangolin.user.1.2.a1b2", "login.pangolin@sandbox.destination.7"]
    for name in (*others, *its_own):
        backend.tokens.lease(name, owner="w1", for_s=30)
        backend.tokens.put(name, Token("access", BEGINNING + 3_600, "refresh"), owner="w1")
    backend.tokens.lease("login.pangolin.user.1.2.a1b2", owner="w2", for_s=30)
    held(backend)
    with pytest.raises(Conflict):
        backend.connectors.delete("pangolin")
    assert len(backend.tokens.names("login.pangolin")) == 5
    drop_all(backend, "pangolin")
    backend.connectors.delete("pangolin")
    assert backend.tokens.names("") == others
    with pytest.raises(Conflict):
        backend.tokens.put("login.pangolin.user.1.2.a1b2", Token("late", BEGINNING + 3_600), owner="w2")


def test_what_comes_after_its_connector_was_deleted_waits_until_it_is_applied_again(backend: Backend) -> None:
    published(backend)
    backend.connectors.delete("pangolin")
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    assert (turn.state.live, turn.state.enabled) == (0, False)
    backend.audiences.join(turn, message("a.1", "u1"), request("connector_off"))
    published(backend)
    assert backend.connectors.state("pangolin").live == 1
    assert [audience.id for audience in backend.audiences.due(BEGINNING)] == ["a.1"]
    assert users(backend.audiences.peek("pangolin", "a.1", limit=10)) == [["u1"]]


def test_a_turn_that_was_under_way_when_its_connector_was_deleted_has_lost_it(backend: Backend) -> None:
    published(backend)
    turn = backend.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    backend.connectors.delete("pangolin")
    with pytest.raises(TurnLost):
        backend.audiences.join(turn, message("a.1", "u1"), request())


def test_numbers_begin_anew_with_a_document_that_was_deleted(backend: Backend) -> None:
    published(backend)
    published(backend)
    backend.connectors.delete("pangolin")
    assert published(backend) == 1
    assert [version.number for version in backend.connectors.versions("pangolin")] == [1]


# switches
def test_a_connector_is_switched(backend: Backend) -> None:
    published(backend)
    assert not backend.connectors.set_enabled("pangolin", False).enabled
    assert not backend.connectors.state("pangolin").enabled
    assert backend.connectors.set_enabled("pangolin", True).enabled
    assert backend.connectors.set_paused("pangolin", True).paused
    assert backend.connectors.state("pangolin").paused
    assert not backend.connectors.set_paused("pangolin", False).paused


def test_an_action_is_switched(backend: Backend) -> None:
    published(backend)
    backend.connectors.set_action("pangolin", "Add", "paused")
    backend.connectors.set_action("pangolin", "Remove", "skipped")
    assert backend.connectors.state("pangolin").actions == {"Add": "paused", "Remove": "skipped"}
    backend.connectors.set_action("pangolin", "Add", "skipped")
    assert backend.connectors.set_action("pangolin", "Remove", None).actions == {"Add": "skipped"}
    assert backend.connectors.set_action("pangolin", "never switched", None).actions == {"Add": "skipped"}


def test_a_connector_without_a_state_cannot_be_switched(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.connectors.set_enabled("pangolin", True)
    with pytest.raises(NotFound):
        backend.connectors.set_paused("pangolin", True)
    with pytest.raises(NotFound):
        backend.connectors.set_action("pangolin", "Add", "paused")
    with pytest.raises(NotFound):
        backend.connectors.not_before("pangolin", BEGINNING + 1, reason="come_back_later", detail="")


# not before
def test_a_later_moment_is_never_shortened(backend: Backend) -> None:
    published(backend)
    backend.connectors.not_before("pangolin", BEGINNING + 60, reason="come_back_later", detail="the first")
    backend.connectors.not_before("pangolin", BEGINNING + 30, reason="partner_unavailable", detail="the second")
    state = backend.connectors.state("pangolin")
    assert (state.not_before, state.not_before_reason, state.not_before_detail) == (
        BEGINNING + 60,
        "come_back_later",
        "the first",
    )
    backend.connectors.not_before("pangolin", BEGINNING + 90, reason="partner_unavailable", detail="the third")
    state = backend.connectors.state("pangolin")
    assert (state.not_before, state.not_before_reason, state.not_before_detail) == (
        BEGINNING + 90,
        "partner_unavailable",
        "the third",
    )


def test_a_moment_in_the_past_clears_it(backend: Backend) -> None:
    published(backend)
    backend.connectors.not_before("pangolin", BEGINNING + 60, reason="credentials_refused", detail="wrong token")
    backend.connectors.not_before("pangolin", 0, reason="come_back_later", detail="")
    assert backend.connectors.state("pangolin") == ConnectorState(name="pangolin", live=1, live_since=BEGINNING)


def test_no_call_is_admitted_before_that_moment(backend: Backend, clock: TurnedClock) -> None:
    published(backend)
    backend.connectors.not_before("pangolin", BEGINNING + 60, reason="come_back_later", detail="")
    assert backend.connectors.admit("pangolin", NO_LIMIT, items=1) == 60
    clock.advance(59)
    assert backend.connectors.admit("pangolin", RateLimits(calls=1), items=1) == 1
    clock.advance(1)
    assert backend.connectors.admit("pangolin", RateLimits(calls=1), items=1) == 0


# the default
def test_the_default_is_the_first_applied_until_one_is_chosen(backend: Backend) -> None:
    assert backend.connectors.default() == ""
    published(backend, connector("zebra"))
    published(backend, connector("aardvark"))
    assert backend.connectors.default() == "zebra"
    backend.connectors.set_default("aardvark")
    assert backend.connectors.default() == "aardvark"
    backend.connectors.set_default("zebra")
    assert backend.connectors.default() == "zebra"
