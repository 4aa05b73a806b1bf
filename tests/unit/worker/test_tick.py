"""One call of the function `tick`: which holds it resumes and when, and the line that it writes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.registry import describe
from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Secrets
from relay.connectors.publishing import Publishing
from relay.domain.audience import Audience, Hold, HoldReason, HoldRequest, join
from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    CredentialsRefused,
    Misconfigured,
    PartnerError,
    StoreUnavailable,
    TryAgain,
)
from relay.domain.message import VERSION, Message, Mutation, decode
from tests.clock import TurnedClock
from tests.promise.world import DOCUMENT, HMAC_SECRET, TOKEN
from worker.calls import Postponed
from worker.catalog import Catalog
from worker.holds import after_error, crashed, gathering, must_hold, running_or_why
from worker.rate import RateUsedUp
from worker.tick import MOST_OF_A_MINUTE_S, log_tick, tick, tick_for

NOW = 1_800_000_000.0


class Ticking:
    """Holds of one connector, and when each was asked to resume."""

    def __init__(self, state: Path) -> None:
        self.clock = Watched()
        self.backend = EmbeddedBackend.open(state, self.clock)
        self.catalog = Catalog(self.backend, self.clock)
        publishing = Publishing(self.backend, describe, "test")
        publishing.set_secret("partner-token", TOKEN)
        publishing.set_secret("dmp-hmac", HMAC_SECRET)
        for name in ("pangolin", "other"):
            document = DOCUMENT.format(
                url="http://127.0.0.1:9", max_items=100, max_age="0s", mode="own", unknown="create", rate="{concurrency: 8}",
                answer="5s",
            )  # fmt: skip
            publishing.apply(document.replace("name: pangolin", f"name: {name}"))

    def hold(self, audience: str, due_in_s: float | None, *, connector: str = "pangolin") -> None:
        mutations = (Mutation(0, user={"id": "u"}),)
        message = Message(VERSION, "change", connector, audience, "r", self.clock.now(), mutations=mutations)
        turn = self.backend.audiences.begin_turn(connector, audience, position=1, message_id=f"{connector}/{audience}")
        due_at = None if due_in_s is None else self.clock.now() + due_in_s
        self.backend.audiences.join(turn, message, HoldRequest("partner_unavailable", due_at))

    def tick(self, *, stopping: Callable[[], bool] = lambda: False) -> int:
        return tick_for(MOST_OF_A_MINUTE_S, self.backend, self.catalog, self.clock, stopping=stopping)

    def resumed(self) -> dict[str, float]:
        """audience → how long after the beginning its resume was published."""
        found = {}
        while (leased := self.backend.queue.take()) is not None:
            message = decode(leased.body)
            assert message.kind == "resume"
            assert message.audience not in found, "asked for twice"
            found[message.audience] = message.received_at - NOW
        return found


class Watched(TurnedClock):
    """Does something when it has come to a moment."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.plans: list[tuple[float, Callable[[], None]]] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for plan in [plan for plan in self.plans if plan[0] <= self.now() - NOW]:
            self.plans.remove(plan)
            plan[1]()


@pytest.fixture
def ticking(tmp_path: Path) -> Iterator[Ticking]:
    ticking = Ticking(tmp_path / "state")
    yield ticking
    ticking.backend.close()


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == "tick"]


def test_what_is_due_is_resumed_and_nothing_is_waited_for(ticking: Ticking) -> None:
    ticking.hold("due", -5)
    ticking.hold("much later", 3600)

    assert ticking.tick() == 1

    assert ticking.resumed() == {"due": 0}
    assert ticking.clock.now() == NOW


def test_what_becomes_due_within_the_call_is_resumed_when_it_is_due(ticking: Ticking) -> None:
    for due_in_s in (7.25, 30.0, 49.5):
        ticking.hold(f"{due_in_s}", due_in_s)

    assert ticking.tick() == 3

    assert ticking.resumed() == pytest.approx({"7.25": 7.25, "30.0": 30.0, "49.5": 49.5}, abs=0.001)


