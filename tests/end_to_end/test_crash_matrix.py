"""Processes that end at random moments under load, in every combination: how, which, and on which back end.

Whatever was answered with 200 is at the partner afterwards, in its final state; nothing waits, and no batch is taken for one that
ends its worker. `--crash-seconds N` makes each combination last so long; else each meets a few ends.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.emulators import Emulators
from tests.end_to_end.changing_dmp import ChangingDmp
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import Stack, eventually

ENDS = 2
"""How often each combination ends its processes, unless it is told to last."""

AUDIENCES = 2
USERS = 4
PARTNER_MS = 100
"""So long the partner takes for a call: most ends meet one under way in each audience."""


@pytest.fixture(scope="module", params=["embedded", pytest.param("google", marks=pytest.mark.once)])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("crashes")
    if request.param == "embedded":
        made = Stack(directory)
    else:
        emulators: Emulators = request.getfixturevalue("emulators")
        made = GoogleStack(directory, emulators, back_off_s=(0, 0))
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
@pytest.mark.parametrize("victims", [("receiver",), ("worker",), ("receiver", "worker")], ids=["receiver", "worker", "both"])
@pytest.mark.parametrize("way", ["kill -9", "SIGTERM"])
def test_what_was_accepted_arrives_in_its_final_state_and_nothing_stays_behind(
    stack: Stack, way: str, victims: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    seconds: float = request.config.getoption("--crash-seconds", default=None) or 0
    title = f"{way} {'+'.join(victims)}"
    chance = random.Random(title)
    audiences = [f"{title.replace(' ', '-')}.{number}" for number in range(AUDIENCES)]
    if ended := [name for name in stack.everything if name not in stack.processes]:
        stack.start(*ended)
    stack.pangolin("PUT", "/api/faults", latency_ms=PARTNER_MS)

    pause_s = 0.3 if isinstance(stack, GoogleStack) else 0.12  # nearly as fast as it is delivered
    dmp = ChangingDmp(stack, audiences, chance.randrange(1_000_000), users=USERS, pause_s=pause_s)
    try:
        began, ends = time.monotonic(), 0
        while ends < ENDS or time.monotonic() - began < seconds:
            # No batch is to be the one in hand three times in a row, which is another rule's matter.
            eventually_called_for_each(stack, audiences)
            eventually(partial(has_changed_its_mind, dmp, 4 * (ends + 1)))
            time.sleep(chance.uniform(0, 0.4))
            end(stack, way, victims)
            stack.start(*victims)
            ends += 1
    finally:
        dmp.stop()
    for audience in audiences:
        dmp.send(audience, ["the-last-one"], joins=True)

    eventually(lambda: all("the-last-one" in stack.members(audience) for audience in audiences), within_s=60)
    eventually(stack.drained)
    for audience in audiences:
        assert stack.members(audience) == dmp.members(audience)
    assert stack.backend.reports.rejections() == []
    assert "message_crashed" not in stack.output("worker")


def eventually_called_for_each(stack: Stack, audiences: list[str]) -> None:
    """Waits until the partner was called for each of these audiences since now."""
    since = time.time()

    def called() -> bool:
        listed = stack.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
        paths = {f"/api/audiences/{one['id']}/users": one["reference"].partition("/")[2] for one in listed}
        calls = stack.pangolin("GET", "/api/calls?limit=200")
        answered = {paths.get(call["path"]) for call in calls if call["time"] > since and call["status"] == 200}
        return set(audiences) <= answered

    eventually(called, within_s=60)


def has_changed_its_mind(dmp: ChangingDmp, times: int) -> bool:
    """So that the order of what was accepted matters."""
    return dmp.changes_of_mind >= times


def end(stack: Stack, way: str, victims: tuple[str, ...]) -> None:
    """All of them at the same moment; who is asked to end does so in order."""
    with ThreadPoolExecutor(len(victims)) as pool:
        if way == "kill -9":
            list(pool.map(stack.kill, victims))
        else:
            codes = dict(zip(victims, pool.map(stack.terminate, victims), strict=True))
            assert codes == dict.fromkeys(victims, 0), "the exit codes"
