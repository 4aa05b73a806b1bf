"""What the private functions answer, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from relay.domain.loopback import is_loopback, without_port
from relay.functions import parts

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response


def refuse_strangers(request: flask.Request) -> Response | None:
    """The answer to one who may not call a private function, or not so; None for all others.

    On Cloud Run, IAM lets nobody through who may not. On one machine only its own programs may call them. A page in a browser on
    this machine is none of them: it gives itself away by its method, by a name of its own that it had resolve to this machine,
    or by its Origin.
    """
    if not parts.configuration().on_cloud_run and _is_stranger(request):
        return answer({"error": "This function answers only to programs on this machine."}, 403)
    if request.method != "POST":
        refused = answer({"error": "Only POST is accepted here."}, 405)
        refused.headers["Allow"] = "POST"
        return refused
    return None


def answer(body: dict[str, object], status: int) -> Response:
    """The body as JSON."""
    from werkzeug.wrappers import Response

    return Response(msgspec.json.encode(body), status=status, mimetype="application/json")


def _is_stranger(request: flask.Request) -> bool:
    host = without_port(request.headers.get("Host", ""))
    return not is_loopback(request.remote_addr or "") or not is_loopback(host) or "Origin" in request.headers
