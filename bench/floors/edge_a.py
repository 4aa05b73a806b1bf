"""Floor A: checks the HMAC, parses the JSON, answers. What the receiver cannot do without, and nothing else."""

import hmac
import json
import os

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SECRET = os.environ["FLOOR_SECRET"].encode()


@functions_framework.aio.http
async def floor(request: Request) -> Response:
    body = await request.body()
    given = request.headers.get("x-hmac", "").lower().encode()
    if not hmac.compare_digest(hmac.digest(SECRET, body, "sha1").hex().encode(), given):
        return Response(b'{"error":"signature"}', status_code=401, media_type="application/json")
    accepted = len(json.loads(body)["Mutations"])
    return JSONResponse({"accepted": accepted, "unreadable": 0})
