"""Peer: the obvious function, with Flask, `json` and Google's `PublisherClient`."""

import hmac
import json
import os
from collections import defaultdict
from typing import Any

import flask
import functions_framework
from google.cloud.pubsub_v1 import PublisherClient, types  # type: ignore[import-untyped]

SECRET, TOPIC = os.environ["FLOOR_SECRET"].encode(), os.environ["FLOOR_TOPIC"]
publisher: PublisherClient = None


@functions_framework.http
def floor(request: flask.Request) -> Any:
    global publisher
    body = request.get_data()
    if not hmac.compare_digest(hmac.new(SECRET, body, "sha1").hexdigest(), request.headers.get("x-hmac", "").lower()):
        return {"error": "signature"}, 401
    if publisher is None:
        publisher = PublisherClient(publisher_options=types.PublisherOptions(enable_message_ordering=True))
    groups = defaultdict(list)
    for mutation in json.loads(body)["Mutations"]:
        groups[mutation["Audience"]].append(mutation)
    futures = [
        publisher.publish(TOPIC, json.dumps(mutations).encode(), ordering_key=audience)
        for audience, mutations in groups.items()
    ]
    for future in futures:
        future.result(timeout=10)
    return {"accepted": 1}
