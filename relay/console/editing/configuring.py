"""The step "configure": what the connector is called, what its adapter needs, how requests come in, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from adapters.contract import Description, Field
from relay.backends.interfaces import SecretInfo
from relay.connectors.drafts import Problem, Unfinished, value_at, with_value
from relay.connectors.secret_names import app_secret
from relay.console.editing.fields import Asked, Group
from relay.console.editing.opened import Opened

_ABOUT = (
    Asked("name", Field("name", "Name", required=True, help="Small letters, digits, hyphens. It ends the address for the DMP.")),
    Asked("title", Field("title", "Title", help="For people, such as: Meta, spring campaign.")),
    Asked("notes", Field("notes", "Notes", help="Whatever your colleagues should know."), wide=True),
)  # fmt: skip

_INBOUND = (
    Asked("inbound.source", Field(
        "source", "Where requests come from", "choice", default="mapp", choices=("mapp", "mediarithmics"),
        help="mapp: a DMP that signs them; feeds of mediarithmics can use it as well. mediarithmics: those feeds alone.")),
    Asked("inbound.audience_id", Field(
        "audience_id", "Audience ID", "choice", default="own", choices=("own", "partner"),
        help="own: the DMP goes on with its own ID. partner: it is told the partner's. Fixed once there is an audience.")),
    Asked("inbound.unknown_audience", Field(
        "unknown_audience", "An audience that nobody announced", "choice", default="create", choices=("create", "reject"),
        help="What becomes of users of one.")),
    Asked("inbound.customers", Field("customers", "Customers of the DMP", "list", help="One a line; all, unless given.")),
    Asked("inbound.max_body", Field("max_body", "Largest request", help="Such as 10MB, which it is unless given.")),
    Asked("inbound.feed_settings", Field(
        "feed_settings", "Settings that a feed may set", "list",
        help="One a line. Who may set an address can have the connector's credentials sent there.")),
    Asked("inbound.fields", Field(
        "fields", "Names of fields", "object", help="Where your DMP does not use the usual names."), wide=True),
)  # fmt: skip

_LIMITS = (
    Asked("limits.batch.max_items", Field("max_items", "Most users in a call", "number")),
    Asked("limits.batch.max_bytes", Field("max_bytes", "Largest call", help="Such as 512KB.")),
    Asked("limits.batch.max_age", Field("max_age", "Gather for", help="Such as 5m: larger calls, later. At once, unless given.")),
    Asked("limits.rate.calls", Field("calls", "Most calls in a period", "number")),
    Asked("limits.rate.items", Field("items", "Most users in a period", "number")),
    Asked("limits.rate.per", Field("per", "The period", help="Such as 1s, which it is unless given, or 1m.")),
    Asked("limits.rate.concurrency", Field("concurrency", "Audiences served at once by a worker", "number", default=8)),
    Asked("timeouts.connect", Field("connect", "Longest time to connect", help="5s, unless given.")),
    Asked("timeouts.answer", Field("answer", "Longest time for an answer", help="5s, unless given.")),
    Asked("timeouts.batch_answer", Field("batch_answer", "The same with several users", help="10s, unless given.")),
)

_KEEPING = (
    Asked("retention.journal", Field(
        "journal", "Journal", "choice", default="off", choices=("off", "1d", "7d", "30d"),
        help="For how long accepted changes are kept to be sent again. It holds personal data.")),
    Asked("retention.rejections", Field("rejections", "Rejections are kept for", help="30d, unless given.")),
    Asked("retention.warning", Field("warning", "Warn of what waits after", help="7d, unless given.")),
    Asked("retention.holds", Field("holds", "What waits is rejected after", help="30d, unless given.")),
    Asked("notify.email", Field("email", "Tell this address", help="When the connector is in trouble, and when it is over.")),
    Asked("notify.webhook", Field("webhook", "Tell this webhook", help="A URL, or the name of a secret that holds it.")),
    Asked("notify.secret", Field("secret", "Sign for the webhook with", help="Name of a secret.")),
    Asked("notify.allow_private_network", Field(
        "allow_private_network", "The webhook may be in your own network", "boolean", default=False)),
)  # fmt: skip


class AskedSecret(NamedTuple):
    """A secret that the connector needs. `place`: of its name in the document.

    kind      `partner`: typed here; `hmac`, `basic`: made here for the DMP
    name      that it has, or that is proposed
    inherited name that the document has for it, of an environment's secret
    shared    name of the secret of the installation's app that is used where this has none; empty: there is none
    """

    place: str
    kind: str
    field: Field
    name: str
    given: bool
    shared: str = ""
    info: SecretInfo | None = None
    shared_is_set: bool = False
    inherited: str = ""


def groups_of(description: Description | None) -> list[Group]:
    """All fields of this step but the secrets."""
    settings = tuple(Asked(f"settings.{field.name}", field) for field in description.settings) if description else ()
    return [
        Group("About it", _ABOUT),
        *([Group(f"Settings for {description.title}", settings)] if description and settings else []),
        Group("Requests from the DMP", _INBOUND, folded=True),
        Group("Limits", _LIMITS, "Unless given: what the adapter knows of its partner.", folded=True),
        Group("What is kept, and who is told", _KEEPING, folded=True),
    ]


def asked_by(opened: Opened) -> list[Asked]:
    """All fields of this step."""
    return [asked for group in groups_of(opened.description) for asked in group.asked]


def secrets_of(opened: Opened, known: Mapping[str, SecretInfo]) -> list[AskedSecret]:
    """The secrets it needs with its present settings. `known`: those that are set, by name."""
    description, values = opened.description, opened.unfinished.values
    asked = [(f"secrets.{field.name}", "partner", field) for field in description.secrets] if description else []
    of_dmp = [("inbound.hmac_secret", "hmac", _HMAC), ("inbound.basic_auth", "basic", _BASIC)]
    asked += of_dmp if _is_signed(opened.unfinished) else [one for one in of_dmp if value_at(values, one[0]) is not None]
    found = []
    for place, kind, field in asked:
        named = value_at(values, place)
        shared = app_secret(description, field) if kind == "partner" else ""
        name = named if isinstance(named, str) else "" if shared or kind == "basic" else proposed_name(opened.name, field.name)
        found.append(
            AskedSecret(place, kind, field, name, named is not None, shared, known.get(name), bool(shared and known.get(shared)))
        )
    return found


def _is_signed(unfinished: Unfinished) -> bool:
    """Whether a DMP signs its requests."""
    return bool(value_at(unfinished.values, "inbound.source") != "mediarithmics")


def empty_settings(opened: Opened) -> list[Problem]:
    """Settings that the connector needs before it can run. It could be published without."""
    fields = opened.description.settings if opened.description else ()
    places = [f"settings.{field.name}" for field in fields if field.required and field.default is None]
    return [
        Problem(place, "The connector cannot run without this.")
        for place in places
        if value_at(opened.unfinished.values, place) is None and place not in opened.unfinished.unread
    ]


_HMAC = Field("hmac", "Signature of the DMP (X-HMAC)", required=True, help="Made here, then pasted into the DMP.")
_BASIC = Field("basic", "User and password of the DMP", help="A second lock, recommended; none without a name.")


def proposed_name(document: str, field: str) -> str:
    """Under which a secret of this document would be stored; empty as long as it has no name."""
    return f"{document}-{field.replace('_', '-')}" if document else ""


def with_own_secrets(unfinished: Unfinished, name: str) -> Unfinished:
    """A duplicate with names of its own for all its secrets, also those of its environments: those of the partner may be changed,
    and the DMP proves itself to each connector by its own."""
    values = _renamed(unfinished.values, name)
    environments = values.get("environments")
    if isinstance(environments, dict):
        own = {key: _renamed(one, f"{name}-{key}") if isinstance(one, dict) else one for key, one in environments.items()}
        values = {**values, "environments": own}
    return replace(unfinished, values=values)


def _renamed(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    changed = dict(values)
    secrets, inbound = values.get("secrets"), values.get("inbound")
    if isinstance(secrets, dict):
        changed["secrets"] = {
            field: proposed_name(prefix, str(field)) if isinstance(one, str) else one for field, one in secrets.items()
        }
    if isinstance(inbound, dict):
        names = {"hmac_secret": f"{prefix}-hmac", "basic_auth": f"{prefix}-basic"}
        changed["inbound"] = {key: names[key] if key in names and one is not None else one for key, one in inbound.items()}
    return changed


def with_secret_names(unfinished: Unfinished, form: Mapping[str, str], asked: list[AskedSecret]) -> Unfinished:
    """The names of the secrets as they were typed; one that is left empty and is required gets the name proposed."""

    def needs_one(secret: AskedSecret) -> bool:
        if secret.kind == "hmac":
            return _is_signed(unfinished)
        return secret.field.required and secret.kind == "partner" and not secret.shared

    prefix = str(unfinished.values.get("name") or "")
    return with_typed_names(unfinished, form, asked, prefix=prefix, needs_one=needs_one)


def with_typed_names(
    unfinished: Unfinished,
    form: Mapping[str, str],
    asked: Iterable[AskedSecret],
    *,
    prefix: str,
    needs_one: Callable[[AskedSecret], bool] = lambda _: False,
) -> Unfinished:
    """The secrets' names as they were typed. Where none was, one with the prefix is proposed for a secret that was given a value,
    or that needs a name."""
    values = unfinished.values
    for secret in asked:
        if f"{secret.place}:name" not in form:
            continue
        name = form[f"{secret.place}:name"].strip()
        if not name and (needs_one(secret) or form.get(f"{secret.place}:value", "").strip()):
            name = proposed_name(prefix, secret.field.name)
        if name != (value_at(values, secret.place) or ""):
            values = with_value(values, secret.place, name or None)
    return replace(unfinished, values=values)

