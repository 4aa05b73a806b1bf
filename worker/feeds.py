"""Connectors as destinations of feeds, for their function: fulfils `handlers.mediarithmics.destination.Destination`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from adapters.authentication.authorization_code import OAuth2AuthorizationCode
from adapters.contract import Adapter
from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.overriding import overridden
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.connector import Connector, ConnectorState
from relay.domain.errors import AudienceNotReady, DocumentError, Misconfigured, NotFound, PartnerError, TryAgain, Unsupported
from relay.domain.feed import FeedRow, Offered, Use
from relay.domain.message import Message
from worker import feed_look as look
from worker.authorization import Connectable
from worker.catalog import Catalog, Running
from worker.creation import Creation
from worker.feed_offers import offered
from worker.feed_rows import FeedRows, looks_at_audience, looks_at_partner_id
from worker.logins import Logins
from worker.partners import Partners
from worker.recent import Recent

_LOOKED_AT_S = 5.0
"""So long what was read of a connector's state, or of an audience, is good enough to decide by."""

_MOST_AUDIENCES = 2_000


class _Seen(NamedTuple):
    state: ConnectorState
    running: Running
    looked_at: float


class _Offer(NamedTuple):
    state: ConnectorState
    running: Running
    offered: Offered


class _SeenAudience(NamedTuple):
    audience: Audience | None
    looked_at: float


