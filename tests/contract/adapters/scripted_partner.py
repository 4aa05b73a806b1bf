"""The partner of a case: an HTTP server that answers by the script and notes every call."""

from __future__ import annotations

import fnmatch
import socket
import struct
import threading
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import jmespath
import msgspec

from tests.contract.adapters.case_file import Answer
from tests.contract.adapters.expected import hashes_filled_in
from tests.contract.adapters.scripted import ScriptedServer, Visit

UNSCRIPTED = 599
"""Status of the answer to a call for which the case file has none."""


class Call(msgspec.Struct, frozen=True):
    """One call as it came. `body`: its JSON, None if it is none; `headers` by their names in small letters."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    text: str
    body: Any

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form."""
        return dict(parse_qsl(self.text, keep_blank_values=True))

    @property
    def line(self) -> str:
        """METHOD /path."""
        return f"{self.method} {self.path}"

    def told(self, count: str) -> dict[str, Any]:
        """As expressions of a case file look at it. `count`: the one for the number of users it carries; none where the call has
        not what that one asks for."""
        whole = {**msgspec.structs.asdict(self), "form": self.form}
        try:
            users = jmespath.search(count, whole)
        except jmespath.exceptions.JMESPathTypeError:
            users = 0
        return {**whole, "count": users or 0}


class ScriptedPartner:
    """Answers with the `script` first, then with `well`. `faults`: the calls for which the case file has no answer, or none that
    can be written."""

    def __init__(self, well: Sequence[Answer], count: str) -> None:
        self._well = well
        self._count = count
        self._script: list[tuple[Answer, int]] = []
        self._lock = threading.Lock()
        self._server = ScriptedServer(self._serve)
        self.calls: list[Call] = []
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.url

    def play(self, script: Sequence[Answer]) -> None:
        """From now on; what is left of the script before is forgotten."""
        with self._lock:
            self._script = [(answer, 1 << 62 if answer.times == "always" else answer.times) for answer in script]

    def users_in(self, call: Call) -> int:
        """How many users it carries."""
        return int(call.told(self._count)["count"])

    def _serve(self, visit: Visit) -> None:
        while received := visit.read():
            call = _parsed(received)
            with self._lock:
                self.calls.append(call)
                answer = self._answer_to(call)
            if answer.do == "hang":
                visit.wait()
                return
            if answer.do == "reset":
                # Closing with nothing to linger for sends a reset instead of an orderly end.
                visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            visit.write(self._written(answer, call))

    def _answer_to(self, call: Call) -> Answer:
        for number, (answer, times) in enumerate(self._script):
            if times and _fits(answer, call):
                self._script[number] = (answer, times - 1)
                return answer
        for answer in self._well:
            if _fits(answer, call):
                return answer
        self.faults.append(f"there is no answer to {call.line}")
        return Answer(status=UNSCRIPTED)

    def _written(self, answer: Answer, call: Call) -> bytes:
        try:
            return _written(answer, call.told(self._count))
        except jmespath.exceptions.JMESPathError as error:
            self.faults.append(f"the answer to {call.line} cannot be written: {error}")
            return _written(Answer(status=UNSCRIPTED), {})


def _parsed(received: bytes) -> Call:
    head, _, content = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, address, _ = first.split(" ")
    named = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    parts = urlsplit(address)
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Call(method, parts.path, query, headers, content.decode("utf-8", "replace"), body)


def _fits(answer: Answer, call: Call) -> bool:
    method, _, path = answer.to.partition(" ")
    holds = not answer.holds or hashes_filled_in(answer.holds) in call.text
    return holds and fnmatch.fnmatchcase(call.method, method) and fnmatch.fnmatchcase(call.path, path)


def _written(answer: Answer, call: dict[str, Any]) -> bytes:
    """The answer to the byte."""
    kind, content = "", b""
    if answer.json is not msgspec.UNSET:
        kind, content = "application/json", msgspec.json.encode(_filled_in(answer.json, call))
    elif answer.html:
        kind, content = "text/html; charset=utf-8", (answer.html * answer.repeat).encode()
    elif answer.text:
        kind, content = "text/plain; charset=utf-8", (answer.text * answer.repeat).encode()
    headers = {**({"Content-Type": kind} if kind else {}), **answer.headers}
    if answer.status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(len(content))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Scripted\r\n{lines}\r\n".encode() + content


def _filled_in(value: Any, call: dict[str, Any]) -> Any:
    """With the expressions, texts that are `{…}` as a whole, evaluated over the call."""
    if isinstance(value, dict):
        return {name: _filled_in(one, call) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled_in(one, call) for one in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return jmespath.search(value[1:-1], call)
    return value
