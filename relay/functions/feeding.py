"""`external_feed`: what the platform of the second source calls, with what reaches connectors and partners for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.configuration import Configuration
from relay.domain.clock import SystemClock
from relay.functions import parts
from relay.functions.ending import process_is_ending, see_to_the_end
from relay.functions.parts import Once

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from handlers.mediarithmics.receiver import FeedReceiver
    from handlers.mediarithmics.settings import FeedSettings


def load_feeds_ahead() -> None:
    """Imports what the first request would wait for. Nothing connects, since the server forks after this."""
    import handlers.mediarithmics.receiver  # noqa: F401 - to have it, like those below
    import worker.feeds  # noqa: F401

    parts.load_publisher_ahead()
    parts.keep_what_is_loaded()


async def feed(request: Request) -> Response:
    """`external_feed`: one request of the platform."""
    return await _receiver()(request)


@Once
def _receiver() -> FeedReceiver:
    """With the connectors, the partners' connections and the gateway's answers of this process, which all requests share."""
    from handlers.mediarithmics.receiver import FeedReceiver
    from worker.feeds import Feeds

    see_to_the_end()
    backend, clock = parts.backend(), SystemClock()
    destination = Feeds(backend, clock, stopping=process_is_ending)
    return FeedReceiver(_settings(parts.configuration()), destination, backend.publisher(), backend.replies, clock)


def _settings(configuration: Configuration) -> FeedSettings:
    from handlers.mediarithmics.settings import FeedSettings, Gateway, Plugin

    return FeedSettings(
        gateway=Gateway(
            configuration.gateway_url, configuration.plugin_worker_id, configuration.plugin_authentication_token
        ),
        access=configuration.feed_access,
        secret=configuration.feed_secret,
        redirect_url=configuration.feed_redirect_url,
        plugin=Plugin(
            group_id=configuration.plugin_group_id,
            artifact_id=configuration.plugin_artifact_id,
            type=configuration.plugin_type,
            version=configuration.plugin_version,
            build=configuration.plugin_build,
        ),
    )
