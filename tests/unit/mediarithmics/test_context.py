"""A feed's instance context: fetched once for all, kept for a while, fetched anew where it has to be."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from handlers.mediarithmics.context import KEPT_S, MOST_KEPT, SPREAD, Contexts
from handlers.mediarithmics.gateway import GatewayClient
from handlers.mediarithmics.requests import FeedRequest, Id
from handlers.mediarithmics.settings import Gateway as GatewaySettings
from handlers.mediarithmics.threads import Threads
from handlers.mediarithmics.trouble import Trouble
from relay.domain.errors import DocumentError
from tests.clock import TurnedClock
from tests.unit.mapp.edge import eventually
from tests.unit.mediarithmics.gateway import CREDENTIALS, FEED, TECHNICAL, TOKEN, WORKER_ID, Gateway
from tests.unit.mediarithmics.pipes import Pipes
from tests.unit.mediarithmics.platform import IDS, POINT, Platform

REQUEST = FeedRequest(feed_id=Id("1000"), datamart_id=Id("1"), segment_id=Id("100"))


class _Chance(random.Random):
    """Always the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


class Stand:
    """Contexts on a gateway, with a clock to turn."""

    def __init__(self, gateway: Gateway, chance: float) -> None:
        self.clock = TurnedClock()
        self.pipes = Pipes()
        client = GatewayClient(GatewaySettings(gateway.url, WORKER_ID, TOKEN), self.clock)
        self.contexts = Contexts(client, self.pipes, Threads(), self.clock, _Chance(chance))


def test_requests_at_the_same_time_fetch_it_once(platform: Platform) -> None:
    platform.gateway.delay_s = 0.1
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: platform.update(POINT).status_code, range(12)))
    assert statuses == [200] * 12
    assert platform.gateway.count(FEED) == platform.gateway.count(f"{FEED}/properties") == platform.gateway.count(TECHNICAL) == 1


def test_a_feed_with_another_destination_has_a_context_of_its_own(platform: Platform) -> None:
    platform.update(POINT)
    platform.update(POINT, feed_destination_id="55")
    assert platform.gateway.count(FEED) == 2
    assert platform.gateway.count(CREDENTIALS) == 1


def test_one_who_waits_and_goes_away_takes_nothing_from_the_others(gateway: Gateway) -> None:
    gateway.delay_s = 0.1
    stand = Stand(gateway, 0.0)

    async def run() -> str:
        first = asyncio.create_task(stand.contexts.get(REQUEST))
        second = asyncio.create_task(stand.contexts.get(REQUEST))
        await asyncio.sleep(0.05)
        first.cancel()
        context = await second
        assert first.cancelled()
        return context.connector

    assert asyncio.run(run()) == "pangolin"
    assert gateway.count(FEED) == 1


@pytest.mark.parametrize(("chance", "kept_s"), [(0.0, KEPT_S), (0.5, KEPT_S * (1 + SPREAD / 2)), (1.0, KEPT_S * (1 + SPREAD))])
def test_it_is_kept_for_ten_minutes_and_up_to_a_tenth_more(gateway: Gateway, chance: float, kept_s: float) -> None:
    stand = Stand(gateway, chance)

    async def run() -> None:
        await stand.contexts.get(REQUEST)
        stand.clock.advance(kept_s - 1)
        await stand.contexts.get(REQUEST)
        assert gateway.count(FEED) == 1
        stand.clock.advance(2)
        await stand.contexts.get(REQUEST)
        assert gateway.count(FEED) == 2

    asyncio.run(run())


def test_a_failure_is_not_kept(platform: Platform) -> None:
    answers = dict(platform.gateway.answers)
    platform.gateway.answers[f"{FEED}/properties"] = (500, {})
    assert platform.update(POINT).status_code == 429
    platform.gateway.answers = answers
    assert platform.update(POINT).status_code == 200


def test_a_creation_sees_what_has_changed_and_so_does_what_comes_after_it(platform: Platform) -> None:
    assert "data" not in platform.update(POINT).json()
    platform.gateway.set_properties(delivery="batch")
    assert "data" not in platform.update(POINT).json()
    assert platform.post("external_segment_creation", IDS).status_code == 200
    assert "data" in platform.update(POINT).json()


def test_a_connector_that_no_longer_takes_the_feeds_settings_is_looked_at_again(platform: Platform) -> None:
    assert platform.update(POINT).status_code == 200
    platform.pipes.raises["rows"] = DocumentError([("region", "A feed does not set this.")])
    response = platform.update(POINT)
    assert (response.status_code, response.json()["status"]) == (500, "error")
    assert "region: A feed does not set this." in response.json()["message"]
    del platform.pipes.raises["rows"]
    assert platform.update(POINT).status_code == 200
    assert platform.gateway.count(FEED) == 2


def test_a_failed_rebuild_leaves_no_old_context_behind(gateway: Gateway) -> None:
    stand = Stand(gateway, 0.0)

    async def run() -> None:
        await stand.contexts.get(REQUEST)
        gateway.answers[FEED] = (404, {})
        for anew in (True, False):
            with pytest.raises(Trouble, match="does not know the feed"):
                await stand.contexts.get(REQUEST, anew=anew)

    asyncio.run(run())


