"""What every small partner is: a server in threads that hands each call, read whole, to `answer`."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlsplit

_WITHOUT_CONTENT = (204, 304)


class Call(NamedTuple):
    """One call as it came; `target`: path and query as they were sent; `headers` by their names in small letters, `path`
    decoded."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def line(self) -> str:
        """METHOD /path."""
        return f"{self.method} {self.path}"

    @property
    def kind(self) -> str:
        """What its body is, without parameters such as the charset."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def json(self) -> Any:
        """Its body; None unless it is JSON and says so."""
        if self.kind != "application/json":
            return None
        return json.loads(self.content)

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form; none unless it is one and says so."""
        if self.kind != "application/x-www-form-urlencoded":
            return {}
        return dict(parse_qsl(self.content.decode(), keep_blank_values=True, strict_parsing=True))


class Answer(NamedTuple):
    """`body`: sent as JSON, unless it is bytes."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = {}


class Serving:
    """Serves while the context lasts. `served`: all calls that came, in order. One is answered at a time."""

    def __init__(self) -> None:
        self.served: list[Call] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def answer(self, call: Call) -> Answer:
        """What the partner says."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _answered(self, call: Call) -> Answer:
        with self._lock:
            self.served.append(call)
            return self.answer(call)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                headers = {name.lower(): value for name, value in self.headers.items()}
                given = partner._answered(Call(self.command, self.path, unquote(parts.path), query, headers, content))
                is_json = not isinstance(given.body, bytes)
                body = json.dumps(given.body).encode() if is_json else given.body
                self.send_response(given.status)
                for name, value in {**({"Content-Type": "application/json"} if is_json else {}), **given.headers}.items():
                    self.send_header(name, value)
                if given.status not in _WITHOUT_CONTENT:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if given.status not in _WITHOUT_CONTENT:
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler
