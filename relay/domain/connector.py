"""A connector's document as types: what an operator writes, and the state that changes without a new version.

Reading, validating and expanding documents is in `relay.connectors`; here are only the shapes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from relay.domain.audience import HoldReason

VERSION = 1

Trigger = Literal["created", "joined", "left"]
TRIGGERS: tuple[Trigger, ...] = ("created", "joined", "left")


class InboundFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Names of fields in the source's requests, tried in order, compared without case. None: the source's defaults."""

    mutations: tuple[str, ...] | None = None
    audience: tuple[str, ...] | None = None
    user: tuple[str, ...] | None = None
    direction: tuple[str, ...] | None = None
    customer: tuple[str, ...] | None = None
    identifiers: dict[str, str] | None = None
    """The source's field name → canonical identifier, beside the user field."""


class Inbound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How requests come in. `hmac_secret` and `basic_auth` (its value is `user:password`)
    are names of secrets.

    hmac_secret     empty where no DMP signs requests to this connector
    max_body_bytes  larger requests are answered 413
    source          `mapp`: the DMP at the public receiver, and feeds that use it as well; `mediarithmics`: feeds alone, so that
                    the public receiver does not know it
    feed_settings   names of the adapter's settings that a feed may set for itself
    """

    hmac_secret: str = ""
    basic_auth: str | None = None
    audience_id: Literal["own", "partner"] = "own"
    unknown_audience: Literal["create", "reject"] = "create"
    customers: tuple[int | str, ...] | None = None
    max_body_bytes: int = 10 * 1024 * 1024
    fields: InboundFields = InboundFields()
    source: Literal["mapp", "mediarithmics"] = "mapp"
    feed_settings: tuple[str, ...] = ()


class BatchLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Size of one partner call, and how long batches may gather (0: they do not)."""

    max_items: int
    max_bytes: int
    max_age_s: float = 0.0


class RateLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `calls` calls and `items` items in any `per_s` seconds (None: no limit); `concurrency` turns at once a worker."""

    calls: int | None = None
    items: int | None = None
    per_s: float = 1.0
    concurrency: int = 8


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    batch: BatchLimits
    rate: RateLimits = RateLimits()


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Seconds: to connect, to the end of the answer, to the end of the answer of a call that carries several users."""

    connect_s: float = 5.0
    answer_s: float = 5.0
    batch_answer_s: float = 10.0


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping's value that is the same for every mutation."""

    constant: Any


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the connector does on a trigger.

    mapping    partner field → JMESPath expression over the mutation, or a constant
    audiences  limits it to audiences whose ID or name matches one of these patterns (`*`, `?`); None: all
    consent    labels of the consent categories under which the data may be used; shown
    limits     override of the connector's batch limits for this action
    """

    name: str
    trigger: Trigger
    operation: str
    mapping: dict[str, str | Constant] = {}
    audiences: tuple[str, ...] | None = None
    consent: tuple[str, ...] = ()
    enabled: bool = True
    limits: BatchLimits | None = None


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ages in seconds at which rejections are deleted, held batches become rejections, and held batches are warned of.

    journal_days: days for which accepted batches are kept to be sent again; 0: they are not, since they are personal data.
    """

    rejections_s: float = 30 * 86400.0
    holds_s: float = 30 * 86400.0
    warning_s: float = 7 * 86400.0
    journal_days: int = 0

    @property
    def journal_s(self) -> float:
        """The same in seconds."""
        return self.journal_days * 86400.0


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told when the connector's state changes: a URL that gets a POST, an e-mail address; None: nobody.

    webhook  the URL, or the name of the secret that holds it (`webhook_secret`)
    secret   name of the secret that what is sent to the webhook is signed with
    allow_private_network  the webhook may be in the own network, and unencrypted
    """

    webhook: str | None = None
    email: str | None = None
    secret: str | None = None
    allow_private_network: bool = False

    @property
    def webhook_secret(self) -> str | None:
        """Name of the secret that holds the webhook's URL; None where the document says it."""
        return self.webhook if self.webhook and ":" not in self.webhook else None


class Connector(msgspec.Struct, frozen=True, omit_defaults=True):
    """One connector as it runs: a published version of a document, one environment applied, every default filled in.

    name      `pangolin`, or `pangolin@sandbox` for an environment of the document `pangolin`
    document  name of the document it comes from
    settings  the adapter's settings, by field name
    secrets   the adapter's secret field → name of the secret that holds it
    """

    name: str
    document: str
    document_version: int
    adapter: str
    inbound: Inbound
    actions: tuple[Action, ...]
    limits: Limits
    settings: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    retention: Retention = Retention()
    notify: Notify = Notify()
    environment: str = ""
    title: str = ""
    notes: str = ""


ActionSwitch = Literal["paused", "skipped"]


class ConnectorState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changes about a connector without a new version; read afresh at the beginning of every turn.

    live        the document version that runs; 0: none is published
    live_since  when it was published. With `live` it names what runs: a document that was deleted begins again with version 1
    enabled     off: its batches join holds (`connector_off`)
    paused      by the operator: its batches join holds (`paused`)
    not_before  no call to the partner's account starts before this moment, for `not_before_reason`
    actions     switched-off actions: `paused` (the audiences wait) or `skipped` (its mutations are skipped)
    journal_since  since when the journal is kept without a gap; 0: it is off
    """

    name: str
    live: int = 0
    enabled: bool = True
    paused: bool = False
    not_before: float = 0
    not_before_reason: HoldReason = "come_back_later"
    not_before_detail: str = ""
    actions: dict[str, ActionSwitch] = {}
    live_since: float = 0
    journal_since: float = 0


class DocumentVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One immutable, numbered version of a document. `text`: the YAML as it was applied. `published_at` 0: a draft."""

    version: int
    document: str
    number: int
    text: str
    by: str
    at: float
    note: str = ""
    published_at: float = 0
    connectors: tuple[Connector, ...] = ()
    """The expanded connectors: one for the document and one for each of its environments."""


class InboundConnector(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the receiver needs of one connector; secrets by value, current first, then previous. `journal_days`: see
    `Message`."""

    name: str
    inbound: Inbound
    hmac_secrets: tuple[str, ...] = ()
    basic_credentials: tuple[str, ...] = ()
    journal_days: int = 0


class InboundDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything the receiver knows. Written when a connector is applied and when a secret is rotated.

    default: the connector that answers at `/`; empty: none.
    """

    version: int
    connectors: tuple[InboundConnector, ...]
    default: str = ""
