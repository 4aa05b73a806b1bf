"""Whatever is sent: a status below 500, a readable `error` unless it is 200, and never a trace of our insides."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.mapp.reading import FromBody, MutationReader
from relay.domain.connector import Inbound
from relay.domain.message import Message, decode, encode
from tests.unit.mapp.edge import METHODS, SECRET, Edge, Server, connector, signature

KNOWN_WORDS = [
    "Type", "type", "Audience", "User", "UserId", "Id", "Email", "Customer", "Mutations", "Mutation", "Name", "Operation",
    "VALIDATE", "CREATE_AUDIENCE", "ADD_TO_AUDIENCE", "REMOVE_FROM_AUDIENCE", "REMOVE_TO_AUDIENCE", "account.crm", "add",
    "Action", "remove",
]  # fmt: skip

words = st.one_of(st.sampled_from(KNOWN_WORDS), st.text(max_size=20))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(alphabet="\0\n \u2028\x85ü\U0001f600", max_size=5),
    st.sampled_from([10**400, -(10**40), 2**64, 1e308, 5e-324, "x" * 2_000]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)), max_leaves=12
)
mutations = st.lists(st.one_of(values, st.dictionaries(st.sampled_from(KNOWN_WORDS), values, max_size=6)), max_size=6)
objects = st.dictionaries(words, values, max_size=6)
requests_of_ours = st.builds(
    lambda kind, listed, extra: {**extra, **({} if kind is None else {"Type": kind}), "Mutations": listed},
    st.one_of(st.none(), words),
    mutations,
    objects,
)


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()  # writes NaN, Infinity and lone surrogates too, which no JSON reader has to accept


def damaged(body: bytes, at: int, with_what: bytes) -> bytes:
    place = at % (len(body) + 1)
    return body[:place] + with_what + body[place + len(with_what) // 2 :]


bodies = st.one_of(
    st.binary(max_size=200),
    values.map(dumped),
    requests_of_ours.map(dumped),
    st.builds(damaged, requests_of_ours.map(dumped), st.integers(min_value=0), st.binary(min_size=1, max_size=4)),
    st.integers(min_value=1, max_value=50_000).map(lambda depth: b'{"Mutations":' + b"[" * depth),
)
types = st.one_of(
    st.sampled_from(["type", "Type", "TYPE", "t", ""]).flatmap(lambda name: words.map(lambda value: (name, value))),
    st.tuples(st.text(max_size=5), st.text(max_size=5)),
)
queries = st.one_of(
    st.lists(types, max_size=3).map(lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)),
    st.text(alphabet="&=;%+?typeTYPE%00ff", max_size=20),
)
paths = st.one_of(
    st.sampled_from(["/", "/pangolin", "/pangolin/"]),
    # A line feed is as far as the framework's router, which answers 404 by itself.
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=10).map(lambda text: "/" + quote(text)),
)
header_values = st.one_of(
    st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60).map(
        lambda text: text.strip().encode("latin-1")
    ),
    st.sampled_from([b"Basic", b"Basic Og==", b"Basic \xff", b"Bearer x", b"0" * 40, b"\xe9" * 40]),
)
headers = st.dictionaries(
    st.sampled_from(["X-HMAC", "Authorization", "Host", "Content-Type", "Content-Encoding", "X-Request-Id", "Expect"]),
    header_values,
    max_size=4,
)


@pytest.fixture(scope="module")
def edge(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    path: Path = tmp_path_factory.mktemp("fuzz")
    edge = Edge(server, path / "state")
    edge.serve(connector(), connector("with-basic", credentials=("dmp:pass",)))
    yield edge
    edge.close()


def sent(edge: Edge, method: str, target: str, body: bytes, given: dict[str, bytes], *, chunked: bool) -> tuple[int, bytes]:
    """The request as raw bytes, so that no client tidies it up; status and body of the answer."""
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), b"Connection: close"]
    given = {"Host": b"localhost"} | given
    lines += [name.encode() + b": " + value for name, value in given.items()]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d" % len(body))
    answer = edge.raw(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    while answer.startswith(b"HTTP/1.1 1"):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer
    return int(head.split()[1]), content


def check(status: int, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert status < 500, content
    answered = json.loads(content)
    assert isinstance(answered, dict)
    if status == 200:
        assert "error" not in answered
    else:
        assert isinstance(answered["error"], str)
        assert answered["error"].endswith((".", ")"))
    assert b"Traceback" not in content
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@settings(max_examples=250)
@given(
    query=queries,
    body=bodies,
    kind=st.sampled_from(["", "type=ADD_TO_AUDIENCE", "type=REMOVE_FROM_AUDIENCE", "type=CREATE_AUDIENCE"]),
)
def test_signed_requests_of_any_content(edge: Edge, caplog: pytest.LogCaptureFixture, query: str, body: bytes, kind: str) -> None:
    target = "/?" + (kind or query.replace(" ", "+"))
    signed = {"X-HMAC": signature(body, SECRET).encode()}
    status, content = sent(edge, "POST", target, body, signed, chunked=False)
    check(status, content, caplog)
    assert status in (200, 400)
    for message in edge.queued():
        assert decode(encode(message)) == message


@settings(max_examples=250)
@given(
    method=st.sampled_from([each for each in METHODS if each != "HEAD"]),
    path=paths,
    query=queries,
    body=bodies,
    given_headers=headers,
    chunked=st.booleans(),
)
def test_requests_of_any_shape(
    edge: Edge,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    query: str,
    body: bytes,
    given_headers: dict[str, bytes],
    chunked: bool,
) -> None:
    given_headers = {name: value for name, value in given_headers.items() if name != "Host" or value}
    status, content = sent(edge, method, f"{path}?{query.replace(' ', '+')}", body, given_headers, chunked=chunked)
    check(status, content, caplog)
    edge.queued()


@settings(max_examples=300)
@given(mutations)
def test_whatever_is_read_can_be_queued_and_names_a_user_and_an_audience(entries: list[Any]) -> None:
    reader = MutationReader(Inbound(hmac_secret="hmac"))
    try:
        json.dumps(entries, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # never comes out of the JSON reader
    reader.read(entries, FromBody("joined"))
    for audience, mutation in reader.read(entries, FromBody("joined")):  # those that are alike by column
        assert mutation.unreadable is not None or (audience and mutation.user_key)
        message = Message(1, "change", "pangolin", audience, "r", 0.0, mutations=(mutation,))
        decode(encode(message))
