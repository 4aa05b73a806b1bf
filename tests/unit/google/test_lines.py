"""What a line of publishes does when its callers give up, run out of time, or come in another order than they began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
import uvloop

from relay.backends.google.lines import Line
from relay.backends.google.pubsub_wire import Body, PublishCall
from relay.domain.clock import SystemClock
from relay.domain.errors import StoreUnavailable

RUNNERS = [asyncio.run, uvloop.run]


class Passing(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class Topic:
    """Takes calls. `messages`: how many each carried. answer: waits or refuses instead."""

    def __init__(self, answer: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.messages: list[int] = []
        self.ended: list[Line] = []
        self.line = Line("t", "key", self._publish, SystemClock(), self.ended.append)
        self._answer = answer

    async def _publish(self, call: PublishCall, deadline: float) -> None:
        assert deadline > time.monotonic(), "no call is made for which there is no time"
        self.messages.append(call.messages)
        if self._answer is not None:
            await self._answer(len(self.messages))

    def publish(self, received_at: float, within_s: float = 20.0) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.line.publish([Body(b"x", 0, received_at)], time.monotonic() + within_s))


async def _outcomes(*tasks: asyncio.Task[None]) -> list[object]:
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    return [type(each) for each in found]


OK, GIVEN_UP, REFUSED = type(None), asyncio.CancelledError, StoreUnavailable


@pytest.mark.parametrize("run", RUNNERS)
def test_who_waits_behind_two_that_give_up_is_served(run: Callable[..., None]) -> None:
    async def hang_first(number: int) -> None:
        if number == 1:
            await asyncio.sleep(60)

    async def story() -> None:
        topic = Topic(hang_first)
        first = topic.publish(1)
        await asyncio.sleep(0.01)
        second, third = topic.publish(2), topic.publish(3)
        await asyncio.sleep(0.01)
        first.cancel()
        asyncio.get_running_loop().call_soon(second.cancel)
        assert await _outcomes(first, second, third) == [GIVEN_UP, GIVEN_UP, OK]
        assert await _outcomes(topic.publish(4)) == [OK]
        assert topic.line in topic.ended

    run(story())


@pytest.mark.parametrize("run", RUNNERS)
def test_however_callers_give_up_nobody_waits_for_ever(run: Callable[..., None]) -> None:
    async def slow(number: int) -> None:
        await asyncio.sleep(0.004 * (number % 3))

    async def story() -> None:
        for number in range(100):
            topic = Topic(slow)
            tasks = []
            for place in range(8):
                tasks.append(topic.publish(place))
                if (number >> place) & 1:
                    asyncio.get_running_loop().call_later(0.001 * place, tasks[-1].cancel)
                await asyncio.sleep(0.001 * (place % 2))
            assert set(await _outcomes(*tasks)) <= {OK, GIVEN_UP}
            assert await _outcomes(topic.publish(99)) == [OK]

    run(story())


def test_requests_that_were_read_in_another_order_than_they_came_in_share_no_call() -> None:
    async def slow(_number: int) -> None:
        await asyncio.sleep(0.01)

    async def story() -> None:
        topic = Topic(slow)
        first = topic.publish(1)
        await asyncio.sleep(0)
        assert set(await _outcomes(first, *(topic.publish(received_at) for received_at in (2, 4, 3, 3, 5)))) == {OK}
        assert topic.messages == [1, 2, 1, 2]

    asyncio.run(story())


def test_one_that_has_no_time_left_is_refused_without_a_call_and_costs_the_others_nothing() -> None:
    async def slow(_number: int) -> None:
        await asyncio.sleep(0.2)

    async def story() -> None:
        topic = Topic(slow)
        first = topic.publish(1)
        await asyncio.sleep(0.01)
        others = [topic.publish(2, 0.1), topic.publish(3), topic.publish(4)]
        assert await _outcomes(first, *others) == [OK, REFUSED, OK, OK]
        assert topic.messages == [1, 2]

    asyncio.run(story())


@pytest.mark.parametrize("passing", [True, False])
def test_what_is_refused_together_is_tried_once_more(passing: bool) -> None:
    async def refuse_second(number: int) -> None:
        await asyncio.sleep(0.01)
        if number == 2:
            raise StoreUnavailable("no") from (Passing() if passing else ValueError())

    async def story() -> None:
        topic = Topic(refuse_second)
        first = topic.publish(1)
        await asyncio.sleep(0.001)
        assert set(await _outcomes(first, *(topic.publish(number) for number in range(2, 7)))) == {OK}
        assert topic.messages == ([1, 5, 5] if passing else [1, 5, 1, 1, 1, 1, 1])

    asyncio.run(story())


def test_what_is_refused_twice_is_refused() -> None:
    async def refuse(number: int) -> None:
        await asyncio.sleep(0.01)
        if number > 1:
            raise StoreUnavailable("no") from Passing()

    async def story() -> None:
        topic = Topic(refuse)
        first = topic.publish(1)
        await asyncio.sleep(0.001)
        assert await _outcomes(first, topic.publish(2), topic.publish(3)) == [OK, REFUSED, REFUSED]
        assert topic.messages == [1, 2, 2]

    asyncio.run(story())
