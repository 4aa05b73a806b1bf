"""The part `inbound` of a document: how the source's requests come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adapters.contract import Description
from relay.domain.connector import Inbound, InboundFields
from relay.domain.malformed import suggestion
from relay.reading import values
from relay.reading.section import Section

_OF_A_DMP = ("hmac_secret", "basic_auth", "customers", "max_body", "fields")
_KEYS = ("source", "audience_id", "unknown_audience", "feed_settings", *_OF_A_DMP)
_FIELD_KEYS = ("mutations", "audience", "user", "direction", "customer", "identifiers")

MAX_BODY_BYTES = 32 * 1024 * 1024
"""What Cloud Run lets through in one HTTP/1 request."""


_NEVER_A_FEEDS = {
    "connector": "A feed's property of this name says which connector it uses.",
    "delivery": "A feed's property of this name says how it delivers.",
    "destination_token": "A feed's property of this name belongs to its delivery as a file.",
    "allow_private_network": "Whether the own network can be reached is not for a feed's owner to decide.",
}

_HOLD_ADDRESSES = ("auth",)
"""Settings in whose parts there are addresses that are called, beside those that are one themselves."""


def read_inbound(document: Section, description: Description | None, settings: Mapping[str, Any]) -> Inbound:
    """The document's `inbound`, defaults filled in. description: of the adapter, as far as that is known; settings: the
    document's, as they were read."""
    section = document.section("inbound", _KEYS)
    if not document.given("inbound"):
        document.problem("inbound", "This is missing; at least `hmac_secret` belongs in it.")
        return Inbound()
    source: Literal["mapp", "mediarithmics"] = section.read("source", values.choice("mapp", "mediarithmics"), "mapp")
    audience_id: Literal["own", "partner"] = section.read("audience_id", values.choice("own", "partner"), "own")
    unknown: Literal["create", "reject"] = section.read("unknown_audience", values.choice("create", "reject"), "create")
    if source == "mediarithmics":
        for key in _OF_A_DMP:
            if section.given(key):
                section.problem(key, "With `source: mediarithmics` no DMP calls the connector's address: leave this out.")
    elif not section.given("hmac_secret"):
        section.problem("hmac_secret", "This is missing. A connector for feeds alone says `source: mediarithmics` instead.")
    return Inbound(
        hmac_secret=section.read("hmac_secret", values.secret_name, ""),
        basic_auth=section.read("basic_auth", values.secret_name, None),
        audience_id=audience_id,
        unknown_audience=unknown,
        customers=section.each("customers", values.customer),
        max_body_bytes=section.read("max_body", values.size(1024, MAX_BODY_BYTES), 10 * 1024 * 1024),
        fields=_read_fields(section.section("fields", _FIELD_KEYS)),
        source=source,
        feed_settings=_feed_settings(section, description, settings),
    )


def _feed_settings(section: Section, description: Description | None, settings: Mapping[str, Any]) -> tuple[str, ...]:
    names = section.each("feed_settings", values.text) or ()
    known = [field.name for field in description.settings] if description else list(names)
    inward = _leads_inward(description, settings) if description else frozenset()
    for index, name in enumerate(names):
        problem = _NEVER_A_FEEDS.get(name) or _unknown(name, known) or (_INWARD if name in inward else "")
        if problem:
            section.problems.add((*section.path, "feed_settings", index), problem)
    return tuple(dict.fromkeys(names))


_INWARD = (
    "While `settings.allow_private_network` is true no feed may set an address: its owner could have calls made into your own "
    "network. Take this out of the list, or `allow_private_network` out of the settings."
)


def _leads_inward(description: Description, settings: Mapping[str, Any]) -> frozenset[str]:
    """Settings by which a feed could choose what is called in the own network. None of an adapter without `allow_private_network`
    (Pangolin, for trying things out): it calls there in any case."""
    if settings.get("allow_private_network") is not True:
        return frozenset()
    return frozenset(one.name for one in description.settings if one.type == "url" or one.name in _HOLD_ADDRESSES)


def _unknown(name: str, known: Sequence[str]) -> str:
    return "" if name in known else f"The adapter has no setting '{name}'.{suggestion(name, known)}"


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
