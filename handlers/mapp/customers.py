"""The customer of a whole request, and whether the connector serves it."""

from __future__ import annotations

from handlers.inbound import CompiledInbound
from handlers.mapp.arrival import BodyFields
from handlers.values import customer
from relay.domain.errors import Refusal


def take_customer(connector: CompiledInbound, fields: BodyFields) -> int | str | None:
    """The body's customer. One of an unknown shape stays with the other fields, unless only some customers are served.

    Refuses (400) a customer that the connector does not serve. A request that names none is served.
    """
    for name in connector.reader.names.customer:
        value = fields.get(name)
        if value is None:
            continue
        usable = customer(value)
        if not connector.reader.serves(value if usable is None else usable):
            raise Refusal(400, "This connector does not serve the customer that the request names.", code="customer_not_served")
        if usable is not None:
            fields.take(name)
            return usable
    return None