class Feeds:
    """Fulfils the protocol; see there."""

    def __init__(self, backend: Backend, clock: Clock, *, stopping: Callable[[], bool] = lambda: False) -> None:
        """stopping: the process is to end, so no further call begins."""
        self._backend = backend
        self._clock = clock
        self._catalog = Catalog(backend, clock)
        self._partners = Partners(backend, clock)
        self._creation = Creation(backend, self._catalog, self._partners, clock, stopping=stopping)
        self._logins = Logins(backend, clock)
        self._rows = FeedRows(self._partners.open_for_preview)
        self._connectors: dict[str, _Seen] = {}
        self._offers: dict[str, _Offer] = {}
        self._audiences: Recent[tuple[str, str], _SeenAudience] = Recent(_MOST_AUDIENCES)

    # what there is

    def connectors(self) -> list[Offered]:
        """All that are live, the default one first, then by name."""
        default = self._backend.connectors.default()
        states = sorted((one for one in self._backend.connectors.states() if one.live), key=lambda one: one.name)
        found = []
        for state in states:
            with suppress(NotFound):  # one whose adapter this program does not have
                found.append(offered(state, self._catalog.get(state)))
        return sorted(found, key=lambda one: one.name != default)

    def offered(self, connector: str) -> Offered:
        """That one, as it is by now or was a few seconds ago."""
        state = self._seen(connector).state
        running = self._catalog.get(state)
        known = self._offers.get(connector)
        if known is None or known.state is not state or known.running is not running:
            known = self._offers[connector] = _Offer(state, running, offered(state, running))
        return known.offered

    def check(self, connector: str, use: Use) -> None:
        """Raises `DocumentError` where the feed sets what it may not, or what the adapter does not understand."""
        overridden(self._seen(connector).running.connector, use.settings, describe=describe)

    def key_of(self, connector: str, audience: str) -> str | None:
        """Under which ID the audience is queued; None in the mode `partner` until it exists."""
        if self._seen(connector).running.connector.inbound.audience_id == "own":
            return audience
        seen = self._seen_audience(connector, audience, if_not=lambda known: known is None or not known.answers_to)
        return (seen.answers_to or None) if seen is not None else None

    def agree(self, connector: str, audience: str, use: Use) -> None:
        """The audience is used so: as its record says, or, where that says nothing or is this feed's own, from now on. Raises
        `UsedOtherwise`."""
        seen = self._seen_audience(connector, audience, if_not=lambda known: not _is_used_so(known, use))
        if not _is_used_so(seen, use):
            changed = self._backend.audiences.set_use(connector, audience, use)
            self._audiences.keep((connector, audience), _SeenAudience(changed, self._clock.now()))

    def rows(self, connector: str, use: Use, message: Message, *, handed_out: bool = False) -> list[dict[str, FeedRow]]:
        """For each of the message's mutations: action → the row for the partner."""
        running = self._catalog.used(self._seen(connector).running, use)
        key = self.key_of(connector, message.audience)
        if key not in (None, message.audience):
            message = msgspec.structs.replace(message, audience=key)
        audience = None
        if looks_at_audience(running.actions):
            audience = self._seen_audience(connector, message.audience, if_not=_has_no_partner_id)
            if handed_out and _has_no_partner_id(audience) and looks_at_partner_id(running.actions):
                raise AudienceNotReady("The partner has not given the audience its ID yet, which the mappings use.")
        return self._rows.made_of(running, message, audience, now=self._clock.now())

    # audiences

    def create(
        self,
        connector: str,
        audience: str,
        use: Use,
        *,
        name: str,
        request_id: str,  # noqa: ARG002 - the protocol's
        instead_of: str = "",
    ) -> None:
        """The audience exists at the partner, and is used so from now on. It need not take members yet."""
        try:
            self._make(connector, audience, name=name, use=use, instead_of=instead_of)
        except AudienceNotReady:
            known = self._backend.audiences.get(connector, audience)
            if known is None or known.partner_id is None:
                raise

    def require_ready(self, connector: str, audience: str, use: Use) -> None:
        """Returns once members can be sent."""
        known = self._backend.audiences.get(connector, audience)
        if known is None:
            raise NotFound(f"The audience {audience!r} was never created through the connector {connector!r}.")
        if not _is_used_so(known, use):
            known = self._backend.audiences.set_use(connector, audience, use)
        its_own = self._now(connector).connector.inbound.audience_id == "own"
        if known.answers_to or (its_own and known.partner_id is not None and known.status == "ready"):
            return
        self._make(connector, audience, name=known.name, use=known.use)

    def _make(self, connector: str, audience: str, *, name: str, use: Use | None, instead_of: str = "") -> None:
        mode = self._now(connector).connector.inbound.audience_id
        self._creation.for_source(
            connector, audience, name=name, customer=None, mode=mode, use=use, instead_of=instead_of
        )

    # looking and asking

    def look_at(self, connector: str, audience: str) -> Mapping[str, Any]:
        """What was received, what is stored and what the partner has."""
        running = self._now(connector)
        known = self._backend.audiences.get(connector, audience)
        if known is not None and known.answers_to:
            known = self._backend.audiences.get(connector, known.answers_to)
        if known is None:
            return look.nothing_known(self._clock)
        now = self._clock.now()
        return {
            "at": now,
            "received": look.received(self._backend, known, running.connector.retention.journal_days, now=now),
            "stored": look.stored(self._backend, known),
            "partner": self._at_partner(running, known),
            "last_rejections": look.last_rejections(self._backend, known),
            "hold": look.held(known),
        }

    def _at_partner(self, running: Running, audience: Audience) -> dict[str, Any]:
        """Or why the partner could not be asked."""
        try:
            used = self._catalog.used(running, audience.use)
            self._require_may_call(used.connector)
            return look.at_partner(self._partners.open(used.connector, used.login), audience)
        except PartnerError as error:
            return {"code": error.code, "problem": error.hint, "note": "The partner could not be asked."}

    def options(self, connector: str, use: Use, field: str) -> list[tuple[str, str]]:
        """(value, label) of what this setting can be, given those that are set."""
        running = self._now(connector)
        known = next((one for one in running.description.settings if one.name == field), None)
        if known is None or field not in running.connector.inbound.feed_settings:
            raise Unsupported(f"A feed of the connector {connector!r} does not set {field!r}.")
        if known.choices:
            return [(choice, choice) for choice in known.choices]
        if not known.dynamic:
            return []
        chosen = {name: value for name, value in use.settings.items() if name != field}
        using = self._used(running, Use(use.feed, chosen, use.login))
        self._require_may_call(using)
        adapter = self._partners.open_unfinished(using, use.login)
        return [(option.value, option.label) for option in adapter.options(field, using.settings)]

    def check_credentials(self, connector: str, use: Use, given: Mapping[str, str]) -> None:
        """Returns if the partner accepts the credentials, with the `given` ones in place of the secrets."""
        using = self._used(self._now(connector), use)
        adapter = self._partners.open_with(using, given, use.login)
        self._require_may_call(using)
        adapter.check_credentials()

    def _used(self, running: Running, use: Use) -> Connector:
        """The connector with the feed's settings, whether or not it could run with them."""
        try:
            return overridden(running.connector, use.settings, describe=describe)
        except DocumentError as error:
            raise Misconfigured(" ".join(sentence for _, sentence in error.problems), code="feed_settings") from None

    def _require_may_call(self, connector: Connector) -> None:
        """While the partner wants not to be called (Retry-After), nobody calls it, not even to ask."""
        state, now = self._backend.connectors.state(connector.name), self._clock.now()
        if state.not_before > now and state.not_before_reason == "come_back_later":
            raise TryAgain("The partner asked to come back later.", after_s=state.not_before - now, account=True)

    # logins

    def login_address(self, connector: str, *, redirect_uri: str, state: str, verifier: str) -> str:
        """Where somebody allows the access in a browser."""
        authorization = self._authorization(connector)
        return authorization.address(redirect_uri=redirect_uri, state=state, verifier=verifier)

    def connect(self, connector: str, login: str, *, code: str, redirect_uri: str, verifier: str) -> str:
        """Exchanges the code, stores what comes of it under this login, and returns the refresh token, empty if there is none."""
        authorization = self._authorization(connector, login)
        own = authorization.token_name()
        if login:
            self._logins.note(connector, login, own)
        authorization.connect(code, redirect_uri=redirect_uri, verifier=verifier)
        token = self._logins.stored(connector, login, own)
        return token.refresh if token is not None else ""

    def adopt(self, connector: str, login: str, refresh_token: str) -> None:
        """Stores a refresh token that the platform keeps, unless there is one."""
        with suppress(PartnerError):  # without the client's ID, or while somebody logs in
            self._logins.adopt(connector, login, self._authorization(connector, login).token_name(), refresh_token)

    def is_connected(self, connector: str, login: str) -> bool:
        """Whether there is a token for this login; for none, whether the connector itself has one."""
        try:
            return self._logins.is_known(connector, login, self._authorization(connector, login).token_name())
        except PartnerError:
            return False

    def disconnect(self, login: str) -> None:
        """Forgets the tokens of this login, whatever connector they are for."""
        self._logins.forget(login)

    def _authorization(self, connector: str, login: str = "") -> OAuth2AuthorizationCode:
        adapter: Adapter = self._partners.open_unfinished(self._now(connector).connector, login)
        if isinstance(adapter, Connectable) and adapter.authorization is not None:
            return adapter.authorization
        raise Unsupported("Nobody has to allow this connector's access in a browser: its secrets are all that it needs.")

    # what was read lately

    def _now(self, connector: str) -> Running:
        return self._catalog.get(self._backend.connectors.state(connector))

    def _seen(self, connector: str) -> _Seen:
        now = self._clock.now()
        known = self._connectors.get(connector)
        if known is None or not 0 <= now - known.looked_at < _LOOKED_AT_S:
            state = self._backend.connectors.state(connector)
            known = self._connectors[connector] = _Seen(state, self._catalog.without_secrets(state), now)
        return known

    def _seen_audience(
        self, connector: str, audience: str, *, if_not: Callable[[Audience | None], bool] = lambda _: False
    ) -> Audience | None:
        """if_not: whether what was seen lately is to be looked at once more."""
        now = self._clock.now()
        known = self._audiences.find((connector, audience))
        if known is None or not 0 <= now - known.looked_at < _LOOKED_AT_S or if_not(known.audience):
            known = _SeenAudience(self._backend.audiences.get(connector, audience), now)
            self._audiences.keep((connector, audience), known)
        return known.audience


def _has_no_partner_id(audience: Audience | None) -> bool:
    return audience is None or audience.partner_id is None


def _is_used_so(audience: Audience | None, use: Use) -> bool:
    had = audience.use if audience is not None else None
    return (had.settings, had.login) == (use.settings, use.login) if had is not None else not (use.settings or use.login)
