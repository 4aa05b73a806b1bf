"""The functions that Google runs, a line or two each; `relay.functions` puts their parts together.

`functions-framework --target diy` serves the receiver on the back end that the configuration names.
"""

from __future__ import annotations

import flask
import functions_framework
import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from werkzeug.wrappers import Response

from relay import functions

functions.begin()


@functions_framework.aio.http
async def diy(request: Request) -> StarletteResponse:
    """The receiver: what the DMP calls."""
    return await functions.receive(request)


@functions_framework.aio.http
async def external_feed(request: Request) -> StarletteResponse:
    """Private: what the platform of the second source calls."""
    return await functions.feed(request)


@functions_framework.http
def create(request: flask.Request) -> Response:
    """Private: makes an audience at the partner."""
    return functions.create(request)


@functions_framework.http
def deliver(request: flask.Request) -> Response:
    """Private: handles one queue message."""
    return functions.deliver(request)


@functions_framework.http
def tick(request: flask.Request) -> Response:
    """Private: resumes the holds that are due."""
    return functions.tick(request)


@functions_framework.http
def console(request: flask.Request) -> Response:
    """The operator's pages."""
    return functions.console(request)
