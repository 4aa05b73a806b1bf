"""The instance context of a feed: all that the platform and the connector say about it, fetched once and kept for a while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from handlers.mediarithmics.destination import Destination
from handlers.mediarithmics.gateway import OAUTH2, Credentials, Feed, GatewayClient, Realm, soon
from handlers.mediarithmics.identifiers import Selection
from handlers.mediarithmics.properties import Chosen, chosen, connector_in, unknown_connector, values_of
from handlers.mediarithmics.requests import FeedRequest, require
from handlers.mediarithmics.threads import Threads
from handlers.mediarithmics.trouble import Trouble, for_operator, told
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from relay.domain.feed import Offered, Use

KEPT_S = 600.0
SPREAD = 0.1
"""Part of `KEPT_S` that is added by chance, so that not all contexts are fetched again at once."""

WAIT_S = 15.0
"""A request waits so long for its context."""

BUILDING_S = 60.0
"""A context that nobody waits for any more is still fetched for so long: the platform sends the request again."""

MOST_KEPT = 1_000

_Key = tuple[str, str, str]
"""Feed, destination, datamart."""


_STALE = frozenset({"bad_settings", "feed_settings", "not_found"})
"""Codes of trouble with what a feed chose."""


class Context(msgspec.Struct, frozen=True):
    """name: the segment's, for the audience; empty where the platform has none."""

    feed: Feed
    connector: str
    chosen: Chosen
    use: Use
    name: str = ""

    @property
    def selection(self) -> Selection:
        """Whose identifiers may leave."""
        return Selection(self.feed.selected_identifying_resources)


class _Kept:
    """A context, there or on its way. until: monotonic seconds."""

    def __init__(self, building: asyncio.Task[Context], until: float) -> None:
        self.building = building
        self.until = until


def _key_of(request: FeedRequest) -> _Key:
    return str(request.feed_id), str(request.feed_destination_id), str(request.datamart_id)


def audience_of(request: FeedRequest) -> str:
    """Our ID of the audience that the request is about."""
    return f"mics.{request.datamart_id}.{request.segment_id}"


def destination_login(destination_id: str) -> str:
    """The name of a destination's own access."""
    return f"destination.{destination_id}"


def user_login(version_id: str, user_id: str) -> str:
    """The name of a user's own access."""
    return f"user.{version_id}.{user_id}"


