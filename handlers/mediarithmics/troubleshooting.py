"""`/v1/troubleshoot`: what was received, what is stored and what the partner has, side by side."""

from __future__ import annotations

from functools import partial

from handlers.mediarithmics.answers import Result
from handlers.mediarithmics.context import audience_of
from handlers.mediarithmics.desk import Asked, Desk
from handlers.mediarithmics.requests import Troubleshooting, read
from handlers.mediarithmics.threads import within
from handlers.mediarithmics.trouble import Trouble, told

ACTION = "FETCH_DESTINATION_AUDIENCE"


async def troubleshoot(desk: Desk, asked: Asked) -> Result:
    """Raises `Trouble`."""
    request = read(asked.content, Troubleshooting)
    asked.record.about(request)
    if request.action != ACTION:
        return Result("not_implemented", message=f"Only the action {ACTION} is known here.")
    context = await desk.contexts.get(request)
    choice = context.chosen
    asked.record.connector, asked.record.delivery = context.connector, choice.delivery
    work = partial(desk.destination.look_at, context.connector, audience_of(request))
    with told(context.use.login):
        try:
            seen = await within(desk.threads.partner(context.connector, work), desk.bounds.partner_s)
        except TimeoutError:
            raise Trouble("The partner has not answered in time. Please try again.", code="too_slow", passes=True) from None
    feed = {
        "feed_id": str(request.feed_id),
        "connector": context.connector,
        "delivery": choice.delivery,
        "settings": sorted(choice.settings),
        "own_access": bool(context.use.login),
    }
    received = {**seen.get("received", {}), "lately": desk.received.told(audience_of(request))}
    return Result("ok", fields={"data": {**seen, "received": received, "feed": feed}})
