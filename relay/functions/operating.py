"""`console`: the operator's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.functions import parts
from relay.functions.parts import Once

if TYPE_CHECKING:
    import flask
    from werkzeug.wrappers import Response


def console(request: flask.Request) -> Response:
    """`console`: one request of an operator's browser."""
    from werkzeug.wrappers import Response

    return Response.from_app(_console(), request.environ)


@Once
def _console() -> flask.Flask:
    from relay.console import create_app

    return create_app(parts.configuration())
