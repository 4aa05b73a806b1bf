"""Reading requests to Pangolin: bodies, parameters and users, each refused with a sentence."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

MAX_USERS = 100
"""Most users in one call; more are answered 413."""

MAX_BODY_BYTES = 1024 * 1024

MAX_TEXT = 1_000
"""Longest name and longest reference, in characters."""


class Refused(Exception):
    """A call that is answered with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers: dict[str, str] = {}


async def read_body(request: Request) -> bytes:
    """The body, up to `MAX_BODY_BYTES`."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise Refused(413, f"A body has at most {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


def read_json(body: bytes) -> Any:
    """The JSON value of a body; None where there is none."""
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "The body is no JSON.") from error


def text_of(body: dict[str, Any], name: str, *, required: bool) -> str:
    """A text of up to `MAX_TEXT` characters; empty where it is not required and absent or null."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise Refused(400, f"{name}: give a text.")
    if len(value) > MAX_TEXT:
        raise Refused(400, f"{name}: at most {MAX_TEXT} characters.")
    return value


def limit_of(request: Request, *, default: int = 1000, most: int = 10_000) -> int:
    """The parameter `limit`, 1 or more, cut at `most`."""
    text = request.query_params.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise Refused(400, f"limit: give a number from 1 to {most}.")
    return min(int(text), most)


def users_of(body: Any) -> list[str]:
    """The IDs of `{"users": [{"id"}, …]}`, in order, repeats included. Other fields are passed over."""
    users = body.get("users") if isinstance(body, dict) else None
    if not isinstance(users, list):
        raise Refused(400, "Send a JSON object with users, a list of objects with an id.")
    if len(users) > MAX_USERS:
        raise Refused(413, f"At most {MAX_USERS} users in one call.")
    ids = []
    for index, user in enumerate(users):
        value = user.get("id") if isinstance(user, dict) else None
        if not isinstance(value, str):
            raise Refused(400, f"users[{index}].id: give a text.")
        ids.append(value)
    return ids
