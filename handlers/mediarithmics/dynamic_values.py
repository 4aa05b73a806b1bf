"""`/v1/dynamic_property_values_queries`: what a feed's properties can be set to, given those that are."""

from __future__ import annotations

from functools import partial
from typing import Any

from handlers.mediarithmics.answers import Result
from handlers.mediarithmics.context import destination_login, offered_of, user_login
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.properties import CONNECTOR, DELIVERY, Delivery, chosen, connector_in, values_of
from handlers.mediarithmics.requests import Query, read
from handlers.mediarithmics.threads import within
from handlers.mediarithmics.trouble import Trouble, told, trouble_of
from relay.domain.errors import RelayError
from relay.domain.feed import Offered, OfferedSetting, Use

_DELIVERIES: dict[Delivery, str] = {
    "queued": "Queued: taken at once, delivered in order as fast as the partner takes it",
    "direct": "Direct: each update waits for the partner's answer",
    "batch": "Batches: the platform collects the partner's rows and sends them together",
    "file": "File: the platform writes the partner's rows into a file",
}


async def dynamic_values(desk: Desk, asked: Asked) -> Result:
    """Raises `Trouble`."""
    query = read(asked.content, Query)
    asked.record.about(query)
    with told():
        values = values_of(query.properties or (), await desk.contexts.defaults())
        connectors = await desk.threads.store(desk.destination.connectors)
        if not connectors:
            return Result("empty", fields={"data": []})
        data = [_property(CONNECTOR, [(each.name, each.title) for each in connectors])]
        data.append(_property(DELIVERY, list(_DELIVERIES.items())))
        try:
            offered = await desk.threads.store(partial(offered_of, desk.destination, values))
        except Trouble as trouble:
            if not trouble.public or not connector_in(values):
                raise
            return Result("ok", message=str(trouble), fields={"data": data})  # it is what the user is about to mend
        asked.record.connector = offered.name
        login = await desk.threads.store(partial(_login, desk, offered, query))
        use = Use(feed=str(query.feed_id), settings=_settings(values, offered), login=login)
        troubles = []
        for each in offered.settings:
            try:
                options = await _options(desk, offered, each, use)
            except RelayError as error:
                why = trouble_of(error, login=login)
                troubles.append(f"{each.name}: {why.shown(asked.record.error_id)}")
                if not why.public:
                    asked.record.note = str(why)
                continue
            if options:
                data.append(_property(each.name, options))
    return Result("ok", message=" ".join(troubles), fields={"data": data})


async def _options(desk: Desk, offered: Offered, setting: OfferedSetting, use: Use) -> list[tuple[str, str]]:
    if not setting.dynamic:
        return [(choice, choice) for choice in setting.choices]
    work = partial(desk.destination.options, offered.name, use, setting.name)
    try:
        return await within(desk.threads.partner(offered.name, work), desk.bounds.partner_s)
    except TimeoutError:
        raise Trouble("The partner has not answered in time.", code="too_slow", passes=True) from None


def _settings(values: dict[str, Any], offered: Offered) -> dict[str, Any]:
    """Those that are set, as far as they can be used: the others are what the user is about to mend."""
    try:
        return chosen({name: value for name, value in values.items() if name != DELIVERY}, offered, whole=False).settings
    except Trouble:
        return {}


def _login(desk: Desk, offered: Offered, query: Query) -> str:
    """Whose access the options are asked for with: the destination's or the user's, if there is one. Blocks."""
    if not offered.connectable:
        return ""
    logins = []
    if query.feed_destination_id:
        logins.append(destination_login(query.feed_destination_id))
    if query.plugin_version_id and query.user_id:
        logins.append(user_login(query.plugin_version_id, query.user_id))
    return next((login for login in logins if desk.destination.is_connected(offered.name, login)), "")


def _property(name: str, options: list[tuple[str, str]] | list[tuple[Delivery, str]]) -> dict[str, Any]:
    return {"property_technical_name": name, "enum": [{"label": label, "value": value} for value, label in options]}
