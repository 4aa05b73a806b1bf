"""A feeds' function that answers as the contract says and delivers nothing: real HTTP on a loopback port."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

Scripted = tuple[int, dict[str, Any], dict[str, str]]
"""Status, body, headers."""


class FeedFunction:
    """What it was sent, by route, and what it answers next.

    delivery  as which it takes updates
    troubles  route → the answers to its next requests, in place of the right ones
    gateway   asked for the feed at each creation, with `credentials`; empty: not asked
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.delivery = "queued"
        self.troubles: defaultdict[str, list[Scripted]] = defaultdict(list)
        self.received: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.headers: list[dict[str, str]] = []
        self.gateway = ""
        self.credentials = ("local-worker", "local-plugin-token")
        self.lock = threading.Lock()

    def answer(self, route: str, body: dict[str, Any]) -> Scripted:
        with self.lock:
            self.received[route].append(body)
            if self.troubles[route]:
                return self.troubles[route].pop(0)
        if route == "external_segment_creation" and self.gateway:
            asked = f"{self.gateway}/v1/audience_segment_external_feeds/{body['feed_id']}"
            try:
                found = requests.get(asked, auth=self.credentials, timeout=5)
            except requests.RequestException:
                return 500, {"status": "error", "message": "The gateway could not be reached."}, {}
            if found.status_code != 200:
                return 500, {"status": "error", "message": f"The gateway answered {found.status_code}."}, {}
        match route:
            case "user_segment_update":
                return 200, self._taken(body), {}
            case "batch_update":
                sent = len(body["batch_content"])
                return 200, {"status": "OK", "sent_items_in_success": sent, "sent_items_in_error": 0}, {}
            case "authentication_status_queries":
                return 200, {"status": "authenticated"}, {}
        return 200, {"status": "ok"}, {}

    def _taken(self, body: dict[str, Any]) -> dict[str, Any]:
        [point] = [one for one in body["user_identifiers"] if one["type"] == "USER_POINT"]
        user, audience = point["user_point_id"], f"mics.{body['datamart_id']}.{body['segment_id']}"
        result = "SUCCESS" if self.delivery == "direct" else "PROCESSED"
        answer: dict[str, Any] = {"status": "ok", "stats": [{"identifier": user, "sync_result": result}]}
        if self.delivery == "batch":
            content = {"user": {"id": user}, "direction": body["operation"]}
            answer["data"] = [{"type": "BATCH_DELIVERY", "content": content, "grouping_key": audience}]
        if self.delivery == "file":
            key = f"{audience}/Add"
            line = {"type": "FILE_DELIVERY", "content": f'"{user}",é\n', "grouping_key": key}
            answer["data"] = [{**line, "destination_token": "local-destination"}]
        return answer


@contextmanager
def feed_function() -> Iterator[FeedFunction]:
    function = FeedFunction("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            function.headers.append(dict(self.headers))
            status, answer, headers = function.answer(self.path.removeprefix("/v1/"), json.loads(body or b"{}"))
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    function.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield function
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
