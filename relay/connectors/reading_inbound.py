"""The part `inbound` of a document: how the source's requests come in."""

from __future__ import annotations

from typing import Literal

from relay.domain.connector import Inbound, InboundFields
from relay.reading import values
from relay.reading.section import Section

_KEYS = ("hmac_secret", "basic_auth", "audience_id", "unknown_audience", "customers", "max_body", "fields")
_FIELD_KEYS = ("mutations", "audience", "user", "direction", "customer", "identifiers")

MAX_BODY_BYTES = 32 * 1024 * 1024
"""What Cloud Run lets through in one HTTP/1 request."""


def read_inbound(document: Section) -> Inbound:
    """The document's `inbound`, defaults filled in."""
    section = document.section("inbound", _KEYS)
    if not document.given("inbound"):
        document.problem("inbound", "This is missing; at least `hmac_secret` belongs in it.")
        return Inbound(hmac_secret="")
    audience_id: Literal["own", "partner"] = section.read("audience_id", values.choice("own", "partner"), "own")
    unknown: Literal["create", "reject"] = section.read("unknown_audience", values.choice("create", "reject"), "create")
    return Inbound(
        hmac_secret=section.require("hmac_secret", values.secret_name, ""),
        basic_auth=section.read("basic_auth", values.secret_name, None),
        audience_id=audience_id,
        unknown_audience=unknown,
        customers=section.each("customers", values.customer),
        max_body_bytes=section.read("max_body", values.size(1024, MAX_BODY_BYTES), 10 * 1024 * 1024),
        fields=_read_fields(section.section("fields", _FIELD_KEYS)),
    )


def _read_fields(section: Section) -> InboundFields:
    return InboundFields(
        mutations=_names(section, "mutations"),
        audience=_names(section, "audience"),
        user=_names(section, "user"),
        direction=_names(section, "direction"),
        customer=_names(section, "customer"),
        identifiers=_identifiers(section) if section.given("identifiers") else None,
    )


def _names(section: Section, key: str) -> tuple[str, ...] | None:
    if isinstance(section.values.get(key), str):
        return (section.read(key, values.label, ""),)
    return section.each(key, values.label)


def _identifiers(fields: Section) -> dict[str, str]:
    section = fields.section("identifiers", None)
    seen: dict[str, str] = {}
    for theirs in section.values:
        section.require(theirs, values.identifier, "")
        before = seen.setdefault(theirs.casefold(), theirs)
        if before != theirs:
            section.problem(theirs, f"Field names are compared without case: this is the same as '{before}'.")
    return dict(section.values)
