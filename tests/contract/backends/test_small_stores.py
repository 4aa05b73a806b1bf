"""Tokens, secrets, the inbound document and the audit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from relay.backends.interfaces import AUDIT_KEPT_S, AuditEntry, Backend, SecretInfo, Token
from relay.domain.clock import Clock
from relay.domain.connector import Inbound, InboundConnector, InboundDocument
from relay.domain.errors import ConfigurationError, Conflict, NotFound
from tests.clock import TurnedClock
from tests.contract.backends.given import BEGINNING

TOKEN = Token(access="access-1", expires_at=BEGINNING + 3_600, refresh="refresh-1")


# tokens
def test_a_token_is_stored_by_the_owner_of_the_lease(backend: Backend) -> None:
    assert backend.tokens.get("t") is None
    assert backend.tokens.lease("t", owner="w1", for_s=30)
    assert backend.tokens.get("t") is None
    backend.tokens.put("t", TOKEN, owner="w1")
    assert backend.tokens.get("t") == TOKEN


def test_one_worker_renews_a_token_at_a_time(backend: Backend, clock: TurnedClock) -> None:
    assert backend.tokens.lease("t", owner="w1", for_s=30)
    assert not backend.tokens.lease("t", owner="w2", for_s=30)
    assert backend.tokens.lease("t", owner="w1", for_s=30)
    assert backend.tokens.lease("another", owner="w2", for_s=30)
    clock.advance(30)
    assert backend.tokens.lease("t", owner="w2", for_s=30)


def test_storing_ends_the_lease(backend: Backend) -> None:
    backend.tokens.lease("t", owner="w1", for_s=30)
    backend.tokens.put("t", TOKEN, owner="w1")
    assert backend.tokens.lease("t", owner="w2", for_s=30)
    with pytest.raises(Conflict):
        backend.tokens.put("t", TOKEN, owner="w1")


def test_a_token_of_one_who_lost_the_lease_is_refused(backend: Backend, clock: TurnedClock) -> None:
    backend.tokens.lease("t", owner="w1", for_s=30)
    clock.advance(30)
    backend.tokens.lease("t", owner="w2", for_s=30)
    with pytest.raises(Conflict):
        backend.tokens.put("t", TOKEN, owner="w1")
    assert backend.tokens.get("t") is None
    with pytest.raises(Conflict):
        backend.tokens.put("never leased", TOKEN, owner="w1")


def test_a_lease_that_is_released_is_free_at_once_and_the_token_stays(backend: Backend) -> None:
    backend.tokens.lease("t", owner="w1", for_s=30)
    backend.tokens.put("t", TOKEN, owner="w1")
    backend.tokens.lease("t", owner="w1", for_s=30)
    backend.tokens.release("t", owner="w1")
    assert backend.tokens.get("t") == TOKEN
    assert backend.tokens.lease("t", owner="w2", for_s=30)
    with pytest.raises(Conflict):
        backend.tokens.put("t", TOKEN, owner="w1")


def test_only_the_owner_releases_a_lease(backend: Backend) -> None:
    backend.tokens.release("never leased", owner="w1")
    assert backend.tokens.get("never leased") is None
    backend.tokens.lease("t", owner="w1", for_s=30)
    backend.tokens.release("t", owner="w2")
    assert not backend.tokens.lease("t", owner="w2", for_s=30)


def test_a_lease_that_ran_out_and_that_nobody_took_still_stores(backend: Backend, clock: TurnedClock) -> None:
    backend.tokens.lease("t", owner="w1", for_s=30)
    clock.advance(31)
    backend.tokens.put("t", TOKEN, owner="w1")
    assert backend.tokens.get("t") == TOKEN


def test_of_many_workers_at_once_one_renews(backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock) -> None:
    backends = [backend, opened(clock)]
    leases: list[bool] = []

    def lease(index: int) -> None:
        leases.append(backends[index % 2].tokens.lease("t", owner=f"w{index}", for_s=30))

    threads = [threading.Thread(target=lease, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(leases) == [False] * 5 + [True]


def test_a_deleted_token_is_gone(backend: Backend) -> None:
    backend.tokens.lease("t", owner="w1", for_s=30)
    backend.tokens.put("t", TOKEN, owner="w1")
    backend.tokens.delete("t")
    backend.tokens.delete("never there")
    assert backend.tokens.get("t") is None


def test_tokens_are_found_by_how_their_names_begin(backend: Backend) -> None:
    long = f"login.acme.{'x' * 700}"
    for name in ("login.acme.b", "login.acme.a/ü", "login.acme-2.a", "login.acme@sandbox.a", "login.acme", "t", long):
        backend.tokens.lease(name, owner="w1", for_s=30)
        if name != "login.acme.b":
            backend.tokens.put(name, TOKEN, owner="w1")
    assert backend.tokens.names("login.acme.") == ["login.acme.a/ü", "login.acme.b", long]
    assert len(backend.tokens.names("login.")) == 6
    assert backend.tokens.names("logins") == []
    for name in backend.tokens.names("login."):
        backend.tokens.delete(name)
    assert backend.tokens.names("") == ["t"]


# secrets
def test_a_secret_has_a_current_and_a_previous_value(backend: Backend) -> None:
    assert backend.secrets.get("pangolin-hmac") == ()
    backend.secrets.set("pangolin-hmac", "one")
    assert backend.secrets.get("pangolin-hmac") == ("one",)
    backend.secrets.rotate("pangolin-hmac", "two")
    assert backend.secrets.get("pangolin-hmac") == ("two", "one")
    backend.secrets.rotate("pangolin-hmac", "three")
    assert backend.secrets.get("pangolin-hmac") == ("three", "two")
    backend.secrets.retire("pangolin-hmac")
    assert backend.secrets.get("pangolin-hmac") == ("three",)


def test_repeating_a_rotation_keeps_the_value_before(backend: Backend) -> None:
    backend.secrets.set("s", "one")
    backend.secrets.rotate("s", "two")
    backend.secrets.rotate("s", "two")
    assert backend.secrets.get("s") == ("two", "one")


def test_setting_a_secret_forgets_the_previous_value(backend: Backend) -> None:
    backend.secrets.set("s", "one")
    backend.secrets.rotate("s", "two")
    backend.secrets.set("s", "three")
    assert backend.secrets.get("s") == ("three",)


def test_a_secret_that_is_not_set_is_neither_rotated_nor_retired(backend: Backend) -> None:
    with pytest.raises(NotFound):
        backend.secrets.rotate("s", "two")
    with pytest.raises(NotFound):
        backend.secrets.retire("s")
    assert backend.secrets.get("s") == ()


def test_a_deleted_secret_has_no_value_left(backend: Backend) -> None:
    backend.secrets.set("s", "one")
    backend.secrets.rotate("s", "two")
    backend.secrets.delete("s")
    assert backend.secrets.get("s") == ()
    assert backend.secrets.all() == []
    with pytest.raises(NotFound):
        backend.secrets.delete("s")


def test_secrets_are_listed_without_their_values(backend: Backend, clock: TurnedClock) -> None:
    assert backend.secrets.all() == []
    backend.secrets.set("b", "one")
    clock.advance(5)
    backend.secrets.set("a", "one")
    backend.secrets.rotate("a", "two")
    assert backend.secrets.all() == [
        SecretInfo(name="a", changed_at=BEGINNING + 5, has_previous=True),
        SecretInfo(name="b", changed_at=BEGINNING, has_previous=False),
    ]


@pytest.mark.parametrize("value", ["mapp:local:password", "ünïcode \n'quoted\"", " spaces "])
def test_a_secret_is_kept_as_it_is(backend: Backend, value: str) -> None:
    backend.secrets.set("s", value)
    assert backend.secrets.get("s") == (value,)


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "../a", ".hidden", "-dash", "a b", "ä", "a\n"])
def test_names_of_secrets_are_plain(backend: Backend, name: str) -> None:
    with pytest.raises(ConfigurationError):
        backend.secrets.set(name, "value")
    with pytest.raises(ConfigurationError):
        backend.secrets.get(name)


def test_a_secret_cannot_be_empty(backend: Backend) -> None:
    with pytest.raises(ConfigurationError):
        backend.secrets.set("s", "")


# the inbound document
def _inbound(*hmac_secrets: str) -> InboundDocument:
    inbound = InboundConnector(name="pangolin", inbound=Inbound(hmac_secret="pangolin-hmac"), hmac_secrets=hmac_secrets)
    return InboundDocument(version=1, connectors=(inbound,), default="pangolin")


def test_the_inbound_document_is_read_as_it_was_written(backend: Backend) -> None:
    assert backend.inbound.read() is None
    for document in (_inbound("one"), _inbound("two", "one")):
        backend.inbound.write(document)
        assert backend.inbound.read() == document


def test_a_change_of_the_inbound_document_is_seen_without_reading_it(
    backend: Backend, opened: Callable[[Clock], Backend], clock: TurnedClock
) -> None:
    reader = opened(clock)
    seen = [reader.inbound.changed()]
    for secret in ("one", "two", "six"):
        backend.inbound.write(_inbound(secret))
        seen.append(reader.inbound.changed())
    assert reader.inbound.changed() == seen[-1]
    assert all(before != after for before, after in pairwise(seen))


# audit
def test_the_audit_is_read_newest_first(backend: Backend, clock: TurnedClock) -> None:
    backend.audit.add(by="somebody", what="publish", subject="pangolin", detail="version 2")
    clock.advance(1)
    backend.audit.add(by="somebody else", what="pause", subject="pangolin")
    first = AuditEntry(at=BEGINNING, by="somebody", what="publish", subject="pangolin", detail="version 2")
    second = AuditEntry(at=BEGINNING + 1, by="somebody else", what="pause", subject="pangolin")
    assert backend.audit.newest() == [second, first]
    assert backend.audit.newest(limit=1) == [second]


def test_the_audit_is_forgotten_after_its_time(backend: Backend, clock: TurnedClock) -> None:
    backend.audit.add(by="somebody", what="publish", subject="old")
    clock.advance(2)
    backend.audit.add(by="somebody", what="publish", subject="new")
    clock.advance(AUDIT_KEPT_S - 1)
    backend.tidy()
    assert [entry.subject for entry in backend.audit.newest()] == ["new"]