def test_what_becomes_due_after_the_call_is_left_to_the_next_one(ticking: Ticking) -> None:
    ticking.hold("late", 51)

    assert ticking.tick() == 0

    assert ticking.clock.now() == NOW
    ticking.clock.advance(60)
    assert ticking.tick() == 1


def test_many_that_become_due_one_after_the_other_are_looked_at_once_a_second(ticking: Ticking) -> None:
    for number in range(50):
        ticking.hold(f"{number}", 10 + number / 100)

    ticking.tick()

    assert sorted(set(ticking.resumed().values())) == pytest.approx([10, 11], abs=0.001)


def test_a_hold_that_cannot_be_resumed_keeps_nobody_from_its_time(ticking: Ticking) -> None:
    ticking.hold("off", -5, connector="other")
    ticking.backend.connectors.set_enabled("other", False)
    ticking.hold("in time", 20)

    ticking.tick()

    assert ticking.resumed() == pytest.approx({"in time": 20}, abs=0.001)


def test_one_that_joins_meanwhile_is_resumed_in_time_if_it_is_the_next(ticking: Ticking) -> None:
    ticking.hold("first", 10)
    ticking.clock.plans.append((5, lambda: ticking.hold("joined meanwhile", 20)))

    ticking.tick()

    assert ticking.resumed() == pytest.approx({"first": 10, "joined meanwhile": 25}, abs=0.5)


def test_two_at_once_ask_for_each_resume_once(ticking: Ticking) -> None:
    ticking.hold("now", -1)
    ticking.hold("soon", 10)
    ticking.clock.plans.append((9.9, lambda: ticking.clock.advance(1)))
    ticking.clock.plans.append((10.0, lambda: other.append(ticking.tick())))
    other: list[int] = []

    first = ticking.tick()

    assert (first, other) == (1, [1])
    assert set(ticking.resumed()) == {"now", "soon"}


def test_a_process_that_is_to_end_waits_no_longer(ticking: Ticking) -> None:
    ticking.hold("soon", 40)

    assert ticking.tick(stopping=lambda: ticking.clock.now() >= NOW + 3) == 0

    assert ticking.clock.now() == pytest.approx(NOW + 3, abs=0.5)


def test_one_line_a_call_says_what_was_resumed_and_what_waited_when_it_began(
    ticking: Ticking, capfd: pytest.CaptureFixture[str]
) -> None:
    ticking.hold("now", -1)
    ticking.hold("soon", 10)
    lines(capfd)

    ticking.tick()

    [line] = lines(capfd)
    assert {name: line[name] for name in ("severity", "resumed", "held_audiences", "held_batches", "held_mutations")} == {
        "severity": "INFO", "resumed": 2, "held_audiences": 2, "held_batches": 2, "held_mutations": 2,
    }  # fmt: skip


# --- a connector whose secrets cannot be read -----------------------------------------------------------------------


class Unreachable:
    """Secrets of which one cannot be reached."""

    def __init__(self, secrets: Secrets, name: str) -> None:
        self._secrets, self._name = secrets, name

    def get(self, name: str) -> tuple[str, ...]:
        if name == self._name:
            raise StoreUnavailable("The secret cannot be reached.")
        return self._secrets.get(name)


def with_a_secret_of_its_own(ticking: Ticking, connector: str) -> None:
    document = DOCUMENT.format(
        url="http://127.0.0.1:9", max_items=100, max_age="0s", mode="own", unknown="create", rate="{concurrency: 8}", answer="5s"
    )
    publishing = Publishing(ticking.backend, describe, "test")
    publishing.set_secret("own-token", TOKEN)
    publishing.apply(document.replace("name: pangolin", f"name: {connector}").replace("partner-token", "own-token"))


