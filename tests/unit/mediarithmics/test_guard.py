"""Who is answered at all, and that nothing is read of anybody else."""

from __future__ import annotations

import json
import socket

import pytest

from tests.unit.mediarithmics.conftest import Lines
from tests.unit.mediarithmics.platform import IDS, POINT, Platform

SECRET = "a-secret-of-the-platform"


def _raw(platform: Platform, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", platform.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_without_the_secret_nothing_is_read_and_nothing_is_done(platform: Platform) -> None:
    platform.serve(settings={"access": "secret", "secret": SECRET})
    head = b"POST /v1/user_segment_update HTTP/1.1\r\nHost: x\r\nContent-Length: 12000000\r\n"
    answer = _raw(platform, head + b"\r\n")  # and no body follows
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"message":"The header X-Feed-Secret is missing or wrong."' in answer
    assert _raw(platform, head + b"X-Feed-Secret: wrong\r\n\r\n").startswith(b"HTTP/1.1 401 ")
    assert platform.gateway.asked == []


@pytest.mark.parametrize("path", ["/v1/status", "/v1/log_level", "/v1/metadata", "/v1/unknown"])
def test_every_address_asks_for_the_secret(platform: Platform, path: str) -> None:
    platform.serve(settings={"access": "secret", "secret": SECRET})
    assert platform.call("GET", path).status_code == 401
    assert platform.call("GET", path, headers={"X-Feed-Secret": SECRET}).status_code in (200, 404)


def test_with_the_secret_it_works_from_anywhere(platform: Platform) -> None:
    platform.serve(settings={"access": "secret", "secret": SECRET})
    headers = {"X-Feed-Secret": SECRET, "Host": "feeds.example", "Origin": "https://a.example"}
    body = {**IDS, "user_identifiers": [POINT]}
    assert platform.post("user_segment_update", body, headers=headers).status_code == 200


def test_an_empty_secret_lets_nobody_in(platform: Platform) -> None:
    platform.serve(settings={"access": "secret", "secret": ""})
    assert platform.call("GET", "/v1/status", headers={"X-Feed-Secret": ""}).status_code == 401


@pytest.mark.parametrize("headers", [{"Host": "attacker.example"}, {"Origin": "http://127.0.0.1"}, {"Origin": "null"}])
def test_a_page_in_a_browser_on_this_machine_is_a_stranger(platform: Platform, headers: dict[str, str]) -> None:
    response = platform.post("user_segment_update", {**IDS, "user_identifiers": [POINT]}, headers=headers)
    assert response.status_code == 403
    assert response.json()["status"] == "error"


@pytest.mark.parametrize("access", ["internal", "iam"])
def test_where_others_keep_strangers_away_everybody_is_answered(platform: Platform, access: str) -> None:
    platform.serve(settings={"access": access})
    assert platform.call("GET", "/v1/status", headers={"Host": "feeds.example"}).status_code == 200


def test_a_flood_of_strangers_has_ten_lines_a_second(platform: Platform, lines: Lines) -> None:
    platform.serve(settings={"access": "secret", "secret": SECRET})
    for _ in range(60):
        platform.call("GET", "/v1/status", headers={"X-Feed-Secret": "guess-of-a-stranger"})
    written = [line for line in lines() if line["event"] == "feed_request"]
    assert 10 <= len(written) < 40
    assert {line["status"] for line in written} == {401}
    assert "guess" not in json.dumps(written)
