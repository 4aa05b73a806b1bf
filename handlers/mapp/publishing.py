"""Publishing within a deadline: a request is answered with success only once its messages are safe in the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.domain.errors import Refusal, StoreUnavailable
from relay.domain.message import Message

if TYPE_CHECKING:
    from relay.backends.interfaces import Publisher


async def publish(publisher: Publisher, messages: Sequence[Message], *, within_s: float) -> None:
    """Returns when all messages are safe. Refuses (503) where that is impossible or takes too long.

    A publish that takes too long is cancelled rather than left running: what is reported as not accepted should not arrive
    after what the source sends next.
    """
    try:
        async with asyncio.timeout(within_s):
            await publisher.publish(messages)
    except (StoreUnavailable, TimeoutError) as error:
        code = "publish_timeout" if isinstance(error, TimeoutError) else "store_unavailable"
        raise Refusal(503, "The request was not accepted: it could not be stored. Please send it again.", code=code) from error
