"""The stand-in for Cloud Storage answers as https://cloud.google.com/storage/docs/json_api/v1 says, as far as we use it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from relay.domain.errors import ConfigurationError
from relay.local_run.cloud_storage import StorageServer

BUCKET = "a-bucket"


@pytest.fixture
def server() -> Iterator[StorageServer]:
    server = StorageServer()
    server.make(BUCKET)
    yield server
    server.close()


def upload(server: StorageServer, name: str, content: bytes, **query: str) -> requests.Response:
    body = (
        b'--b\r\nContent-Type: application/json\r\n\r\n{"name": "' + name.encode() + b'", "customTime": "2026-01-01T00:00:00Z"}'
        b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    return requests.post(
        f"http://{server.address}/upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "multipart", **query},
        headers={"Content-Type": "multipart/related; boundary=b"},
        data=body,
        timeout=5,
    )


def ask(server: StorageServer, method: str, place: str = "", **query: str) -> requests.Response:
    return requests.request(method, f"http://{server.address}/storage/v1/b/{BUCKET}/o{place}", params=query, timeout=5)


def names(server: StorageServer, **query: str) -> list[str]:
    return [item["name"] for item in ask(server, "GET", **query).json()["items"]]


@pytest.mark.parametrize("content", [b"", b"\r\n--b", b"a\r\nb\n\r\x00\xff", b"x" * 100_000])
def test_what_was_uploaded_is_read_back_byte_for_byte(server: StorageServer, content: bytes) -> None:
    stored = upload(server, "1/a b", content.replace(b"--b", b"--c")).json()
    read = ask(server, "GET", "/1%2Fa%20b", alt="media")

    assert read.content == content.replace(b"--b", b"--c")
    assert read.headers["Content-Length"] == stored["size"] == str(len(content))
    assert ask(server, "GET", "/1%2Fa%20b").json() == stored
    assert stored["customTime"] == "2026-01-01T00:00:00Z"
    assert stored["timeCreated"].endswith("Z")


def test_a_list_is_by_name_from_a_name_on_page_by_page(server: StorageServer) -> None:
    for name in ("7/c", "7/a", "1/x", "7/b"):
        upload(server, name, b"")

    assert names(server, prefix="7/") == ["7/a", "7/b", "7/c"]
    assert names(server, prefix="7/", startOffset="7/b") == ["7/b", "7/c"]
    first = ask(server, "GET", maxResults="3").json()
    assert [item["name"] for item in first["items"]] == ["1/x", "7/a", "7/b"]
    assert names(server, maxResults="3", pageToken=first["nextPageToken"]) == ["7/c"]
    assert "nextPageToken" not in ask(server, "GET", maxResults="4").json()


def test_a_content_is_replaced_and_deleted_only_where_it_is_the_one_that_was_meant(server: StorageServer) -> None:
    first = upload(server, "a", b"first").json()["generation"]
    second = upload(server, "a", b"second", ifGenerationMatch=first).json()["generation"]

    assert upload(server, "a", b"third", ifGenerationMatch=first).status_code == 412
    assert upload(server, "a", b"new", ifGenerationMatch="0").status_code == 412
    assert ask(server, "GET", "/a", alt="media", generation=first).status_code == 404
    assert ask(server, "DELETE", "/a", ifGenerationMatch=first).status_code == 412
    assert ask(server, "GET", "/a", alt="media", generation=second).content == b"second"
    assert ask(server, "DELETE", "/a", ifGenerationMatch=second).status_code == 204
    assert ask(server, "GET", "/a").status_code == 404
    assert ask(server, "DELETE", "/a").status_code == 404


def test_what_it_does_not_have_is_not_found(server: StorageServer) -> None:
    for place in ("/storage/v1/b/another/o", "/storage/v1/b/another/o/x", "/storage/v1/c", "/"):
        answer = requests.get(f"http://{server.address}{place}", timeout=5)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == 404


@pytest.mark.parametrize("query", [{"uploadType": "media"}, {}])
def test_uploads_of_another_form_are_refused(server: StorageServer, query: dict[str, str]) -> None:
    url = f"http://{server.address}/upload/storage/v1/b/{BUCKET}/o"
    assert requests.post(url, params={"name": "a", **query}, data=b"x", timeout=5).status_code == 400


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} cannot be used"):
            StorageServer(port)
