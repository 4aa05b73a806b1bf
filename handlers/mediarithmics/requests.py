"""What the platform's requests say, with defaults for what they leave out. IDs come as text or numbers; unknown fields are
passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from handlers.mediarithmics.trouble import Trouble
from handlers.values import too_deep
from relay.domain.errors import Refusal

R = TypeVar("R")

MISSING = {"error": "Missing request body"}
"""The contract's answer to an empty body."""

_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_:~-]{0,127}")
"""Without dots, which join IDs to names of ours."""

_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")


class Id(str):
    """An ID of the platform's; empty where there is none. It may stand in an address and in a log."""

    __slots__ = ()


class Text(str):
    """A value that is text, or a number that stands for one; empty where there is none."""

    __slots__ = ()


class AgentId(msgspec.Struct, frozen=True):
    """An ID under which a realm knows a browser."""

    user_agent_id: Text = Text("")
    realm_name: Text = Text("")


class TechnicalId(msgspec.Struct, frozen=True):
    """A technical identifier of a device."""

    type: str | None = ""
    user_agent_id: Text = Text("")
    registry_id: Text = Text("")


class UserIdentifier(msgspec.Struct, frozen=True):
    """One of a person's identifiers; which fields there are depends on its type. mappings, technical_identifiers: `AgentId`s and
    `TechnicalId`s, as they came."""

    type: str | None = ""
    user_point_id: Text = Text("")
    user_account_id: Text = Text("")
    compartment_id: Text = Text("")
    email: Text = Text("")
    hash: Text = Text("")
    mappings: list[Any] | None = None
    technical_identifiers: list[Any] | None = None


class Property(msgspec.Struct, frozen=True):
    """A property of a plugin, as the platform keeps it."""

    technical_name: str = ""
    property_type: str | None = ""
    value: Any = None


class FeedRequest(msgspec.Struct, frozen=True):
    """What concerns a feed. Of the routes that concern none, some of it."""

    feed_id: Id = Id("")
    datamart_id: Id = Id("")
    segment_id: Id = Id("")
    feed_destination_id: Id = Id("")


class Update(FeedRequest, frozen=True):
    """`/v1/user_segment_update`. ts: milliseconds since the epoch. user_identifiers: `UserIdentifier`s, as they came;
    session_id, preset_id: text or numbers, else they are passed over."""

    session_id: Any = None
    preset_id: Any = None
    user_identifiers: list[Any] | None = None
    user_profiles: list[Any] | None = None
    ts: int | float | None = None
    operation: str | None = None


class BatchContext(FeedRequest, frozen=True):
    """Which feed a batch is of."""

    grouping_key: Text = Text("")


class Batch(msgspec.Struct, frozen=True):
    """`/v1/batch_update`."""

    batch_content: list[Any] | None = None
    context: BatchContext = BatchContext()


class Troubleshooting(FeedRequest, frozen=True):
    """`/v1/troubleshoot`."""

    action: str | None = ""


class Query(FeedRequest, frozen=True):
    """The routes without a feed: what somebody may do, sees and sets before there is one."""

    plugin_version_id: Id = Id("")
    user_id: Id = Id("")
    properties: list[Property] | None = None
    params: dict[str, Any] | None = None


def read_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in the body; None where that is empty. Refuses (400) what is no JSON object."""
    if not body.strip():
        return None
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not valid JSON.", code="bad_json") from None
    if not content and isinstance(content, dict | list):
        return None
    if not isinstance(content, dict):
        raise Refusal(400, "The body must be a JSON object.", code="bad_json")
    if too_deep(content):
        raise Refusal(400, "Objects or arrays in the body are nested too deeply.", code="bad_json")
    return content


def read(content: Mapping[str, Any], kind: type[R]) -> R:
    """The request in the object. Raises `Trouble`, naming the field that has a wrong type."""
    try:
        return msgspec.convert(content, kind, dec_hook=_converted)
    except msgspec.ValidationError as error:
        raise Trouble(f"The request cannot be read. {_named(error)}", code="bad_field") from None


def readable(given: Iterable[Any], kind: type[R]) -> Iterator[R]:
    """Those that can be read, each by itself; the others are passed over."""
    for one in given:
        with suppress(msgspec.ValidationError):
            yield msgspec.convert(one, kind, dec_hook=_converted)


def require(request: object, *names: str) -> None:
    """Raises `Trouble`, naming it, for an ID that the request leaves out."""
    for name in names:
        if not getattr(request, name):
            raise Trouble(f"The request has no {name}.", code="missing_field")


def _named(error: msgspec.ValidationError) -> str:
    """The library's sentence, which holds types and no values, the other way round."""
    text = str(error)
    found = _WHERE.search(text)
    if found is None:
        return text
    return f"Field {found[1] or '(body)'}: {text[: found.start()]}."


def _converted(kind: type, value: object) -> object:
    if value is None:
        return kind("")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("Expected text or a whole number")
    text = _digits(value) if isinstance(value, int) else value
    if kind is Id and text and not _ID.fullmatch(text):
        raise ValueError("Expected an ID of letters, digits, hyphens and underscores, of at most 128 characters")
    return kind(text)


def _digits(value: int) -> str:
    if abs(value) >= 10**128:
        raise ValueError("Expected a number of at most 128 digits")
    return str(value)