def test_a_secret_that_cannot_be_reached_stopped_the_holds_of_all_connectors(
    ticking: Ticking, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_secret_of_its_own(ticking, "other")
    monkeypatch.setattr(ticking.backend, "secrets", Unreachable(ticking.backend.secrets, "own-token"))
    ticking.hold("of the unreachable one", -5, connector="other")
    ticking.hold("now", -5)
    ticking.hold("soon", 20)

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        ticking.tick()

    assert ticking.resumed() == pytest.approx({"now": 0, "soon": 20}, abs=0.001)
    assert [line["resumed"] for line in lines(capfd)] == [2]
    monkeypatch.undo()
    assert ticking.tick() == 1
    assert set(ticking.resumed()) == {"of the unreachable one"}


def test_a_single_tick_says_what_it_could_not_read_after_resuming_the_others(
    ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_secret_of_its_own(ticking, "other")
    monkeypatch.setattr(ticking.backend, "secrets", Unreachable(ticking.backend.secrets, "own-token"))
    ticking.hold("of the unreachable one", -5, connector="other")
    ticking.hold("now", -5)

    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        tick(ticking.backend, ticking.catalog, ticking.clock)

    assert set(ticking.resumed()) == {"now"}


def test_a_damaged_secret_stopped_the_holds_of_all_connectors(ticking: Ticking, tmp_path: Path) -> None:
    with_a_secret_of_its_own(ticking, "other")
    (tmp_path / "state" / "secrets" / "own-token").write_bytes(b"{")
    ticking.hold("of the damaged one", -5, connector="other")
    ticking.hold("now", -5)

    assert ticking.tick() == 1

    assert set(ticking.resumed()) == {"now"}
    state = ticking.backend.connectors.state("other")
    running, why = running_or_why(ticking.catalog, state)
    request = must_hold(state, running, Audience(1, "other", "a.1"), NOW, why=why)
    assert request is not None
    assert request.reason == "connector_off"
    assert "own-token is not a secret" in request.detail


# --- the line --------------------------------------------------------------------------------------------------------


def held(reason: HoldReason, *, due_at: float | None = NOW + 60, oldest_at: float = NOW - 10) -> Audience:
    hold = Hold(reason, NOW - 5, due_at, batches=2, items=7, oldest_at=oldest_at)
    return Audience(1, "shop", f"{reason}-{due_at}-{oldest_at}", hold=hold)


def figures(*audiences: Audience, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    log_tick(3, audiences, NOW)
    [line] = lines(capfd)
    return line


def test_the_lines_figures_are_sums_over_all_holds(capfd: pytest.CaptureFixture[str]) -> None:
    line = figures(held("crashed"), held("partner_unavailable", oldest_at=NOW - 90.25), Audience(1, "shop", "free"), capfd=capfd)

    assert {name: value for name, value in line.items() if name not in ("time", "severity")} == {
        "event": "tick", "resumed": 3, "held_audiences": 2, "held_batches": 4, "held_mutations": 14, "oldest_hold_s": 90.2,
        "holds_needing_someone": 1, "credentials_refused": 0,
    }  # fmt: skip


def test_without_holds_every_figure_is_0(capfd: pytest.CaptureFixture[str]) -> None:
    line = figures(capfd=capfd)

    assert [line[name] for name in ("held_audiences", "held_batches", "held_mutations", "oldest_hold_s")] == [0, 0, 0, 0]


def asked_for(request: HoldRequest | None) -> Audience:
    """An audience with the hold that the worker asked for, and one batch in it."""
    assert request is not None
    mutations = (Mutation(0, user={"id": "u"}),)
    message = Message(VERSION, "change", "pangolin", "a.1", "r", NOW - 20, mutations=mutations)
    audience, _ = join(Audience(1, "pangolin", "a.1"), message, 100, request, now=NOW)
    return audience


@pytest.mark.parametrize(
    ("error", "someone"),
    [
        (CredentialsRefused("No."), 1),
        (AudienceGone("It is gone."), 1),
        (Misconfigured("No such list."), 1),
        (AudienceNotReady("Not yet."), 0),
        (TryAgain("Out of order."), 0),
        (TryAgain("Too many calls.", after_s=60), 0),
        (Postponed("The rate is used up.", due_at=NOW + 60), 0),
    ],
)
def test_a_hold_after_an_error_needs_someone_where_that_rarely_passes_by_itself(
    error: PartnerError | Postponed, someone: int, capfd: pytest.CaptureFixture[str]
) -> None:
    audience = asked_for(after_error(error, None, TurnedClock(NOW), random.Random(1)))

    line = figures(audience, capfd=capfd)

    assert (line["held_audiences"], line["oldest_hold_s"], line["holds_needing_someone"]) == (1, 20, someone)


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (Postponed("No time.", due_at=NOW, own_pace=True), 0, 0),
        (Postponed("The rate is used up.", due_at=NOW + 60, crowded=True, own_pace=True), 60, 90),
        (RateUsedUp("The rate is used up.", after_s=60), 60, 90),
    ],
)
def test_trouble_stays_what_it_is_where_our_own_pace_leaves_no_room_to_try_again(
    error: PartnerError | Postponed, first: float, last: float
) -> None:
    refused = Hold("credentials_refused", NOW - 90, NOW, "Status 401.", probes=2)

    request = after_error(error, refused, TurnedClock(NOW), random.Random(1))

    assert (request.reason, request.detail, request.own_pace) == ("credentials_refused", "Status 401.", False)
    assert not request.probe, "the partner was not tried"
    assert request.due_at is not None
    assert first <= request.due_at - NOW <= last
    for standing in (None, Hold("come_back_later", NOW - 90, NOW, own_pace=True), Hold("gathering", NOW - 90)):
        assert after_error(error, standing, TurnedClock(NOW), random.Random(1)).own_pace


def test_a_hold_of_a_batch_that_ended_its_worker_needs_someone(capfd: pytest.CaptureFixture[str]) -> None:
    assert figures(asked_for(crashed(None, TurnedClock(NOW))), capfd=capfd)["holds_needing_someone"] == 1


@pytest.mark.parametrize("switches", [{"enabled": False}, {"paused": True}, {"live": 0}])
def test_what_an_operator_has_switched_off_waits_and_needs_no_one_else(
    ticking: Ticking, switches: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    state = msgspec.structs.replace(ticking.backend.connectors.state("pangolin"), **switches)
    running, why = running_or_why(ticking.catalog, state)
    request = must_hold(state, running, Audience(1, "pangolin", "a.1"), NOW, why=why)

    line = figures(asked_for(request), capfd=capfd)

    assert (line["held_audiences"], line["holds_needing_someone"]) == (1, 0)


def test_what_is_only_gathering_is_in_no_figure(ticking: Ticking, capfd: pytest.CaptureFixture[str]) -> None:
    running = ticking.catalog.get(ticking.backend.connectors.state("pangolin"))
    limits = msgspec.structs.replace(running.connector.limits.batch, max_age_s=3600.0)
    connector = msgspec.structs.replace(
        running.connector, limits=msgspec.structs.replace(running.connector.limits, batch=limits)
    )
    gathers = msgspec.structs.replace(running, connector=connector)
    audience = asked_for(gathering(gathers, Audience(1, "pangolin", "a.1"), NOW - 20))

    line = figures(audience, capfd=capfd)

    names = ("held_audiences", "held_batches", "held_mutations", "oldest_hold_s", "holds_needing_someone")
    assert [line[name] for name in names] == [0, 0, 0, 0, 0]


def test_holds_for_refused_credentials_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    assert figures(held("credentials_refused"), held("crashed"), capfd=capfd)["credentials_refused"] == 1
