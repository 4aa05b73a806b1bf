"""Who is told, and how often: with a real partner, a real receiver of notices, and a turned clock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.backends.embedded import EmbeddedBackend
from relay.configuration import Configuration
from relay.domain.errors import NotTaken
from relay.health.survey import look as survey
from tests.partners.notice_receiver import NoticeReceiver
from tests.partners.serving import Answer
from tests.promise.world import World
from tests.unit.worker.given import warm
from worker.catalog import Catalog
from worker.notice_sending import NoticeSending
from worker.notices import LOOK_S, NoticeKeeper

NOTIFY = 'notify: {{webhook: "{url}/told", allow_private_network: true}}\n'


@pytest.fixture
def receiver() -> Iterator[NoticeReceiver]:
    with NoticeReceiver() as server:
        yield server


@pytest.fixture
def told(world: World, receiver: NoticeReceiver) -> World:
    """A world whose connector names the receiver."""
    world.publishing().apply(world.document + NOTIFY.format(url=receiver.url))
    return world


def keeper(world: World, backend: EmbeddedBackend | None = None, **more: Any) -> NoticeKeeper:
    """What a worker process has for this, with its own view of the state if it is given one."""
    chosen: Any = backend or world.backend
    sending = NoticeSending(chosen.secrets, Configuration(), world.clock)
    return NoticeKeeper(chosen, Catalog(chosen, world.clock), sending, world.clock, **more)


def looks(world: World, *keepers: NoticeKeeper, for_s: float) -> None:
    """Time passes, with a worker that works, and every look that falls into it."""
    for _ in range(int(for_s / LOOK_S)):
        world.tick(LOOK_S)
        while world.work():
            pass
        for one in keepers or (keeper(world),):
            one.look()


def hold(world: World, **faults: Any) -> None:
    """The partner does that, and what comes in waits."""
    world.faults(**faults)
    world.accept([("a.1", "u1", "joined"), ("a.1", "u2", "joined")])
    while world.work():
        pass


def test_a_partner_that_is_down_is_told_once_and_so_is_its_recovery(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    looks(told, for_s=60)
    hold(told, status=503)
    looks(told, for_s=100)
    assert receiver.notices == []

    looks(told, for_s=500)
    [down] = receiver.notices
    assert (down["state"], down["reason"]) == ("on_hold", "partner_unavailable")
    assert (down["audiences"], down["batches"], down["mutations"]) == (1, 1, 2)
    assert down["what_to_do"] == ""

    told.faults()
    looks(told, for_s=900)
    [_, over] = receiver.notices
    assert (over["state"], over["reason"], over["mutations"]) == ("fine", None, 0)
    assert over["delivered"] == 2
    assert 590 <= over["lasted_s"] <= 910


def test_refused_credentials_are_told_at_once_with_what_to_do(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=LOOK_S)

    [refused] = receiver.notices
    assert (refused["state"], refused["reason"]) == ("credentials_refused", "credentials_refused")
    assert "diy secrets set partner-token" in refused["what_to_do"]

    told.faults()
    told.publishing().set_secret("partner-token", "the-same-again")
    told.publishing().set_secret("partner-token", told.authorization["Authorization"].partition(" ")[2])
    looks(told, for_s=300)
    assert receiver.states == [("credentials_refused", "credentials_refused"), ("fine", None)]


def test_a_notice_says_all_of_it_and_no_identifier(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=LOOK_S)

    [call] = receiver.served
    assert (call.line, call.kind, call.headers["user-agent"]) == ("POST /told", "application/json", "diy-relay")
    assert list(call.json) == [
        "version", "id", "at", "connector", "state", "reason", "since", "meaning", "detail", "what_to_do", "audiences", "batches",
        "mutations", "lasted_s", "delivered", "text",
    ]  # fmt: skip
    page = (Path(__file__).parents[3] / "docs" / "connectors.md").read_text()
    [example] = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert list(json.loads(example)) == list(call.json)
    assert call.json["connector"] == "pangolin"
    assert call.json["version"] == 1
    assert call.headers["webhook-id"] == call.json["id"]
    text = "pangolin needs someone. Since 2027-01-15 08:00:05 UTC: the partner does not accept the credentials ("
    assert call.json["text"].startswith(text)
    for user in ("u1", "u2"):
        assert f'"{user}"' not in json.dumps(call.json)
    assert "webhook-signature" not in call.headers


def test_after_a_restart_nothing_is_repeated(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=10)
    told.restart()
    looks(told, for_s=400)

    assert len(receiver.notices) == 1


def test_of_several_workers_one_tells(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    others = [EmbeddedBackend.open(told.state, told.clock) for _ in range(2)]
    hold(told, status=503)
    looks(told, keeper(told), *(keeper(told, other) for other in others), for_s=600)
    for other in others:
        other.close()

    assert receiver.states == [("on_hold", "partner_unavailable")]


@pytest.mark.parametrize("noted", [False, True])
def test_two_that_see_the_same_at_the_same_moment_tell_once(told: World, receiver: NoticeReceiver, noted: bool) -> None:
    """noted: the change was written down by somebody who ended before telling it."""
    warm(told)
    hold(told, status=401)
    if noted:
        keeper(told, stopping=lambda: True).look()
    slow, quick = keeper(told), keeper(told)
    kept = slow._store

    class Overtaken:
        def all(self) -> Any:
            found = kept.all()
            quick.look()
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(kept, name)

    overtaken: Any = Overtaken()
    slow._store = overtaken
    slow.look()

    assert receiver.states == [("credentials_refused", "credentials_refused")]


def test_what_a_process_was_sending_when_it_ended_is_sent_again_under_the_same_id(
    told: World, receiver: NoticeReceiver
) -> None:
    class Ended(BaseException):
        pass

    class Ends(NoticeSending):
        def send(self, *arguments: Any, **named: Any) -> str:
            super().send(*arguments, **named)
            raise Ended

    warm(told)
    hold(told, status=401)
    dying = keeper(told)
    dying._sending = Ends(told.backend.secrets, Configuration(), told.clock)
    with pytest.raises(Ended):
        dying.look()
    looks(told, for_s=50)
    assert len(receiver.notices) == 1, "somebody may still be sending it"
    looks(told, for_s=50)

    assert len(receiver.notices) == 2
    assert len({one["id"] for one in receiver.notices}) == 1


def test_a_receiver_that_does_not_take_it_gets_it_again_until_it_does(
    told: World, receiver: NoticeReceiver, capfd: pytest.CaptureFixture[str]
) -> None:
    warm(told)
    receiver.said = Answer(500, b"out of order")
    hold(told, status=401)
    looks(told, for_s=600)
    assert len(receiver.notices) == 4, "after 1, 2, 4 minutes"
    assert len({one["id"] for one in receiver.notices}) == 1

    receiver.said = Answer(204)
    looks(told, for_s=1200)
    assert len(receiver.notices) == 5
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "notice_" in line]
    assert [(one["event"], one.get("code")) for one in events] == [("notice_not_taken", "status_500"), ("notice_taken", None)]
    assert receiver.url.removeprefix("http://") in events[0]["hint"]
    assert "/told" not in events[0]["hint"], "an address can be a secret"


def test_the_status_says_that_nobody_could_be_told(told: World, receiver: NoticeReceiver) -> None:
    def said() -> list[tuple[bool, str, str]]:
        [connector] = survey(told.backend, told.clock.now()).connectors
        return [(one.act, one.what, one.do) for one in connector.concerns if one.kind == "notice_not_taken"]

    warm(told)
    receiver.said = Answer(500)
    hold(told, status=401)
    looks(told, for_s=50)
    assert said() == [], "it may be taken at the next try"
    looks(told, for_s=50)
    assert said() == [(True, "Nobody could be told how it stands, by webhook, in 2 tries.", "diy connectors notify pangolin")]

    told.publishing().apply(f"{told.document}notify: {{email: ops@shop.example}}\n")
    assert said() == [], "it is no longer to be told there"


def test_one_that_was_not_taken_is_overtaken_by_the_next(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    receiver.said = Answer(500)
    hold(told, status=503)
    looks(told, for_s=200)
    told.faults(status=401)
    looks(told, for_s=400)
    receiver.said = Answer(200)
    before = len(receiver.notices)
    looks(told, for_s=1200)

    assert {one["state"] for one in receiver.notices[:before]} == {"on_hold", "credentials_refused"}
    assert [one["state"] for one in receiver.notices[before:]] == ["credentials_refused"]


@pytest.mark.parametrize("asked", ["off", "paused", "action", "gathering"])
def test_what_somebody_asked_for_is_told_to_nobody(told: World, receiver: NoticeReceiver, asked: str) -> None:
    warm(told)
    if asked == "off":
        told.publishing().set_enabled("pangolin", False)
    elif asked == "paused":
        told.backend.connectors.set_paused("pangolin", True)
    elif asked == "action":
        told.publishing().set_action("pangolin", "Remove", "paused")
    else:
        told.publishing().apply(told.gathering("1h") + NOTIFY.format(url=receiver.url))
    told.accept([("a.1", "u1", "joined")])
    looks(told, for_s=300)

    assert told.held() is not None
    assert receiver.notices == []


def test_a_hold_that_outlives_a_switch_is_told_two_minutes_after_it_is_on(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=503)
    looks(told, for_s=10)
    told.publishing().set_enabled("pangolin", False)
    looks(told, for_s=600)
    told.publishing().set_enabled("pangolin", True)
    looks(told, for_s=110)
    assert receiver.notices == []
    looks(told, for_s=20)

    assert receiver.states == [("on_hold", "partner_unavailable")]


def test_a_connector_that_lacks_something_is_shown_as_incomplete_and_told_to_nobody(
    told: World, receiver: NoticeReceiver
) -> None:
    warm(told)
    hold(told, status=401)
    told.backend.secrets.delete("partner-token")
    looks(told, for_s=300)

    assert receiver.notices == []


@pytest.mark.parametrize("way", ["deleted", "names nobody"])
def test_of_one_that_is_deleted_or_names_nobody_any_more_nothing_is_kept(
    told: World, receiver: NoticeReceiver, way: str
) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=10)
    assert [watch.connector for watch in told.backend.notices.all()] == ["pangolin"]
    if way == "deleted":
        told.backend.audiences.drop("pangolin", told.prefix + "a.1", older_than=None, limit=100, reject=lambda _batches: [])
        told.queue.take()
        while told.work():
            pass
        told.tick(300)
        while told.work():
            pass
        told.publishing().delete("pangolin")
    else:
        told.publishing().apply(told.document)
    keeper(told).look()

    assert told.backend.notices.all() == []
    assert len(receiver.notices) == 1


def test_each_environment_tells_its_own(told: World, receiver: NoticeReceiver) -> None:
    environment = f'environments: {{quiet: {{notify: null}}, other: {{notify: {{webhook: "{receiver.url}/other"}}}}}}\n'
    told.publishing().apply(told.document + NOTIFY.format(url=receiver.url) + environment)
    warm(told)
    hold(told, status=401)
    for name in ("pangolin@quiet", "pangolin@other"):
        refused(told, name)
    looks(told, for_s=LOOK_S)

    assert sorted((call.path, call.json["connector"]) for call in receiver.served) == [
        ("/other", "pangolin@other"),
        ("/told", "pangolin"),
    ]


def refused(world: World, connector: str) -> None:
    """One batch of this connector waits since the partner refuses the credentials."""
    from relay.domain.audience import HoldRequest
    from tests.contract.backends.given import message

    audiences = world.backend.audiences
    turn = audiences.begin_turn(connector, "a.9", position=10_000, message_id=f"m-{connector}")
    batch = message("a.9", "u1", connector=connector)
    audiences.join(turn, batch, HoldRequest("credentials_refused", world.clock.now() + 3600))


def test_a_hold_at_the_connectors_own_pace_is_no_trouble(make_world: Callable[..., World], receiver: NoticeReceiver) -> None:
    world = make_world(rate="{calls: 1, per: 10m}")
    world.publishing().apply(world.document + NOTIFY.format(url=receiver.url))
    world.accept([("a.1", "u0", "joined")])
    world.work()
    world.accept([("a.2", "u1", "joined"), ("a.3", "u1", "joined")])
    looks(world, for_s=600)

    assert world.backend.audiences.held()
    assert receiver.notices == []


@pytest.mark.parametrize(("status", "told_as"), [(401, "credentials_refused"), (503, "partner_unavailable")])
def test_trouble_whose_probes_meet_the_connectors_own_rate_is_told_once_and_so_is_its_end(
    make_world: Callable[..., World], receiver: NoticeReceiver, status: int, told_as: str
) -> None:
    world = make_world(rate="{calls: 3, per: 10m, concurrency: 8}")
    world.publishing().apply(world.document + NOTIFY.format(url=receiver.url))
    world.accept([("a.1", "u0", "joined")])
    looks(world, for_s=700)
    hold(world, status=status)
    looks(world, for_s=3600)
    assert [reason for _, reason in receiver.states] == [told_as]

    world.faults()
    looks(world, for_s=1500)
    assert [reason for _, reason in receiver.states] == [told_as, None]


def test_a_repetition_that_meets_the_connectors_own_rate_hides_no_trouble(
    make_world: Callable[..., World], receiver: NoticeReceiver
) -> None:
    world = make_world(rate="{calls: 2, per: 10m}")
    world.publishing().apply(world.document + NOTIFY.format(url=receiver.url))
    world.accept([("a.1", "u0", "joined")])
    looks(world, for_s=700)
    hold(world, status=503)
    looks(world, for_s=300)

    assert receiver.states == [("on_hold", "partner_unavailable")]


def test_a_partner_that_delivers_again_as_fast_as_the_rate_allows_is_fine(
    make_world: Callable[..., World], receiver: NoticeReceiver
) -> None:
    world = make_world(rate="{calls: 3, per: 10m}", max_items=1)
    world.publishing().apply(world.document + NOTIFY.format(url=receiver.url))
    world.accept([("a.1", "u0", "joined")])
    looks(world, for_s=700)
    hold(world, status=401)
    world.accept([("a.1", f"v{number}", "joined") for number in range(30)])
    looks(world, for_s=100)
    world.faults()
    looks(world, for_s=1500)

    assert world.held() is not None
    assert receiver.states == [("credentials_refused", "credentials_refused"), ("fine", None)]


def test_pausing_the_audience_in_trouble_is_no_recovery(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=10)
    told.backend.audiences.set_paused("pangolin", f"{told.prefix}a.1", True)
    looks(told, for_s=300)
    assert len(receiver.notices) == 1

    told.faults()
    told.accept([("a.2", "u1", "joined")])
    looks(told, for_s=300)
    assert [one["state"] for one in receiver.notices] == ["credentials_refused", "fine"], "the partner took something"


def test_discarding_what_waits_is_told_as_the_end_of_the_hold_and_not_as_a_delivery(
    told: World, receiver: NoticeReceiver
) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, for_s=10)
    told.backend.audiences.drop("pangolin", f"{told.prefix}a.1", older_than=None, limit=100, reject=lambda _batches: [])
    looks(told, for_s=300)

    [_, over] = receiver.notices
    assert (over["state"], over["delivered"]) == ("fine", 0), "what was delivered in the same minute came before"
    assert over["text"].startswith("pangolin is no longer on hold. ")
    assert "Nothing was delivered since it began." in over["text"]


def test_a_receiver_that_is_slow_keeps_no_look_longer_than_one_try(
    told: World, receiver: NoticeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["pangolin", "another", "third"]
    for name in names[1:]:
        told.publishing().apply(told.document.replace("name: pangolin", f"name: {name}") + NOTIFY.format(url=receiver.url))
    for name in names:
        refused(told, name)
    one = keeper(told)
    begun: list[str] = []

    def slowly(_channel: Any, _notify: Any, notice: Any) -> str:
        begun.append(notice.connector)
        told.clock.advance(61)
        raise NotTaken("It did not answer.", code="timeout")

    monkeypatch.setattr(one._sending, "send", slowly)
    one.look()
    assert len(begun) == 1
    assert {watch.told.standing for watch in told.backend.notices.all()} == {"credentials_refused"}, "all is seen"
    one.look()
    one.look()

    assert sorted(begun) == sorted(names), "what nobody has tried comes before a repetition"


def test_looking_never_takes_more_than_a_twentieth_of_the_time(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = keeper(told)
    one.look()
    assert one.pause_s() == LOOK_S
    held = told.backend.audiences.held

    def slowly() -> Any:
        told.clock.advance(3)
        return held()

    monkeypatch.setattr(told.backend.audiences, "held", slowly)
    one.look()

    assert one.pause_s() == 60


def test_nothing_is_begun_once_the_process_is_to_end(told: World, receiver: NoticeReceiver) -> None:
    warm(told)
    hold(told, status=401)
    looks(told, keeper(told, stopping=lambda: True), for_s=10)
    assert receiver.notices == []
    keeper(told).look()

    assert len(receiver.notices) == 1, "the next one tells"


def test_one_connectors_trouble_with_its_notice_costs_the_others_nothing(
    told: World, receiver: NoticeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = told.document.replace("name: pangolin", "name: another") + NOTIFY.format(url=receiver.url).replace("/told", "/b")
    told.publishing().apply(other)
    for connector in ("another", "pangolin"):
        refused(told, connector)
    one = keeper(told)
    send = one._sending.send

    def fails_for_one(channel: Any, notify: Any, notice: Any) -> str:
        if notice.connector == "another":
            raise RuntimeError
        return send(channel, notify, notice)

    monkeypatch.setattr(one._sending, "send", fails_for_one)
    with pytest.raises(RuntimeError):
        one.look()

    assert [call.json["connector"] for call in receiver.served] == ["pangolin"]
