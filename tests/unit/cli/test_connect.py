"""`diy connectors connect`, as a process, with a partner that looks closely at what it is asked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from adapters import registry
from relay.domain.clock import SystemClock
from tests.unit.adapters.authentication.server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, Reply, authorization_server
from tests.unit.cli import consent
from tests.unit.cli.conftest import Diy

ROOT = Path(__file__).parents[3]

DOCUMENT = """\
name: acme
adapter: consent
inbound: {{hmac_secret: acme-hmac}}
settings: {{base_url: "{url}"}}
actions:
  - {{name: Add, trigger: joined, operation: add, mapping: {{id: user.id}}}}
"""


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server() as made:
        yield made


@pytest.fixture
def acme(diy: Diy, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch) -> Diy:
    """A connector whose client is that of the installation's app, and which nobody has connected yet."""
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, "consent": consent.PLACE})
    file = diy.directory / "acme.yaml"
    file.write_text(DOCUMENT.format(url=server.url))
    applied = diy("connectors", "apply", str(file))
    assert (applied.exit_code, applied.stderr.splitlines()[-1]) == (0, "To allow access: diy connectors connect acme")
    diy.fine("secrets", "set", "acme-hmac", input="an-hmac-secret\n")
    diy.fine("secrets", "set", "app-consent-client-id", input=CLIENT_ID)
    diy.fine("secrets", "set", "app-consent-client-secret", input=CLIENT_SECRET)
    return diy


