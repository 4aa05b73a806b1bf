"""Creation by the private function: what is asked of it, and that its answers mean what the same trouble means in one process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from handlers import kept_connections
from handlers.creation import Creator, code_of, passes, sentence_of, status_of
from handlers.remote_creator import RemoteCreator
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    ConfigurationError,
    Conflict,
    CredentialsRefused,
    DocumentError,
    Misconfigured,
    NotFound,
    PartnerError,
    RelayError,
    StoreUnavailable,
    TryAgain,
    Unsupported,
)
from relay.domain.message import UnknownVersion
from relay.functions.creating import CreationRequest
from tests.unit.google.function_elsewhere import Answer, Function, Metadata, secure_function

ROOT = Path(__file__).parents[3]


@pytest.fixture
def function() -> Iterator[Function]:
    function = Function()
    yield function
    function.close()


@pytest.fixture
def creator(function: Function) -> Creator:
    return RemoteCreator(f"http://127.0.0.1:{function.port}/create")


def create(creator: Creator, connector: str = "pangolin", audience: str = "a.1") -> str:
    return asyncio.run(
        creator.create(connector=connector, audience=audience, name="Ünïcode", customer=123, mode="own", request_id="request-1")
    )


def trouble_of(creator: Creator) -> RelayError:
    with pytest.raises(RelayError) as raised:
        create(creator)
    return raised.value


def logged(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]


# --- asking ---------------------------------------------------------------------------------------------------------


def test_the_function_is_asked_in_its_own_words(creator: Creator, function: Function) -> None:
    assert create(creator) == "partner-1"
    [(headers, body)] = function.asked
    asked = msgspec.json.decode(body, type=CreationRequest)
    assert asked == CreationRequest(connector="pangolin", audience="a.1", name="Ünïcode", customer=123)
    assert headers["content-type"] == "application/json"


def test_on_this_machine_no_token_and_no_cookie_and_no_password_file_goes_along(
    creator: Creator, function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert create(creator) == "partner-1"
    assert "authorization" not in function.asked[0][0]


@pytest.mark.parametrize(
    "url",
    ["", "create", "http://example.com/create", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "http://[::1", "file:///x"],
)
def test_an_address_that_would_show_the_request_to_others_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CREATE_URL"):
        RemoteCreator(url)


@pytest.mark.parametrize(
    "url", ["https://create-abc.a.run.app", "http://127.0.0.1:1", "http://[::1]:1/create", "http://localhost"]
)
def test_https_and_this_machine_are_accepted(url: str) -> None:
    RemoteCreator(url)


# --- answers --------------------------------------------------------------------------------------------------------

TROUBLES: list[RelayError] = [
    TryAgain("The partner is busy."),
    TryAgain("Too many calls.", code="rate_limited"),
    AudienceNotReady("It is being prepared."),
    StoreUnavailable("gone"),
    Conflict("The connector 'pangolin' is switched off."),
    ConfigurationError("The file /state/secrets/token is not a secret."),
    UnknownVersion("This record was written as version 9."),
    BatchRefused("Name is already taken."),
    BatchRefused("Name is already taken.", code="duplicate_name"),
    Unsupported("Audiences are made by hand there!"),
    CredentialsRefused("The token has expired."),
    CredentialsRefused("The token has expired.", code="token_expired"),
    Misconfigured("The advertiser does not exist."),
    AudienceGone("It was deleted."),
    NotFound("There is no connector of that name."),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda error: f"{type(error).__name__}-{code_of(error)}")
def test_trouble_means_for_the_source_what_it_means_in_one_process(
    creator: Creator, function: Function, trouble: RelayError
) -> None:
    function.fails_with(trouble)
    met = trouble_of(creator)
    assert (status_of(met), sentence_of(met), code_of(met), passes(met)) == (
        status_of(trouble), sentence_of(trouble), code_of(trouble), passes(trouble),
    )  # fmt: skip
    assert isinstance(met, PartnerError) is isinstance(trouble, PartnerError)


def test_a_document_that_cannot_be_read_is_for_the_operator_there_too(creator: Creator, function: Function) -> None:
    trouble = DocumentError([("settings", "is wrong")])
    function.fails_with(trouble)
    met = trouble_of(creator)
    assert (status_of(met), sentence_of(met), passes(met)) == (status_of(trouble), sentence_of(trouble), passes(trouble))


def test_a_request_that_the_function_does_not_understand_is_for_the_operator(
    creator: Creator, function: Function, capfd: pytest.CaptureFixture[str]
) -> None:
    function.answer = lambda _body: (400, b'{"error": "This is no creation request: x", "code": "bad_request"}')
    met = trouble_of(creator)
    assert (status_of(met), passes(met)) == (503, True)
    assert "operator" in sentence_of(met)
    [line] = logged(capfd)
    assert (line["event"], line["connector"], line["request_id"]) == ("create_unusable", "pangolin", "request-1")


@pytest.mark.parametrize("status", [401, 403])
def test_a_receiver_that_may_not_ask_says_so_to_the_operator_and_the_source_tries_again(
    creator: Creator, function: Function, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    function.answer = lambda _body: (status, b"<html>Forbidden</html>")
    met = trouble_of(creator)
    assert (status_of(met), passes(met)) == (503, True)
    assert "role" not in sentence_of(met)
    [line] = logged(capfd)
    assert (line["event"], line["severity"], line["status"]) == ("create_refused", "ERROR", status)
    assert "run.invoker" in line["hint"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"), (200, b""), (200, b"OK"), (200, b'{"partner_id": ""}'), (200, b'{"partner_id": null}'), (200, b"\xff"),
        (200, b'{"error": "no", "code": "no"}'), (200, b"[" * 100_000),
        (204, b""), (302, b""), (307, b""), (404, b"<html>Not Found</html>"), (404, b"{}"), (409, b'{"error": "x"}'),
        (422, b""), (429, b"Rate exceeded."), (500, b'{"error": "x", "code": "y"}'), (502, b"Bad Gateway"),
        (503, b"Service Unavailable"), (504, b"upstream request timeout"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_functions_is_neither_a_success_nor_a_refusal_for_good(
    creator: Creator, function: Function, status: int, body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    function.answer = lambda _body: (status, body)
    met = trouble_of(creator)
    assert isinstance(met, TryAgain)
    assert len(function.asked) == 1
    [line] = logged(capfd)
    assert (line["event"], line["status"]) == ("create_unusable", status)


def test_a_function_that_cannot_be_reached_is_tried_again_later(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    met = trouble_of(RemoteCreator(f"http://127.0.0.1:{port}"))
    assert isinstance(met, TryAgain)
    assert str(port) not in sentence_of(met)
    [line] = logged(capfd)
    assert (line["event"], line["error"]) == ("create_unreachable", "ConnectionError")


def test_a_connection_that_breaks_is_tried_again_later(creator: Creator, function: Function) -> None:
    def breaks(_body: bytes) -> Answer:
        raise ConnectionError

    function.answer = breaks
    assert isinstance(trouble_of(creator), TryAgain)


# --- connections ----------------------------------------------------------------------------------------------------


def test_creations_that_follow_each_other_share_a_connection(creator: Creator, function: Function) -> None:
    assert [create(creator) for _ in range(5)] == ["partner-1"] * 5
    assert (len(function.asked), function.connections) == (5, 1)


def test_creations_at_once_share_as_many_connections_as_there_are_threads(creator: Creator, function: Function) -> None:
    async def ask() -> list[str]:
        return await asyncio.gather(
            *(
                creator.create(connector="c", audience=f"a.{number}", name="n", customer=None, mode="own", request_id="r")
                for number in range(40)
            )
        )

    assert asyncio.run(ask()) == ["partner-1"] * 40
    assert len(function.asked) == 40
    assert function.connections <= 8


def test_a_connection_that_was_idle_for_some_time_is_not_used_again(
    creator: Creator, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_connections, "IDLE_S", 0.05)
    create(creator)
    time.sleep(0.1)
    create(creator)
    assert function.connections == 2


def test_a_connection_that_the_function_has_closed_costs_no_creation(creator: Creator, function: Function) -> None:
    function.headers = {"Connection": "close"}
    assert [create(creator) for _ in range(3)] == ["partner-1"] * 3
    assert function.connections == 3


def test_what_the_function_has_the_receiver_remember_is_not_sent_along_with_the_next_creation(
    creator: Creator, function: Function
) -> None:
    function.headers = {"Set-Cookie": "canary=1; Path=/"}
    create(creator)
    create(creator)
    assert [headers.get("cookie") for headers, _ in function.asked] == [None, None]


def test_the_certificates_that_are_trusted_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_function(tmp_path) as (function, known), kept_connections.session() as session:
        function.headers = {"Connection": "close"}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(known))
        url = f"https://127.0.0.1:{function.port}/"
        assert session.post(url, data=b"{}", timeout=10).status_code == 200
        known.write_bytes(b"")
        assert session.post(url, data=b"{}", timeout=10).status_code == 200
        assert function.connections == 2


def test_who_is_known_by_another_name_is_asked_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secure_function(tmp_path) as (function, known), kept_connections.session() as session:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(known))
        with pytest.raises(requests.exceptions.SSLError):
            session.post(f"https://localhost:{function.port}/", data=b"{}", timeout=10)
        assert function.asked == []


def test_who_shows_a_certificate_of_nobody_is_asked_nothing(tmp_path: Path) -> None:
    with secure_function(tmp_path) as (function, _), kept_connections.session() as session:
        with pytest.raises(requests.exceptions.SSLError):
            session.post(f"https://127.0.0.1:{function.port}/", data=b"{}", timeout=10)
        assert function.asked == []


# --- threads --------------------------------------------------------------------------------------------------------


def test_a_partner_that_never_answers_does_not_hold_up_the_creations_of_another_connector(
    creator: Creator, function: Function
) -> None:
    over = threading.Event()

    def answer(body: bytes) -> Answer:
        if json.loads(body)["connector"] == "dead":
            over.wait(30)
        return 200, json.dumps({"partner_id": f"partner-{json.loads(body)['audience']}"}).encode()

    function.answer = answer

    async def ask(connector: str, audience: str) -> str:
        return await creator.create(
            connector=connector, audience=audience, name=audience, customer=None, mode="own", request_id="r"
        )

    async def both() -> None:
        dead = [asyncio.ensure_future(ask("dead", f"d.{number}")) for number in range(40)]
        await asyncio.sleep(0)  # they are asked for first
        try:
            assert await ask("living", "l.1") == "partner-l.1"
            assert not any(one.done() for one in dead)
        finally:
            over.set()
        assert await asyncio.gather(*dead) == [f"partner-d.{number}" for number in range(40)]

    asyncio.run(both())


# --- the token ------------------------------------------------------------------------------------------------------


_CREATIONS = """
import asyncio, sys
from handlers.remote_creator import RemoteCreator
from relay.domain.errors import RelayError

