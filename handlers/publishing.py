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
    """Returns when all messages are safe. Refuses (503) where that is impossible or takes longer than `within_s`, counted from
    the moment at which the publisher has taken them.

    A publish that takes too long is cancelled rather than left running: what is reported as not accepted should not arrive
    after what the source sends next. Where it travels with other requests' messages, these go on, and it with them.
    """
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    # Not at once: the publisher first prepares the messages and hands them over, which is its own work and not the store's.
    beginning = loop.call_soon(lambda: limit.reschedule(loop.time() + within_s))
    try:
        async with limit:
            publishing = publisher.publish(messages)
            # Only their bytes are needed while they are stored. What is freed at once is still in the processor's caches.
            del messages
            await publishing
    except TimeoutError:
        raise _not_accepted("publish_timeout") from None
    except StoreUnavailable as error:
        raise _not_accepted("store_unavailable") from error
    finally:
        beginning.cancel()


def _not_accepted(code: str) -> Refusal:
    return Refusal(503, "The request was not accepted: it could not be stored. Please send it again.", code=code)
