"""Documents, versions and states on Firestore: what is written together, what is left by one who dies on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from relay.backends.google.audiences import GoogleAudiences
from relay.backends.google.connector_documents import load_state, state_path, version_path, versions_path
from relay.backends.google.connectors import LARGEST_RECORD, GoogleConnectors
from relay.backends.google.documents import Query, Write
from relay.backends.google.values import moment
from relay.backends.interfaces import DRAFTS_KEPT_S
from relay.domain.audience import HoldReason
from relay.domain.connector import Retention
from relay.domain.errors import ConfigurationError, Conflict, NotFound, RelayError, StoreUnavailable
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING, connector, document, message, request
from tests.emulators import Emulators, place
from tests.unit.google.interposed import Interposed

BOTH = (connector("pangolin"), connector("pangolin@sandbox"))


class Audiences(GoogleAudiences):
    """Real ones. `dies`: whoever asks them for something that follows a write dies there."""

    dies = False

    def make_due(self, connector: str, audience_id: str | None = None, *, reasons: Collection[HoldReason] | None = None) -> int:
        self._may_die()
        return super().make_due(connector, audience_id, reasons=reasons)

    def forget(self, connector: str) -> None:
        self._may_die()
        super().forget(connector)

    def _may_die(self) -> None:
        if self.dies:
            raise StoreUnavailable("Firestore could not be reached.")


class Place:
    """A place with its connectors and audiences, opened once more by every one of these."""

    def __init__(self, variables: dict[str, str], clock: TurnedClock) -> None:
        self.documents = Interposed(variables)
        self.audiences = Audiences(self.documents, clock, lambda _rejections: [])
        self.connectors = GoogleConnectors(self.documents, clock, self.audiences, journal_bucket="a-bucket")

    def publish(self, *connectors: Any) -> int:
        number = self.connectors.add_version(document(*connectors)).number
        self.connectors.publish("pangolin", number)
        return number

    def hold(self, audience: str, why: HoldReason, *, due_at: float | None = None) -> None:
        turn = self.audiences.begin_turn("pangolin", audience, position=1, message_id="m1")
        self.audiences.join(turn, message(audience, "u1"), request(why, due_at=due_at))

    def fields(self, number: int) -> dict[str, Any]:
        stored = self.documents.get(version_path("pangolin", number))
        assert stored is not None
        return stored.fields

    def paths(self) -> list[str]:
        """All documents but the list of documents."""
        collections = ("documents", versions_path("pangolin"), "states", "rates", "audiences")
        return [stored.path for one in collections for stored in self.documents.query(Query(one))]


@pytest.fixture
def variables(emulators: Emulators) -> dict[str, str]:
    return place(emulators)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def here(variables: dict[str, str], clock: TurnedClock) -> Place:
    return Place(variables, clock)


# versions
def test_firestore_deletes_a_draft_in_its_time_once_there_is_a_newer_version(here: Place) -> None:
    here.connectors.add_version(document())
    assert "expire_at" not in here.fields(1)
    here.connectors.add_version(document())
    expires: datetime = here.fields(1)["expire_at"]
    assert expires == moment(BEGINNING + DRAFTS_KEPT_S)
    assert "expire_at" not in here.fields(2)


def test_a_version_that_was_published_is_never_deleted_by_its_age(here: Place) -> None:
    here.connectors.add_version(document())
    here.connectors.add_version(document())
    here.connectors.publish("pangolin", 1)
    here.connectors.publish("pangolin", 2)
    here.connectors.add_version(document())
    assert [set(here.fields(number)) for number in (1, 2)] == [{"number", "record"}] * 2


def test_the_number_of_a_draft_that_is_gone_is_not_given_again(here: Place) -> None:
    here.connectors.add_version(document())
    here.connectors.add_version(document())
    here.documents.commit([Write(version_path("pangolin", number), "delete") for number in (1, 2)])
    assert here.connectors.add_version(document()).number == 3


def test_versions_are_listed_by_number(here: Place) -> None:
    for _ in range(11):
        here.connectors.add_version(document())
    assert [version.number for version in here.connectors.versions("pangolin")] == list(range(1, 12))


def test_a_version_that_firestore_would_refuse_is_refused_before_it_is_written(here: Place) -> None:
    for name, text, wanted in (("a", "x" * LARGEST_RECORD, False), ("b", "ä" * (LARGEST_RECORD // 2 - 2_000), True)):
        large = replace(document(connector(name)), text=text)
        if wanted:
            here.connectors.add_version(large)
            here.connectors.publish(name, 1)
            continue
        with pytest.raises(ConfigurationError, match=r"would take 1,0\d\d,\d\d\d bytes"):
            here.connectors.add_version(large)
    assert here.connectors.documents() == ["b"]


def test_a_version_whose_confirmation_got_lost_is_not_stored_twice(here: Place) -> None:
    for _ in range(2):
        here.documents.lose_confirmation()
        here.connectors.add_version(document())
    assert [version.number for version in here.connectors.versions("pangolin")] == [1, 2]


def test_of_many_who_apply_at_once_each_makes_a_version(variables: dict[str, str], clock: TurnedClock) -> None:
    places = [Place(variables, clock) for _ in range(2)]

    def apply(index: int) -> None:
        for name in ("pangolin", f"other-{index}"):
            places[index % 2].connectors.add_version(document(connector(name)))

    _at_once(*(lambda index=index: apply(index) for index in range(4)))
    assert [version.number for version in places[0].connectors.versions("pangolin")] == [1, 2, 3, 4]
    assert sorted(places[0].connectors.documents()) == ["other-0", "other-1", "other-2", "other-3", "pangolin"]


# publishing
def test_one_who_dies_after_publishing_can_be_repeated(here: Place) -> None:
    number = here.publish(*BOTH)
    here.hold("a.1", "gathering", due_at=BEGINNING + 600)
    here.audiences.dies = True
    with pytest.raises(StoreUnavailable):
        here.connectors.publish("pangolin", number)
    assert here.connectors.state("pangolin").live == number
    here.audiences.dies = False
    here.connectors.publish("pangolin", number)
    assert [audience.id for audience in here.audiences.due(BEGINNING)] == ["a.1"]


def test_of_two_who_publish_at_once_one_is_heard_in_all_connectors(variables: dict[str, str], clock: TurnedClock) -> None:
    places = [Place(variables, clock) for _ in range(2)]
    for connectors in (BOTH, BOTH[:1]):
        places[0].connectors.add_version(document(*connectors))
    for _ in range(5):
        _at_once(
            lambda: places[0].connectors.publish("pangolin", 1),
            lambda: places[1].connectors.publish("pangolin", 2),
        )
        live = {state.name: state.live for state in places[0].connectors.states()}
        assert live in ({"pangolin": 1, "pangolin@sandbox": 1}, {"pangolin": 2, "pangolin@sandbox": 0}, {"pangolin": 2})


def test_a_switch_at_the_moment_of_publishing_is_not_lost(here: Place, variables: dict[str, str], clock: TurnedClock) -> None:
    number = here.publish()
    other = Place(variables, clock)
    here.documents.before_commit = lambda: _ignore(other.connectors.set_enabled("pangolin", False))
    here.connectors.publish("pangolin", number)
    assert not here.connectors.state("pangolin").enabled


# deleting
@pytest.mark.parametrize("where", ["before its audiences are forgotten", "before its versions go"])
def test_one_who_dies_while_deleting_can_be_repeated(here: Place, where: str) -> None:
    here.publish(*BOTH)
    here.audiences.begin_turn("pangolin", "a.1", position=1, message_id="m1")
    here.connectors.set_default("pangolin")
    if where == "before its audiences are forgotten":
        here.audiences.dies = True
    else:

        def die() -> None:
            raise StoreUnavailable("Firestore could not be reached.")

        # The first commit takes the states, the second the audience, the third the rest.
        here.documents.after_commit = lambda: setattr(here.documents, "after_commit", die)
    with pytest.raises(StoreUnavailable):
        here.connectors.delete("pangolin")
    assert here.connectors.versions("pangolin")
    assert here.connectors.states() == []
    here.audiences.dies = False
    here.connectors.delete("pangolin")
    assert here.paths() == []
    assert (here.connectors.documents(), here.connectors.default()) == ([], "")


def test_a_hold_that_begins_while_its_document_is_deleted_stays(
    here: Place, variables: dict[str, str], clock: TurnedClock
) -> None:
    here.publish()
    other = Place(variables, clock)
    here.documents.before_commit = lambda: other.hold("a.1", "connector_off")
    here.connectors.delete("pangolin")
    assert [audience.id for audience in here.audiences.held("pangolin")] == ["a.1"]
    assert here.connectors.documents() == []


def test_a_document_with_hundreds_of_versions_is_deleted_whole(here: Place) -> None:
    here.publish()
    record = here.fields(1)
    drafts = [Write(version_path("pangolin", number), fields={**record, "number": number}) for number in range(2, 702)]
    for begin in (0, 350):
        here.documents.commit(drafts[begin : begin + 350])
    here.connectors.delete("pangolin")
    assert here.paths() == []


def test_a_deletion_whose_confirmation_got_lost_has_succeeded(here: Place) -> None:
    here.connectors.add_version(document())
    first = here.documents
    first.after_commit = first.lose_confirmation  # of the commit after the next
    here.connectors.delete("pangolin")
    assert here.paths() == []


def test_a_document_is_there_with_its_states_or_not_at_all(variables: dict[str, str], clock: TurnedClock) -> None:
    places = [Place(variables, clock) for _ in range(2)]
    for _ in range(5):
        places[0].connectors.add_version(document(*BOTH))
        _at_once(
            lambda: places[0].connectors.delete("pangolin"),
            lambda: _unless(NotFound, lambda: places[1].connectors.publish("pangolin", 1)),
        )
        assert places[0].paths() == []
        assert places[0].connectors.documents() == []


def test_a_document_is_not_deleted_while_any_of_its_connectors_holds_batches(here: Place) -> None:
    here.publish(*BOTH)
    here.publish(*BOTH[:1])
    turn = here.audiences.begin_turn("pangolin@sandbox", "a.1", position=1, message_id="m1")
    here.audiences.join(turn, message("a.1", "u1", connector="pangolin@sandbox"), request())
    with pytest.raises(Conflict, match=r"1 hold of 'pangolin' \(for instance of connector 'pangolin@sandbox'\)"):
        here.connectors.delete("pangolin")
    assert here.connectors.state("pangolin").live == 2


# states
def test_switches_at_once_are_all_heard(variables: dict[str, str], clock: TurnedClock) -> None:
    places = [Place(variables, clock) for _ in range(2)]
    places[0].publish()
    _at_once(
        *(lambda index=index: places[index % 2].connectors.set_action("pangolin", f"a{index}", "paused") for index in range(6)),
        lambda: places[0].connectors.set_enabled("pangolin", False),
        lambda: places[1].connectors.not_before("pangolin", BEGINNING + 60, reason="come_back_later", detail=""),
    )
    state = places[0].connectors.state("pangolin")
    assert state.actions == {f"a{index}": "paused" for index in range(6)}
    assert (state.enabled, state.not_before) == (False, BEGINNING + 60)


def test_a_state_is_loaded_with_one_read_or_is_none(here: Place) -> None:
    assert load_state(here.documents, "pangolin") is None
    here.publish()
    assert here.documents.cost(lambda: load_state(here.documents, "pangolin")) == (1, 0)
    assert load_state(here.documents, "pangolin") == here.connectors.state("pangolin")


# effort
def test_what_is_asked_often_costs_one_read(here: Place) -> None:
    for index in range(5):
        here.connectors.add_version(document(connector(f"c{index}")))
    here.publish()
    for work in (
        here.connectors.documents,
        here.connectors.default,
        lambda: here.connectors.state("pangolin"),
        lambda: here.connectors.version("pangolin", 1),
    ):
        assert here.documents.cost(work) == (1, 0)


def test_a_switch_costs_one_read_and_one_write_if_it_changes_anything(here: Place) -> None:
    here.publish()
    assert here.documents.cost(lambda: here.connectors.set_enabled("pangolin", True)) == (1, 0)
    assert here.documents.cost(lambda: here.connectors.set_enabled("pangolin", False)) == (1, 1)
    assert state_path("pangolin") in here.paths()


def _ignore(_value: object) -> None:
    return


def _unless(error: type[RelayError], work: Callable[[], object]) -> None:
    try:
        work()
    except error:
        return


def _at_once(*works: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# the journal


def keeping(days: int) -> Any:
    return connector(retention=Retention(journal_days=days))


def test_the_journal_counts_from_the_version_that_switched_it_on_and_reaches_no_further_than_was_kept(
    here: Place, clock: TurnedClock
) -> None:
    here.publish(connector())
    assert here.connectors.state("pangolin").journal_since == 0
    clock.advance(100)
    here.publish(keeping(1))
    assert here.connectors.state("pangolin").journal_since == BEGINNING + 100
    clock.advance(3 * 86400)
    here.publish(keeping(30))
    assert here.connectors.state("pangolin").journal_since == BEGINNING + 100 + 2 * 86400
    here.publish(keeping(7))
    assert here.connectors.state("pangolin").journal_since == BEGINNING + 100 + 2 * 86400
    here.publish(connector())
    assert here.connectors.state("pangolin").journal_since == 0


def test_a_connector_that_comes_back_begins_its_journal_anew(here: Place, clock: TurnedClock) -> None:
    sandbox = connector("pangolin@sandbox", retention=Retention(journal_days=7))
    here.publish(keeping(7), sandbox)
    here.publish(keeping(7))
    assert here.connectors.state("pangolin@sandbox").journal_since == 0
    clock.advance(100)
    here.publish(keeping(7), sandbox)
    assert here.connectors.state("pangolin@sandbox").journal_since == BEGINNING + 100
    assert here.connectors.state("pangolin").journal_since == BEGINNING


def test_without_a_bucket_no_version_goes_live_that_asks_for_a_journal(emulators: Emulators) -> None:
    clock = TurnedClock()
    here = Place(place(emulators), clock)
    connectors = GoogleConnectors(here.documents, clock, here.audiences)
    number = connectors.add_version(document(keeping(7))).number

    with pytest.raises(ConfigurationError, match="JOURNAL_BUCKET is not set"):
        connectors.publish("pangolin", number)

    with pytest.raises(NotFound):
        connectors.state("pangolin")
    connectors.publish("pangolin", connectors.add_version(document(connector())).number)