class Command:
    """`diy connectors connect acme` as it runs; `url` is the address that it printed."""

    def __init__(self, diy: Diy, *options: str) -> None:
        command = [sys.executable, "-m", "tests.unit.cli.consent", "connectors", "connect", "acme", *options]
        environment = {**os.environ, "STATE_DIR": str(diy.state), "USER": diy.user, "BACKEND": "embedded"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def ended(self, typed: str | None = None) -> tuple[int, str, str]:
        """Exit code, and what it printed since."""
        stdout, stderr = self.process.communicate(typed, timeout=60)
        return self.process.returncode, stdout, stderr

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Connect = Callable[..., Command]


@pytest.fixture
def connect(acme: Diy) -> Iterator[Connect]:
    started: list[Command] = []

    def start(*options: str) -> Command:
        started.append(Command(acme, *options))
        return started[-1]

    yield start
    for command in started:
        command.kill()


def browse(url: str) -> tuple[int, str]:
    """Status and text of the page that a browser ends at."""
    try:
        with urllib.request.urlopen(url, timeout=30) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sent_back(url: str) -> str:
    """Where the partner sends the browser back to."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(url, timeout=30)
    return str(caught.value.headers["Location"])


def callback(command: Command, **query: str) -> str:
    return f"{command.query['redirect_uri']}?{urlencode(query)}"


def test_after_consent_the_connector_is_connected_and_its_partner_accepts_it(
    acme: Diy, connect: Connect, server: AuthorizationServer
) -> None:
    refused = acme("connectors", "check", "acme")
    assert refused.exit_code == 1
    assert "diy connectors connect acme" in refused.stderr

    command = connect("--no-browser")
    assert browse(command.url) == (200, "It is connected; you may close this page.\n")
    assert command.ended()[:2] == (0, "acme is connected.\n")
    assert server.consents[0]["scope"] == "audiences offline"
    assert server.consents[0]["prompt"] == "consent"
    assert acme("connectors", "check", "acme").exit_code == 0
    entry = acme.json("audit")[-1]
    assert (entry["what"], entry["subject"], entry["by"]) == ("connect", "acme", "the-operator")


def test_access_that_cannot_be_renewed_is_not_called_connected(connect: Connect, server: AuthorizationServer) -> None:
    server.replies.append(Reply(200, {"access_token": "only", "expires_in": 600}))
    command = connect("--no-browser")
    status, page = browse(command.url)
    code, stdout, _ = command.ended()
    assert (status, code) == (200, 0)
    assert "not for long" in page
    assert "is connected" not in stdout
    assert "gave no refresh token" in stdout
    assert "authorize_parameters" in stdout


def test_the_address_that_is_printed_is_fresh_every_time_and_holds_no_secret(connect: Connect) -> None:
    first, second = connect("--no-browser"), connect("--no-browser")
    for name in ("state", "code_challenge", "redirect_uri"):
        assert first.query[name] != second.query[name]
    assert urlsplit(first.query["redirect_uri"]).hostname == "127.0.0.1"
    assert CLIENT_SECRET not in first.url


def test_what_waits_for_credentials_is_tried_again_at_once(
    acme: Diy, connect: Connect, server: AuthorizationServer
) -> None:
    acme.receive("a.1", "user-1", connector="acme")
    acme.work()
    (hold,) = acme.json("holds", "list")
    assert hold["reason"] == "credentials_refused"
    assert "diy connectors connect acme; or, if the client itself is refused" in hold["what_to_do"]

    command = connect("--no-browser")
    browse(command.url)
    assert command.ended()[0] == 0
    with acme.backend() as backend:
        assert [audience.id for audience in backend.audiences.due(SystemClock().now())] == ["a.1"]


def test_a_wrong_state_is_answered_400_and_the_command_goes_on_waiting(connect: Connect) -> None:
    command = connect("--no-browser")
    for query in ({"code": "stolen", "state": "guessed"}, {"code": "stolen"}, {"error": "access_denied"}, {}):
        status, page = browse(callback(command, **query))
        assert status == 400
        assert "does not belong" in page
    assert browse(command.query["redirect_uri"].replace("/callback", "/favicon.ico"))[0] == 404
    assert browse(command.url)[0] == 200
    assert command.ended()[0] == 0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("access_denied", "Access was not allowed at the partner."),
        ("invalid_scope", "The partner does not know the scope"),
        ("a-partners-word", "an error that is not known"),
    ],
)
def test_an_error_from_the_partner_ends_it_in_our_words(
    acme: Diy, connect: Connect, server: AuthorizationServer, error: str, sentence: str
) -> None:
    server.denies = error
    command = connect("--no-browser")
    status, page = browse(command.url)
    assert status == 400
    assert "you may close this page" in page
    code, _, stderr = command.ended()
    assert code == 1
    assert sentence in stderr
    assert "a-partners-word" not in stderr
    assert "Traceback" not in stderr
    assert acme("connectors", "check", "acme").exit_code == 1


def test_a_code_that_the_partner_does_not_take_ends_it(connect: Connect) -> None:
    command = connect("--no-browser")
    assert browse(callback(command, code="guessed", state=command.query["state"]))[0] == 400
    code, _, stderr = command.ended()
    assert code == 1
    assert "no longer accepts" in stderr


def test_nobody_who_comes_back_in_time_is_told_to_begin_again(connect: Connect) -> None:
    code, _, stderr = connect("--no-browser", "--timeout", "1").ended()
    assert code == 1
    assert "within 1 seconds" in stderr


def test_without_a_browser_the_address_that_one_was_sent_back_to_is_pasted(acme: Diy, connect: Connect) -> None:
    command = connect("--paste")
    assert command.query["redirect_uri"] == "http://127.0.0.1:8085/callback"
    code, _, stderr = command.ended(f"  {sent_back(command.url)}\n")
    assert (code, "connected" in stderr) == (0, False)
    assert acme("connectors", "check", "acme").exit_code == 0


def test_a_redirect_uri_that_the_partner_knows_can_be_used_with_paste(connect: Connect) -> None:
    command = connect("--paste", "--redirect-uri", "https://example.com/back?a=b")
    assert command.query["redirect_uri"] == "https://example.com/back?a=b"
    assert command.ended("https://example.com/back?state=guessed&code=x\n")[0] == 1


def test_a_port_can_be_chosen_and_one_that_is_taken_is_named(acme: Diy, connect: Connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = acme("connectors", "connect", "acme", "--no-browser", "--port", str(port))
        assert result.exit_code == 2
        assert str(port) in result.stderr
    assert urlsplit(connect("--no-browser", "--port", str(port)).query["redirect_uri"]).port == port


def test_a_client_that_is_not_set_is_named_before_anybody_is_sent_anywhere(acme: Diy) -> None:
    with acme.backend() as backend:
        backend.secrets.delete("app-consent-client-id")
    result = acme("connectors", "connect", "acme", "--no-browser")
    assert result.exit_code == 1
    assert "holds 'Client ID'" in result.stderr
    assert "diy secrets set app-consent-client-id." in result.stderr
    assert result.stdout == ""


def test_a_connector_that_needs_no_consent_says_so(acme: Diy) -> None:
    acme.apply()
    result = acme("connectors", "connect", "pangolin", "--no-browser")
    assert result.exit_code == 1
    assert "Nobody has to allow" in result.stderr


def test_a_redirect_uri_without_paste_is_a_wrong_use(acme: Diy) -> None:
    assert acme("connectors", "connect", "acme", "--redirect-uri", "https://example.com").exit_code == 2
