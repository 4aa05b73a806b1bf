"""Logging in, staying in, and out again."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import LOCAL_CONSOLE_PASSWORD, Configuration
from relay.console import create_app
from relay.console.sessions import KEY_NAME, SESSION_H, session_key
from relay.console.throttle import FREE_FAILURES, LONGEST_PAUSE_S, MOST_REMEMBERED, Throttle
from relay.domain.errors import StoreUnavailable
from tests.clock import TurnedClock
from tests.unit.console.conftest import NAME, PASSWORD, Browser


def opened(backend: EmbeddedBackend, clock: TurnedClock, password: str = PASSWORD, **changes: object) -> Browser:
    """A browser in front of a process of its own."""
    configuration = Configuration(console_password=password, **changes)  # type: ignore[arg-type]
    return Browser(create_app(configuration, backend, clock).test_client())


@pytest.mark.parametrize("path", ["/", "/unknown", "/connectors/shop"])
def test_a_stranger_is_sent_to_the_login_and_from_there_to_where_they_wanted_to_go(stranger: Browser, path: str) -> None:
    answer = stranger.get(f"{path}?since=1", 302)

    assert answer.location == f"/login?next={path}?since%3D1"
    went_on = stranger.post(answer.location, {"password": PASSWORD}, form="/login")
    assert (went_on.status_code, went_on.location) == (302, f"{path}?since=1")


@pytest.mark.parametrize(
    "place",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "evil", "javascript:x"],
)
def test_from_the_login_nobody_is_sent_to_another_site(stranger: Browser, place: str) -> None:
    token = stranger.token("/login")

    answer = stranger.client.post("/login", query_string={"next": place}, data={"password": PASSWORD, "csrf_token": token})

    assert (answer.status_code, answer.location) == (302, "/")


def test_who_is_logged_in_is_not_asked_again(browser: Browser) -> None:
    assert browser.get("/login?next=/holds", 302).location == "/holds"


@pytest.mark.parametrize("given", ["", "wrong", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), "grun:secret"])
def test_only_the_whole_password_opens_the_console(stranger: Browser, given: str) -> None:
    answer = stranger.log_in(given)

    assert answer.status_code == (401 if given else 200)
    assert stranger.get("/search", 302)


def test_without_its_token_a_login_is_refused(stranger: Browser) -> None:
    answer = stranger.client.post("/login", data={"password": PASSWORD})

    assert answer.status_code == 400
    assert "Please try again" in answer.text
    assert stranger.get("/search", 302)


def test_the_page_says_who_is_there_and_logging_out_ends_it(browser: Browser) -> None:
    assert NAME in browser.text("/search")

    assert browser.post("/logout").location == "/login"

    assert browser.get("/search", 302).location.startswith("/login")


def test_who_gives_no_name_is_called_console(stranger: Browser) -> None:
    stranger.log_in(name=" ")

    assert "console, admin" in stranger.text("/search")


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_on_google_from_plain_http(
    stranger: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    cookie = stranger.log_in().headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie

    on_google = opened(backend, clock, on_cloud_run=True)

    assert "Secure" in on_google.get("/login").headers["Set-Cookie"]


def test_changing_the_password_ends_every_session(browser: Browser, backend: EmbeddedBackend, clock: TurnedClock) -> None:
    cookie = browser.client.get_cookie("diy-relay")
    assert cookie
    same, changed = opened(backend, clock), opened(backend, clock, "another-password")
    for one in (same, changed):
        one.client.set_cookie("diy-relay", cookie.value)

    assert same.get("/search")
    assert changed.get("/search", 302)


def test_a_session_ends_some_hours_after_the_login_however_much_it_is_used(browser: Browser, clock: TurnedClock) -> None:
    for _ in range(SESSION_H - 1):
        clock.advance(3600)
        assert browser.get("/search")
    clock.advance(3599)
    assert browser.get("/search")

    clock.advance(1)

    assert browser.get("/search", 302).location.startswith("/login")


def test_a_cookie_that_was_copied_before_logging_out_is_of_no_use_forever(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    cookie = browser.client.get_cookie("diy-relay")
    assert cookie
    browser.post("/logout")
    thief = opened(backend, clock)
    clock.advance(SESSION_H * 3600)
    thief.client.set_cookie("diy-relay", cookie.value)

    assert thief.get("/search", 302)


def test_over_https_the_cookie_is_for_https_only(stranger: Browser) -> None:
    assert "Secure" in stranger.client.get("/login", base_url="https://localhost").headers["Set-Cookie"]


def test_processes_that_start_at_the_same_time_agree_on_one_key(backend: EmbeddedBackend, clock: TurnedClock) -> None:
    processes = [opened(backend, clock) for _ in range(4)]
    start = threading.Barrier(len(processes))

    def first_page(process: Browser) -> None:
        start.wait()
        process.client.get("/login")

    threads = [threading.Thread(target=first_page, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert processes[0].log_in().status_code == 302
    cookie = processes[0].client.get_cookie("diy-relay")
    assert cookie
    for process in processes:
        process.client.set_cookie("diy-relay", cookie.value)
        assert process.get("/search")


def test_a_process_whose_key_was_overwritten_takes_the_one_that_stands(
    browser: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    backend.secrets.set(KEY_NAME, "of-a-process-that-was-a-moment-later")

    assert browser.get("/search", 302), "what the other key signed is good no more"
    assert browser.log_in().status_code == 302
    cookie = browser.client.get_cookie("diy-relay")
    other = opened(backend, clock)
    assert cookie
    other.client.set_cookie("diy-relay", cookie.value)
    assert other.get("/search")


def test_the_key_is_made_once_and_is_long(backend: EmbeddedBackend) -> None:
    key = session_key(backend.secrets)

    assert len(key) >= 43
    assert session_key(backend.secrets) == key


def test_while_the_key_cannot_be_read_nobody_gets_in_and_the_page_says_so(
    clock: TurnedClock, backend: EmbeddedBackend, tmp_path: Path
) -> None:
    visitor = opened(backend, clock)
    (tmp_path / "state" / "secrets").rename(tmp_path / "state" / "gone")
    (tmp_path / "state" / "secrets").write_text("no directory")

    answer = visitor.get("/", 503)

    assert "That does not work at the moment" in answer.text


def test_who_is_logged_in_stays_so_while_the_key_cannot_be_read(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser.get("/search")

    def unreadable(*_: object) -> str:
        raise StoreUnavailable("The store is down.")

    monkeypatch.setattr("relay.console.sessions.session_key", unreadable)

    assert browser.get("/login", 302)


# slowing down whoever guesses


def test_after_some_wrong_passwords_even_the_right_one_has_to_wait(stranger: Browser, clock: TurnedClock) -> None:
    for _ in range(FREE_FAILURES):
        assert stranger.log_in("wrong").status_code == 401

    refused = stranger.log_in()

    assert refused.status_code == 429
    assert "Try again in 1 second" in refused.text
    clock.advance(1.0)
    assert stranger.log_in().status_code == 302


def test_each_further_failure_doubles_the_pause_up_to_a_minute(clock: TurnedClock) -> None:
    throttle = Throttle(clock)
    pauses = []
    for _ in range(FREE_FAILURES - 1):
        throttle.begin("a")
    for _ in range(9):
        assert throttle.begin("a") == 0.0
        pauses.append(throttle.begin("a"))
        clock.advance(pauses[-1])

    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE_S


def test_one_guesser_does_not_slow_down_others_and_a_success_forgets(clock: TurnedClock) -> None:
    throttle = Throttle(clock)
    for _ in range(FREE_FAILURES):
        throttle.begin("a")

    assert throttle.begin("b") == 0.0
    assert throttle.begin("a") > 0.0
    throttle.succeeded("a")
    assert throttle.begin("a") == 0.0


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("made up", "made up", True),
    ],
)
def test_a_guesser_does_not_begin_anew_from_another_address_of_its_own_network(
    clock: TurnedClock, first: str, second: str, together: bool
) -> None:
    throttle = Throttle(clock)
    for _ in range(FREE_FAILURES):
        throttle.begin(first)

    assert (throttle.begin(second) > 0.0) is together


def test_many_tries_at_once_are_no_more_than_one_after_the_other(clock: TurnedClock) -> None:
    throttle = Throttle(clock)
    start = threading.Barrier(12)
    waits: list[float] = []

    def guess() -> None:
        start.wait()
        waits.append(throttle.begin("a"))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert waits.count(0.0) == FREE_FAILURES


def test_many_guessers_take_no_more_than_their_room(clock: TurnedClock) -> None:
    throttle = Throttle(clock)
    for number in range(MOST_REMEMBERED + 10):
        throttle.begin(str(number))

    assert len(throttle._failures) == MOST_REMEMBERED


def test_on_google_guessers_are_told_apart_by_the_address_that_its_front_end_saw(
    backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    visitor = opened(backend, clock, on_cloud_run=True)

    def guess(password: str, forwarded: str) -> int:
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', visitor.client.get("/login", base_url="https://localhost").text)
        assert found
        data = {"password": password, "csrf_token": found.group(1)}
        headers = {"X-Forwarded-For": forwarded, "Referer": "https://localhost/login"}
        return visitor.client.post("/login", data=data, headers=headers, base_url="https://localhost").status_code

    for number in range(FREE_FAILURES):
        assert guess("wrong", f"made.up.{number}, 192.0.2.7") == 401
    assert guess(PASSWORD, "made.up, 192.0.2.7") == 429
    assert guess(PASSWORD, "made.up, 192.0.2.8") == 302


# the password that everybody knows


@pytest.mark.parametrize(
    ("password", "address", "host", "status"),
    [
        (LOCAL_CONSOLE_PASSWORD, "127.0.0.1", "127.0.0.1:8081", 200),
        (LOCAL_CONSOLE_PASSWORD, "127.0.0.1", "localhost:8081", 200),
        (LOCAL_CONSOLE_PASSWORD, "::1", "[::1]:8081", 200),
        (LOCAL_CONSOLE_PASSWORD, "192.0.2.7", "127.0.0.1:8081", 403),
        (LOCAL_CONSOLE_PASSWORD, "127.0.0.1", "rebound.example", 403),
        ("own", "192.0.2.7", "console.example", 200),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/assets/console.css"])
def test_the_known_password_opens_the_console_to_this_machine_only_whatever_the_server_listens_on(
    backend: EmbeddedBackend, clock: TurnedClock, password: str, address: str, host: str, status: int, path: str
) -> None:
    visitor = opened(backend, clock, password)

    answer = visitor.client.get(path, environ_base={"REMOTE_ADDR": address}, headers={"Host": host})

    assert answer.status_code == status


def test_the_login_page_tells_the_known_password_and_never_another(
    stranger: Browser, backend: EmbeddedBackend, clock: TurnedClock
) -> None:
    assert LOCAL_CONSOLE_PASSWORD in opened(backend, clock, LOCAL_CONSOLE_PASSWORD).text("/login")

    page = stranger.text("/login")

    assert PASSWORD not in page
    assert LOCAL_CONSOLE_PASSWORD not in page