def test_so_many_are_kept_and_no_more(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.mediarithmics.context.MOST_KEPT", 3)
    assert MOST_KEPT > 3
    stand = Stand(gateway, 0.0)

    async def run() -> None:
        for number in (1, 2, 3, 4):
            gateway.answers[f"/v1/datamarts/{number}"] = {}
            await stand.contexts.get(FeedRequest(feed_id=Id("1000"), datamart_id=Id(str(number)), segment_id=Id("1")))
        assert gateway.count(FEED) == 4
        await stand.contexts.get(FeedRequest(feed_id=Id("1000"), datamart_id=Id("4"), segment_id=Id("1")))
        assert gateway.count(FEED) == 4
        await stand.contexts.get(FeedRequest(feed_id=Id("1000"), datamart_id=Id("1"), segment_id=Id("1")))
        assert gateway.count(FEED) == 5

    asyncio.run(run())


def test_a_slow_gateway_keeps_nobody_else_waiting(platform: Platform) -> None:
    platform.update(POINT)
    platform.gateway.delay_s = 1.0
    with ThreadPoolExecutor(20) as pool:
        others = [pool.submit(platform.update, POINT, feed_id=str(2000 + number)) for number in range(20)]
        time.sleep(0.2)
        began = time.monotonic()
        assert platform.update(POINT).status_code == 200
        assert platform.call("GET", "/v1/status").status_code == 200
        assert time.monotonic() - began < 0.8
        platform.gateway.delay_s = 0.0
        for other in others:
            other.result()


def test_what_one_did_not_wait_for_is_there_for_the_next(platform: Platform) -> None:
    platform.serve(gateway_s=0.3)
    platform.gateway.delay_s = 0.6
    first = platform.update(POINT)
    assert (first.status_code, first.json()["status"]) == (429, "retry")
    assert "has not answered within 0.3 seconds" in first.json()["message"]
    eventually(lambda: platform.update(POINT).status_code == 200)
    assert platform.gateway.count(FEED) == 1


def test_what_nobody_can_be_waiting_for_is_asked_no_further(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.mediarithmics.context.BUILDING_S", 0.3)
    platform.gateway.delay_s = 0.6
    assert platform.update(POINT).status_code == 429
    time.sleep(0.8)
    assert platform.gateway.asked == [("GET", FEED)]
    platform.gateway.delay_s = 0.0
    assert platform.update(POINT).status_code == 200


def test_defaults_are_kept_as_long_as_a_context(gateway: Gateway) -> None:
    stand = Stand(gateway, 0.0)
    gateway.answers[TECHNICAL] = {"connector": "zebra"}

    async def run() -> None:
        for _ in range(2):
            assert await stand.contexts.defaults() == {"connector": "zebra"}
        assert gateway.count(TECHNICAL) == 1
        stand.clock.advance(KEPT_S + 1)
        gateway.answers[TECHNICAL] = {}
        assert await stand.contexts.defaults() == {}
        gateway.answers[TECHNICAL] = {"connector": "pangolin"}
        await stand.contexts.get(REQUEST)
        assert await stand.contexts.defaults() == {"connector": "pangolin"}, "a context has fetched them anew"
        assert gateway.count(TECHNICAL) == 3

    asyncio.run(run())


def test_two_creations_at_once_ask_the_partner_once(platform: Platform) -> None:
    platform.pipes.delay_s["create"] = 0.3
    threads = [threading.Thread(target=platform.post, args=("external_segment_creation", IDS)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(platform.pipes.called("create")) == 1


def test_a_feed_takes_the_place_of_another_only_where_the_platform_no_longer_has_that_one(platform: Platform) -> None:
    other = "/v1/audience_segment_external_feeds/7"
    platform.pipes.used_by = "7"
    platform.gateway.answers[other] = {"data": {"id": "7"}}
    refused = platform.post("external_segment_creation", IDS)
    assert (refused.status_code, refused.json()["visibility"]) == (500, "PUBLIC")
    assert refused.json() | {"status": "error", "message": "The feed 7 sends this segment otherwise."} == refused.json()
    platform.gateway.answers[other] = (503, {})
    assert platform.post("external_segment_creation", IDS).json()["status"] == "retry"
    del platform.gateway.answers[other]
    assert platform.post("external_segment_creation", IDS).status_code == 200
    assert platform.pipes.used_by == "1000"


def test_the_use_of_a_feed_holds_its_settings_and_whose_access_it_has(platform: Platform) -> None:
    platform.pipes.offer(connectable=True)
    platform.pipes.tokens["pangolin", "user.66.9"] = "t"
    platform.gateway.set_feed(created_by=9)
    platform.gateway.set_properties(region="eu", unheard="x", list="l1")
    platform.post("external_segment_creation", IDS)
    ((connector, audience, use, name),) = platform.pipes.called("create")
    assert (connector, audience, name) == ("pangolin", "mics.1.100", "Winter shoppers")
    assert (use.feed, use.settings, use.login) == ("1000", {"region": "eu", "list": "l1"}, "user.66.9")