async def create():
    creator = RemoteCreator(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        try:
            print(await creator.create(connector="c", audience="a", name="n", customer=None, mode="own", request_id="r"))
        except RelayError as trouble:
            print(type(trouble).__name__)

asyncio.run(create())
"""


def creations(url: str, metadata_host: str, known: Path, *, number: int = 3) -> tuple[list[str], list[dict[str, Any]]]:
    """In a process of its own, on a machine of Google's whose metadata server is there. What came, and the log."""
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "GCE_METADATA_HOST": metadata_host, "GCE_METADATA_IP": metadata_host,
        "REQUESTS_CA_BUNDLE": str(known), "GCE_METADATA_TIMEOUT": "1", "HOME": "/nonexistent",
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", _CREATIONS, url, str(number)], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.split(), [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    metadata = Metadata()
    yield metadata
    metadata.close()


@pytest.mark.parametrize(("valid_s", "tokens"), [(3_600.0, 1), (60.0, 3)], ids=["long", "about to expire"])
def test_over_https_the_call_carries_a_token_for_the_function_which_is_kept_until_shortly_before_its_end(
    metadata: Metadata, tmp_path: Path, valid_s: float, tokens: int
) -> None:
    metadata.valid_s = valid_s
    with secure_function(tmp_path) as (function, known):
        url = f"https://127.0.0.1:{function.port}"
        came, _ = creations(f"{url}/", metadata.address, known)
    assert came == ["partner-1"] * 3
    assert len(metadata.tokens) == tokens
    sent = [headers["authorization"] for headers, _ in function.asked]
    assert sent == [f"Bearer {metadata.tokens[min(number, tokens - 1)]}" for number in range(3)]
    [asked_for] = {path for path in metadata.paths if "/identity" in path}
    assert f"audience={url}&" in f"{asked_for}&".replace("%3A", ":").replace("%2F", "/")


def test_without_a_token_nothing_is_sent(tmp_path: Path) -> None:
    with secure_function(tmp_path) as (function, known), socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        closed.close()
        came, lines = creations(f"https://127.0.0.1:{function.port}", nobody, known, number=1)
    assert came == ["TryAgain"]
    assert function.asked == []
    assert {(line["event"], line["error"]) for line in lines} == {("create_unreachable", "DefaultCredentialsError")}


def test_a_function_with_another_certificate_gets_no_token(metadata: Metadata, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with secure_function(tmp_path) as (function, _), secure_function(other) as (_, known):
        came, _ = creations(f"https://127.0.0.1:{function.port}", metadata.address, known, number=1)
    assert came == ["TryAgain"]
    assert function.asked == []