class Contexts:
    """Contexts of feeds, each fetched once for all requests that wait for it, and the defaults for all feeds. Used on one event
    loop."""

    def __init__(
        self,
        gateway: GatewayClient,
        destination: Destination,
        threads: Threads,
        clock: Clock,
        chance: random.Random,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        self._gateway = gateway
        self._destination = destination
        self._threads = threads
        self._clock = clock
        self._chance = chance
        self._wait_s = wait_s
        self._kept: dict[_Key, _Kept] = {}
        self._defaults: dict[str, Any] = {}
        self._defaults_until = float("-inf")

    async def get(self, request: FeedRequest, *, anew: bool = False) -> Context:
        """The context of the request's feed. anew: as the platform has it by now. Raises `Trouble`."""
        require(request, "feed_id", "datamart_id", "segment_id")
        key = _key_of(request)
        now = self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is None or anew or now >= kept.until:
            kept = self._begin(key, request, now)
        # One who waits and goes away takes nothing from the others.
        return await soon(f"the feed {request.feed_id}", kept.building, self._wait_s)

    async def defaults(self) -> dict[str, Any]:
        """What the technical configuration says, now or a while ago, for what concerns no feed yet. Raises `Trouble`."""
        if self._clock.monotonic() < self._defaults_until:
            return self._defaults
        what = "the technical configuration"
        return await soon(what, self._fetch_defaults(), self._wait_s)

    async def _fetch_defaults(self) -> dict[str, Any]:
        self._defaults = await self._threads.gateway(self._gateway.technical_configuration)
        self._defaults_until = self._clock.monotonic() + self._keep_s()
        return self._defaults

    def _keep_s(self) -> float:
        return KEPT_S * (1 + SPREAD * self._chance.random())

    def forget(self) -> None:
        """All of them: somebody's access has changed."""
        self._kept.clear()

    @contextmanager
    def dropped_if_stale(self, request: FeedRequest) -> Iterator[None]:
        """Trouble within that a newer context may not have drops the one that is kept: the connector has changed since."""
        try:
            yield
        except Trouble as trouble:
            if trouble.code in _STALE:
                self._kept.pop(_key_of(request), None)
            raise

    def _begin(self, key: _Key, request: FeedRequest, now: float) -> _Kept:
        kept = _Kept(asyncio.get_running_loop().create_task(self._built(request)), now + self._keep_s())
        self._kept.pop(key, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept
        kept.building.add_done_callback(partial(self._ended, key, kept))
        return kept

    def _ended(self, key: _Key, kept: _Kept, building: asyncio.Task[Context]) -> None:
        failed = building.cancelled() or building.exception() is not None
        if failed and self._kept.get(key) is kept:
            del self._kept[key]

    async def _built(self, request: FeedRequest) -> Context:
        """Ends in any case: what is still to be asked for then is not."""
        building = asyncio.ensure_future(self._build(request))
        try:
            return await soon(f"the feed {request.feed_id}", building, BUILDING_S)
        finally:
            building.cancel()

    async def _build(self, request: FeedRequest) -> Context:
        with told():
            ask, gateway = self._threads.gateway, self._gateway
            feed_id, destination_id = str(request.feed_id), str(request.feed_destination_id)
            feed = await ask(partial(gateway.feed, feed_id))  # alone: where it is unknown, that is what is to be said
            properties, segment, defaults, credentials = await asyncio.gather(
                ask(partial(gateway.properties, feed_id)),
                ask(partial(gateway.segment, feed_id)),
                self._fetch_defaults(),
                ask(partial(self._credentials, destination_id)),
            )
            values = values_of(properties, defaults)
            offered = await self._threads.store(partial(offered_of, self._destination, values))
            choice = chosen(values, offered)
            await self._require_realms(offered, request.datamart_id)
            login = await self._threads.store(partial(self._login, offered, feed, destination_id, credentials))
            use = Use(feed=feed_id, settings=choice.settings, login=login)
            await self._threads.store(partial(self._destination.check, offered.name, use))
            return Context(feed, offered.name, choice, use, str(segment.name))

    def _credentials(self, destination_id: str) -> Credentials | None:
        return self._gateway.credentials(destination_id) if destination_id else None

    async def _require_realms(self, offered: Offered, datamart_id: str) -> None:
        if not offered.realms:
            return
        known = _names(await self._threads.gateway(partial(self._gateway.realms, datamart_id)))
        for each in offered.realms:
            if each.lower() not in known:
                raise for_operator(
                    f"The mappings of connector {offered.name} use the realm {each}; datamart {datamart_id} does not select it.",
                    code="missing_realm",
                )

    def _login(self, offered: Offered, feed: Feed, destination_id: str, credentials: Credentials | None) -> str:
        """As whom the partner is called. A token that the platform keeps becomes ours."""
        if credentials is not None and credentials.scheme != OAUTH2:
            raise Trouble(
                "The partner is called with the connector's own secrets; a destination's credentials are used only where their "
                "scheme is OAUTH2, and its own is not supported. Please use a feed without this destination.",
                code="unsupported_credentials",
            )
        if not offered.connectable:
            return ""
        if destination_id:
            login = destination_login(destination_id)
            if credentials is not None and credentials.refresh_token:
                self._destination.adopt(offered.name, login, credentials.refresh_token)
            return login
        if feed.version_id and feed.created_by:
            login = user_login(feed.version_id, feed.created_by)
            if self._destination.is_connected(offered.name, login):
                return login
        return ""


def offered_of(destination: Destination, values: dict[str, Any]) -> Offered:
    """The connector that the values choose. Blocks; raises `Trouble`."""
    name = connector_in(values)
    if name:
        try:
            return destination.offered(name)
        except NotFound:
            known = [each.name for each in destination.connectors()]
            raise unknown_connector(name, known) from None
    known_ones = destination.connectors()
    if not known_ones:
        raise for_operator("No version of any connector is live.", code="no_connector")
    return known_ones[0]


def _names(realms: list[Realm]) -> set[str]:
    names = {each.realm_type or "" for each in realms} | {(each.web_domain.sld_name or "") for each in realms if each.web_domain}
    return {name.lower() for name in names}
