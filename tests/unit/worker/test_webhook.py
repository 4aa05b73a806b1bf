"""A notice is posted once, signed if wanted, where it may go and nowhere else; and only 2xx means that it was taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay.domain.errors import NotTaken
from tests.clock import TurnedClock
from tests.contract.adapters.scripted import ScriptedServer, Visit, answer
from tests.partners.notice_receiver import NoticeReceiver
from tests.partners.serving import Answer
from tests.unit.adapters.internet import Authority, EncryptedServer, Internet, authority, internet
from worker.webhook import Webhooks

__all__ = ["authority", "internet"]

PAYLOAD = {"id": "n1", "text": "shop is on hold"}


@pytest.fixture
def receiver() -> Iterator[NoticeReceiver]:
    with NoticeReceiver() as server:
        yield server


def post(url: str, *, secret: str | None = None, private: bool = True, resolver: Any = None) -> str:
    webhooks = Webhooks(TurnedClock(), **({"resolver": resolver} if resolver else {}))
    return webhooks.post(url, PAYLOAD, secret=secret, allow_private_network=private)


def refused(url: str, **more: Any) -> NotTaken:
    with pytest.raises(NotTaken) as caught:
        post(url, **more)
    return caught.value


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("a plain secret", b"a plain secret"),
        ("whsec_" + base64.b64encode(b"as the libraries keep it").decode(), b"as the libraries keep it"),
        ("whsec_not base64!", b"whsec_not base64!"),
    ],
)
def test_what_is_signed_is_the_id_the_time_and_the_body_as_it_is_sent(
    receiver: NoticeReceiver, secret: str, key: bytes
) -> None:
    post(receiver.url, secret=secret)

    [call] = receiver.served
    signed = b"n1.1800000000." + call.content
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{expected}"
    assert (call.headers["webhook-id"], call.headers["webhook-timestamp"]) == ("n1", "1800000000")
    assert call.json == PAYLOAD


def test_what_the_receiver_answered_is_shown_on_one_short_line(receiver: NoticeReceiver) -> None:
    receiver.said = Answer(202, b"thank\r\n you\x1b[2J " + b"x" * 5000)
    said = post(f"{receiver.url}/secret-token")

    assert said.startswith(f"The webhook ({receiver.url.removeprefix('http://')}) answered with status 202: thank you[2J xxx")
    assert len(said) < 300
    assert "secret-token" not in said


@pytest.mark.parametrize("said", ["Cannot POST /services/the%20token", "no such: the token", "key=abcdef is wrong"])
def test_an_answer_that_repeats_the_address_is_not_shown(receiver: NoticeReceiver, said: str) -> None:
    receiver.said = Answer(404, said.encode())
    error = refused(f"{receiver.url}/services/the%20token?key=abcdef")

    assert str(error).endswith("answered with status 404.")


@pytest.mark.parametrize("status", [300, 302, 400, 404, 410, 429, 500, 503])
def test_only_2xx_is_taken_and_no_redirect_is_followed(receiver: NoticeReceiver, status: int) -> None:
    receiver.said = Answer(status, b"no_text", {"Location": f"{receiver.url}/elsewhere"})
    error = refused(f"{receiver.url}/secret-token")

    assert error.code == f"status_{status}"
    assert "no_text" in str(error)
    assert "secret-token" not in str(error)
    assert len(receiver.served) == 1


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/x", "https://10.0.0.1/x", "https://169.254.169.254/latest", "https://[::1]/x"])
def test_a_private_address_is_called_only_where_the_document_allows_it(url: str) -> None:
    error = refused(url, private=False)

    assert error.code == "private_address"
    assert "notify.allow_private_network" in str(error)


def test_a_name_that_leads_into_the_private_network_is_not_called(internet: Internet) -> None:
    internet.names["hooks.example"] = [["192.168.1.7"]]
    error = refused("https://hooks.example/x", private=False, resolver=internet)

    assert error.code == "private_address"
    assert internet.called == []


def test_a_public_address_is_called_encrypted_and_its_certificate_checked(internet: Internet, authority: Authority) -> None:
    internet.names["hooks.example"] = internet.names["other.example"] = [["93.184.216.34"]]

    def script(visit: Visit) -> None:
        visit.read()
        visit.write(answer(b"ok"))

    with EncryptedServer(script, authority.context("hooks.example")) as server:
        internet.places["93.184.216.34"] = server.port
        assert post("https://hooks.example/x", private=False, resolver=internet).endswith("status 200: ok.")
        assert refused("https://other.example/x", private=False, resolver=internet).code == "tls"
        assert refused("http://hooks.example/x", private=False, resolver=internet).code == "plain_http"


def breaks_off(visit: Visit) -> None:
    visit.read()


def answers_half(visit: Visit) -> None:
    visit.read()
    visit.write(answer(b"ok")[:-5])


@pytest.mark.parametrize("script", [breaks_off, answers_half])
def test_an_answer_that_is_not_whole_is_none(script: Callable[[Visit], None]) -> None:
    with ScriptedServer(script) as server:
        assert refused(server.url).code == "connection_broken"


def test_what_cannot_be_read_is_none_either() -> None:
    def script(visit: Visit) -> None:
        visit.read()
        visit.write(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")

    with ScriptedServer(script) as server:
        error = refused(server.url)
    assert error.code == "not_http"
    assert str(error).endswith(" sent an answer that cannot be read as HTTP; whether it took the notice is unknown.")


def test_where_nobody_listens_it_is_not_taken() -> None:
    error = refused("http://127.0.0.1:9/secret-token")

    assert str(error) == "The webhook (127.0.0.1:9) cannot be reached: it refused the connection."


@pytest.mark.parametrize("url", ["ftp://x/", "http://user:secret-token@127.0.0.1:9/"])
def test_an_address_that_cannot_be_used_is_not_repeated(url: str) -> None:
    assert "secret-token" not in str(refused(url))
