"""Floor B: floor A, and a confirmed publish to Pub/Sub for each audience, through the asynchronous gRPC stub."""

import asyncio
import hmac
import os
from collections import defaultdict
from typing import Any

import functions_framework.aio
import grpc
import msgspec
from google.pubsub_v1.types import PublishRequest, PublishResponse
from starlette.requests import Request
from starlette.responses import Response

SECRET, TOPIC = os.environ["FLOOR_SECRET"].encode(), os.environ["FLOOR_TOPIC"]
REQUEST, RESPONSE = PublishRequest.meta.pb, PublishResponse.meta.pb
stub: Any = None


async def publish(audience: str, mutations: list[object]) -> None:
    request = REQUEST(topic=TOPIC, messages=[{"data": msgspec.json.encode(mutations), "ordering_key": audience}])
    assert len((await stub(request, timeout=10)).message_ids) == 1


@functions_framework.aio.http
async def floor(request: Request) -> Response:
    global stub
    body = await request.body()
    given = request.headers.get("x-hmac", "").lower().encode()
    if not hmac.compare_digest(hmac.digest(SECRET, body, "sha1").hex().encode(), given):
        return Response(b'{"error":"signature"}', status_code=401, media_type="application/json")
    groups = defaultdict(list)
    for mutation in msgspec.json.decode(body)["Mutations"]:
        groups[mutation["Audience"]].append(mutation)
    if stub is None:
        channel = grpc.aio.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"])
        stub = channel.unary_unary("/google.pubsub.v1.Publisher/Publish", REQUEST.SerializeToString, RESPONSE.FromString)
    await asyncio.gather(*(publish(audience, mutations) for audience, mutations in groups.items()))
    return Response(b'{"accepted": 1}', media_type="application/json")
