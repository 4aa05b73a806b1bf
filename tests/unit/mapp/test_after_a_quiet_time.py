"""The first request after a time without any: what the receiver knows may be old, since its thread had no processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from handlers.inbound import InboundView
from handlers.mapp.receiver import Receiver
from relay.configuration import LOCAL_SECRETS
from relay.domain.clock import SystemClock
from relay.domain.connector import VERSION, InboundConnector, InboundDocument
from tests.clock import TurnedClock
from tests.unit.mapp.edge import AUDIENCE, CREDENTIALS, SECRET, Edge, Server, connector, error_of, user

QUIET_S = 3_600.0
GOOD = {"Type": "ADD_TO_AUDIENCE", "Mutations": [user()]}


class Quiet:
    """A receiver whose thread does not look at the document by itself within the test."""

    def __init__(self, edge: Edge, server: Server) -> None:
        self._edge = edge
        self.clock = TurnedClock()
        self.view = InboundView(edge.backend.inbound, reread_s=QUIET_S, clock=self.clock)
        server.receiver = Receiver(self.view, edge.publisher, edge.creator, SystemClock())

    def apply(self, *connectors: InboundConnector, default: str = "pangolin") -> None:
        self._edge.backend.inbound.write(InboundDocument(version=VERSION, connectors=connectors, default=default))

    def known(self, *connectors: InboundConnector, default: str = "pangolin") -> None:
        """The receiver knows these, since long ago."""
        self.apply(*connectors, default=default)
        self.view.read_ahead()
        self.clock.advance(QUIET_S)


@pytest.fixture
def quiet(edge: Edge, server: Server) -> Iterator[Quiet]:
    quiet = Quiet(edge, server)
    yield quiet
    quiet.view.close()


def test_a_request_signed_with_the_rotated_secret_is_accepted(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector(secrets=("old",)))
    quiet.apply(connector(secrets=(SECRET, "old")))
    assert edge.post(GOOD).status_code == 200
    assert len(edge.queued()) == 1


def test_a_request_to_a_new_connector_is_accepted(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector())
    quiet.apply(connector(), connector("new"))
    assert edge.post(GOOD, path="/new").status_code == 200
    assert [message.key for message in edge.queued()] == [f"new/{AUDIENCE}"]


def test_a_request_to_the_root_is_accepted_once_there_is_a_default_connector(edge: Edge, quiet: Quiet) -> None:
    quiet.known()
    quiet.apply(connector())
    assert edge.post(GOOD).status_code == 200


def test_a_request_with_new_credentials_is_accepted(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector(credentials=("dmp:old",)))
    quiet.apply(connector(credentials=(CREDENTIALS, "dmp:old")))
    assert edge.post(GOOD, credentials=CREDENTIALS).status_code == 200


def test_a_request_from_elsewhere_is_accepted_once_the_local_secrets_were_rotated(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector(secrets=(LOCAL_SECRETS["pangolin-hmac"],)))
    quiet.apply(connector())
    assert edge.post(GOOD, headers={"Host": "relay.example.com"}).status_code == 200


def test_a_request_that_the_newer_document_alone_would_refuse_is_accepted_without_looking(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector())
    quiet.apply()
    assert edge.post(GOOD).status_code == 200


@pytest.mark.parametrize(
    ("newer", "status", "sentence"),
    [
        ([], 404, "No connector"),
        ([connector(credentials=(CREDENTIALS,))], 401, "password"),
        ([connector(secrets=(SECRET, LOCAL_SECRETS["pangolin-hmac"]))], 403, "Rotate"),
    ],
)
def test_what_the_newer_document_asks_for_is_asked_of_a_request_that_it_alone_could_let_in(
    edge: Edge, quiet: Quiet, newer: list[InboundConnector], status: int, sentence: str
) -> None:
    quiet.known(connector(secrets=("old",)))
    quiet.apply(*newer)
    answer = edge.post(GOOD, headers={"Host": "relay.example.com"})
    assert (answer.status_code, sentence in error_of(answer)) == (status, True), answer.text
    assert edge.queued() == []


def test_those_who_are_refused_again_and_again_cause_one_look(edge: Edge, quiet: Quiet) -> None:
    quiet.known(connector(secrets=("old",)))
    assert edge.post(GOOD, sign="guessed").status_code == 401
    quiet.apply(connector())
    for path in ("/", "/unknown"):
        assert edge.post(GOOD, path=path, sign="guessed").status_code in (401, 404)
    assert edge.post(GOOD).status_code == 401
    quiet.clock.advance(QUIET_S)
    assert edge.post(GOOD).status_code == 200
