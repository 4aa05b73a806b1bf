"""The stack with the second source: the function `external_feed`, and the platform's gateway beside it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from relay.local_run import arrival
from relay.simulator.mediarithmics import case_file
from relay.simulator.mediarithmics.case_file import Feed
from relay.simulator.mediarithmics.gateway import Gateway
from relay.simulator.mediarithmics.platform import Platform, PlatformAnswer
from tests.emulators import Emulators
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import TOKEN, Stack

WORKER = ("a-worker", "a-plugin-token")


class _WithFeeds(Stack):
    """What both forms add. The gateway is in the test's own process, and knows what the test puts there."""

    servers = (*Stack.servers, "external_feed", "unready")

    def prepare(self) -> None:
        """Before anything else of it."""
        self.gateway = Gateway(case_file.packaged("example"), *WORKER)
        self.gateway.start()
        self._numbers = itertools.count(5000)
        self._platform: Platform | None = None

    @property
    def commands(self) -> dict[str, list[str]]:
        unready = ["env", "-u", "PLUGIN_AUTHENTICATION_TOKEN", *self.function("external_feed", "unready")]
        return {**super().commands, "external_feed": self.function("external_feed"), "unready": unready}

    @property
    def environment(self) -> dict[str, str]:
        worker_id, token = WORKER
        gateway = {"GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.gateway.port)}
        place = {**gateway, "FEED_REDIRECT_URL": "https://platform.example/logged-in"}
        return {**super().environment, **place, "PLUGIN_WORKER_ID": worker_id, "PLUGIN_AUTHENTICATION_TOKEN": token}

    @property
    def platform(self) -> Platform:
        """As it calls the function."""
        if self._platform is None:
            self._platform = Platform(f"http://127.0.0.1:{self.ports['external_feed']}")
        return self._platform

    def feed(self, delivery: str, *, segment: str = "", **properties: str) -> Feed:
        """A new feed, of a segment of its own unless told, that the gateway knows."""
        number = str(next(self._numbers))
        resource = {"id": number, "plugin_id": "71", "version_id": "710", "organisation_id": "1", "created_by": "3"}
        feed = Feed(resource, {"id": segment or number, "datamart_id": "1", "name": f"Segment {segment or number}"})
        made = feed.with_properties(**{"connector": "pangolin", "delivery": delivery, **properties})
        self.gateway.put(made)
        return made

    def ready_feed(self, delivery: str, **more: str) -> Feed:
        """A new feed that is created and connected."""
        feed = self.feed(delivery, **more)
        for answer in (self.platform.create(feed), self.platform.connect(feed)):
            assert answer.accepted, answer.seen
        return feed

    def push(self, feed: Feed, user: str, operation: str = "UPSERT", **more: Any) -> PlatformAnswer:
        """One user point."""
        return self.platform.update(feed, [{"type": "USER_POINT", "user_point_id": user}], operation=operation, **more)

    def members(self, audience: str, connector: str = "pangolin") -> set[str]:
        """See `Stack.members`. connector: through which the audience is used."""
        pangolin = arrival.Pangolin(f"http://127.0.0.1:{self.ports['pangolin']}", TOKEN)
        return pangolin.members(f"{connector}/{audience}")

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            if self._platform is not None:
                self._platform.close()
            self.gateway.stop()


class FeedStack(_WithFeeds):
    """On the embedded back end."""

    everything = ("pangolin", "worker", "external_feed")

    def __init__(self, directory: Path) -> None:
        self.prepare()
        super().__init__(directory)


class GoogleFeedStack(_WithFeeds, GoogleStack):
    """On the google back end, as far as feeds need it."""

    servers = (*GoogleStack.servers, "external_feed", "unready")
    everything = ("pangolin", "worker", "tick", "external_feed")

    def __init__(self, directory: Path, emulators: Emulators) -> None:
        self.prepare()
        GoogleStack.__init__(self, directory, emulators)
