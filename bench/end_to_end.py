"""From POST to member at the partner, at a steady rate, beside the same user posted straight to the partner; and one POST of
50,000 mutations (about 5 MB), beside the same bytes hashed and parsed in this process.

Times of the whole machine, on which receiver, worker and partner run together.
"""

from __future__ import annotations

import hashlib
import hmac
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from bench.figures import Found, Ratio, Table, middle
from bench.tables import spread
from tests.end_to_end.stack import HMAC_SECRET, Stack, eventually

RATE = 20.0
"""Requests a second."""

REQUESTS = 100
"""In each round, and as many calls straight to the partner."""

MUTATIONS = 50_000

MEMBER_MS = 250.0
ANSWER_MS = 1_000.0

LOOK_S = 0.002
"""Between two looks at the partner's members."""


class Times(msgspec.Struct, frozen=True):
    """Milliseconds of each of several requests: until the answer, until the last member is at the partner, and the floor's."""

    answer: list[float]
    there: list[float]
    floor: list[float]


def measure(rounds: int) -> Found:
    """Both."""
    single, bulk = Times([], [], []), Times([], [], [])
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory))
        try:
            stack.start()
            _one_after_the_other(stack, "warm", Times([], [], []))
            for number in range(rounds):
                _one_after_the_other(stack, f"single.{number}", single)
                _all_at_once(stack, f"bulk.{number}", bulk)
        finally:
            stack.stop()
    return Found(
        (
            Table(
                f"One user in a request, {RATE:g} requests a second: milliseconds",
                {
                    "answered": spread(single.answer),
                    "a member": spread(single.there),
                    "one call straight to the partner": spread(single.floor),
                },
            ),
            Table(
                f"One request with {MUTATIONS:,} mutations: milliseconds",
                {
                    "answered": spread(bulk.answer),
                    "all are members": spread(bulk.there),
                    "body hashed and parsed": spread(bulk.floor),
                },
            ),
        ),
        (
            _ratio(f"from POST to member, by {MEMBER_MS:g} ms", middle(single.there) / MEMBER_MS, 1.0),
            _ratio("from POST to member, by one call straight to the partner", middle(single.there) / middle(single.floor)),
            _ratio(f"answer to {MUTATIONS:,} mutations, by {ANSWER_MS / 1000:g} s", middle(bulk.answer) / ANSWER_MS, 1.0),
            _ratio(f"answer to {MUTATIONS:,} mutations, by hashing and parsing them", middle(bulk.answer) / middle(bulk.floor)),
        ),
    )


def _ratio(name: str, value: float, bar: float | None = None) -> Ratio:
    return Ratio(name, value, bar, at_most=True, of_time=bar is not None)


def _one_after_the_other(stack: Stack, audience: str, times: Times) -> None:
    """So many requests at the steady rate, then as many calls of the floor."""
    assert stack.change(audience, ["before the first"]).status_code == 200
    eventually(lambda: stack.members(audience))
    partner_id = _partner_id(stack, audience)
    began, answered = dict[str, float](), dict[str, float]()
    users = [f"user-{number:06d}" for number in range(REQUESTS)]
    ended = threading.Event()

    def post(user: str) -> None:
        began[user] = time.monotonic()
        assert stack.change(audience, [user]).status_code == 200
        answered[user] = time.monotonic()

    with ThreadPoolExecutor(17) as pool:
        watching = pool.submit(_watch, stack, partner_id, users, ended)
        try:
            start = time.monotonic()
            posts = []
            for number, user in enumerate(users):
                time.sleep(max(0.0, start + number / RATE - time.monotonic()))
                posts.append(pool.submit(post, user))
            for each in posts:
                each.result()
            eventually(watching.done, every_s=0.01)
        finally:
            ended.set()
        seen = watching.result()
    times.answer.extend((answered[user] - began[user]) * 1000 for user in users)
    times.there.extend((seen[user] - began[user]) * 1000 for user in users)
    for number in range(REQUESTS):
        at = time.monotonic()
        stack.pangolin("POST", f"/api/audiences/{partner_id}/users", users=[{"id": f"floor-{number:06d}"}])
        times.floor.append((time.monotonic() - at) * 1000)


def _watch(stack: Stack, partner_id: str, users: list[str], ended: threading.Event) -> dict[str, float]:
    """User → when it was first seen among the members. Returns once all are there, or told to end."""
    seen: dict[str, float] = {}
    first, after = 0, "user-"
    while first < len(users) and not ended.is_set():
        page = stack.pangolin("GET", f"/api/audiences/{partner_id}/users?limit=10000&after={after}")
        now = time.monotonic()
        for user in page["users"]:
            seen.setdefault(user["id"], now)
        while first < len(users) and users[first] in seen:  # a later one may have come earlier
            after, first = users[first], first + 1
        time.sleep(LOOK_S)
    return seen


def _all_at_once(stack: Stack, audience: str, times: Times) -> None:
    users = [f"user-{one:08d}-{'x' * 30}" for one in range(MUTATIONS)]
    body = {"Mutations": [{"Audience": audience, "User": user} for user in users]}
    raw = msgspec.json.encode(body)
    began = time.monotonic()
    hmac.new(HMAC_SECRET.encode(), raw, hashlib.sha1).hexdigest()
    msgspec.json.decode(raw)
    times.floor.append((time.monotonic() - began) * 1000)
    began = time.monotonic()
    assert stack.post("ADD_TO_AUDIENCE", body, timeout=60).status_code == 200
    times.answer.append((time.monotonic() - began) * 1000)
    eventually(stack.drained, within_s=300)
    times.there.append((time.monotonic() - began) * 1000)
    assert stack.size(audience) == MUTATIONS


def _partner_id(stack: Stack, audience: str) -> str:
    found = stack.backend.audiences.get("pangolin", audience)
    assert found is not None
    partner_id: str | None = found.partner_id
    assert partner_id is not None
    return partner_id
