"""What a request asks for: its `type`, in the query or in the body, compared without case."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from urllib.parse import parse_qsl

from handlers.mapp.arrival import BodyFields
from relay.domain.errors import Refusal


class RequestType(StrEnum):
    """docs/wire-format.md"""

    VALIDATE = "VALIDATE"
    CREATE_AUDIENCE = "CREATE_AUDIENCE"
    ADD_TO_AUDIENCE = "ADD_TO_AUDIENCE"
    REMOVE_FROM_AUDIENCE = "REMOVE_FROM_AUDIENCE"


_NAMES: Mapping[str, RequestType] = {each.value: each for each in RequestType} | {
    "REMOVE_TO_AUDIENCE": RequestType.REMOVE_FROM_AUDIENCE
}

_KNOWN = "Known types are " + ", ".join(RequestType) + "."


def types_in_query(query: bytes) -> list[str]:
    """The values of all parameters `type`, empty ones left out, in upper case."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace")
    return [value.strip().upper() for name, value in pairs if name.lower() == "type" and value.strip()]


@lru_cache(maxsize=64)
def type_in_query(query: bytes) -> RequestType | None:
    """The type that the query names; None if it names none. Refuses unknown and contradicting ones. The DMP sends a few queries
    again and again, so what they say is remembered; a refusal is not."""
    given = types_in_query(query)
    if not given:
        return None
    known = {_NAMES.get(each) for each in given}
    if len(known) > 1:
        raise Refusal(400, "The query names different types; it must name one.", code="types_differ")
    found = known.pop()
    if found is None:
        raise Refusal(400, f"The query names an unknown type. {_KNOWN}", code="unknown_type")
    return found


def type_of(in_query: RequestType | None, body: BodyFields) -> RequestType:
    """The request's type: the query's, else the one it takes out of the body. Refuses a missing and an unknown one.

    The query is not signed, the body is: where both name a known type and differ, somebody may have changed the query.
    """
    given = body.take("type")
    in_body = _NAMES.get(given.strip().upper()) if isinstance(given, str) else None
    if in_query is None:
        if in_body is not None:
            return in_body
        if given is None or given == "":
            raise Refusal(400, f"The request names no type. {_KNOWN}", code="no_type")
        raise Refusal(400, f"The request names an unknown type. {_KNOWN}", code="unknown_type")
    if in_body is not None and in_body is not in_query:
        raise Refusal(400, "The query and the body name different types.", code="types_differ")
    return in_query
