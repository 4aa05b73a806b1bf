"""Connectors as destinations of feeds, in front of real Pangolins: what is offered, who may use an audience how, which rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import requests

from handlers.inbound import InboundView
from relay.domain.audience import NEWEST
from relay.domain.errors import (
    AudienceNotReady,
    Conflict,
    DocumentError,
    Misconfigured,
    NotFound,
    StoreUnavailable,
    TryAgain,
    UsedOtherwise,
)
from relay.domain.feed import FeedRow, OfferedSetting, Use
from relay.domain.message import VERSION, Message, Mutation
from relay.domain.outcome import hash_user
from relay.operating.audiences import described
from relay.pangolin.server import InThread
from tests.promise.world import TOKEN, World
from worker.feeds import Feeds

AUDIENCE = "mics.1.2"
NOBODY = Use("12")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    """Another Pangolin, for a feed that has it as its own."""
    with InThread(tmp_path_factory.mktemp("elsewhere") / "pangolin.db", token=TOKEN) as server:
        yield server


@pytest.fixture
def make(make_world: Callable[..., World]) -> Callable[..., tuple[World, Feeds]]:
    def made(change: Callable[[str], str] = lambda text: text, **options: Any) -> tuple[World, Feeds]:
        world = make_world(**options)
        offering = world.document.replace("audience_id:", "feed_settings: [base_url], audience_id:")
        world.publishing().apply(change(offering))
        return world, Feeds(world.backend, world.clock)

    return made


@pytest.fixture
def both(make: Callable[..., tuple[World, Feeds]]) -> tuple[World, Feeds]:
    return make()


def using(server: InThread, feed: str = "12") -> Use:
    return Use(feed, {"base_url": server.url})


def message(*users: dict[str, str], direction: Any = "joined", audience: str = AUDIENCE) -> Message:
    mutations = tuple(Mutation(index, direction, user) for index, user in enumerate(users))
    return Message(VERSION, "change", "pangolin", audience, "request-1", 1_800_000_000.0, mutations=mutations)


def audiences(server: InThread, reference: str) -> dict[str, str]:
    """ID → name of those at this Pangolin with our reference."""
    answer = requests.get(f"{server.url}/api/audiences?limit=10000", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
    return {one["id"]: one["name"] for one in answer.json()["audiences"] if one["reference"] == reference}


def create(feeds: Feeds, audience: str, use: Use = NOBODY) -> None:
    feeds.create("pangolin", audience, use, name="Spring", request_id="r")


# what there is


def test_a_connector_is_offered_with_all_that_a_feed_must_know(both: tuple[World, Feeds]) -> None:
    found = both[1].offered("pangolin")
    assert (found.name, found.title, found.audience_id, found.connectable) == ("pangolin", "Pangolin", "own", False)
    assert found.settings == (OfferedSetting("base_url", "Address"),)
    assert found.columns == {"Add": ("id",), "Remove": ("id",)}
    assert (found.running, found.missing, found.realms) == (True, (), ())


def test_the_realms_of_all_mappings_are_told(make: Callable[..., tuple[World, Feeds]]) -> None:
    mapping = """{id: 'default(user.agent.one, default(user."agent.t\\"wo", user.agent."th-ree"))'}"""
    _, feeds = make(lambda text: text.replace("{id: lower(user.id)}", mapping, 1))
    assert feeds.offered("pangolin").realms == ("one", 't"wo', "th-ree")


def test_a_setting_that_is_left_to_feeds_is_required_of_them_and_not_missing(make: Callable[..., tuple[World, Feeds]]) -> None:
    _, feeds = make(lambda text: re.sub(r"base_url: \"[^\"]+\"", "", text))
    assert feeds.offered("pangolin").settings == (OfferedSetting("base_url", "Address", required=True),)
    assert feeds.offered("pangolin").missing == ()


def test_a_secret_that_is_not_set_is_missing(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    world.backend.secrets.delete("partner-token")
    assert "partner-token" in " ".join(feeds.offered("pangolin").missing)


def test_all_connectors_are_offered_the_default_one_first(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    for name in ("zebra", "ape"):
        world.publishing().apply(world.document.replace("name: pangolin", f"name: {name}"))
    assert [one.name for one in feeds.connectors()] == ["pangolin", "ape", "zebra"]
    world.backend.connectors.set_default("zebra")
    assert [one.name for one in feeds.connectors()] == ["zebra", "ape", "pangolin"]


def test_an_unknown_connector_is_not_found(both: tuple[World, Feeds]) -> None:
    for ask in (both[1].offered, lambda name: both[1].check(name, NOBODY), lambda name: both[1].rows(name, NOBODY, message())):
        with pytest.raises(NotFound):
            ask("nobody")


def test_what_an_operator_switches_is_known_within_seconds(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    assert feeds.offered("pangolin").running
    world.publishing().set_enabled("pangolin", False)
    world.clock.advance(5)
    assert not feeds.offered("pangolin").running


@pytest.mark.parametrize(("given", "place"), [({"base_url": "here"}, "base_url"), ({"token": "t"}, "token")])
def test_a_feed_that_sets_what_cannot_be_is_told_the_name(both: tuple[World, Feeds], given: dict[str, Any], place: str) -> None:
    with pytest.raises(DocumentError) as caught:
        both[1].check("pangolin", Use("12", given))
    assert [name for name, _ in caught.value.problems] == [place]
    both[1].check("pangolin", Use("12", {"base_url": "http://127.0.0.1:1"}))


def test_the_public_receiver_answers_for_a_connector_of_feeds_as_for_one_that_is_not_there(
    make: Callable[..., tuple[World, Feeds]],
) -> None:
    world, feeds = make(lambda text: text.replace("hmac_secret: dmp-hmac", "source: mediarithmics"))
    world.view.close()
    world.view = InboundView(world.backend.inbound, reread_s=3600)
    answer = world.post("ADD_TO_AUDIENCE", b"{}")
    assert (answer.status_code, b"no connector" in bytes(answer.body).lower()) == (404, True), answer.body
    assert feeds.offered("pangolin").missing == ()


# rows


def test_a_mutation_that_no_mapping_accepts_has_no_row(both: tuple[World, Feeds]) -> None:
    found = both[1].rows("pangolin", NOBODY, message({"id": "Ada"}, {"email": "ada@example.org"}, {"id": "x", "email": "y"}))
    assert found == [
        {"Add": FeedRow({"id": "ada"}, {"id": "ada"})},
        {},
        {"Add": FeedRow({"id": "x"}, {"id": "x"})},
    ]
    assert both[1].rows("pangolin", NOBODY, message({"id": "Ada"}, direction="left"))[0].keys() == {"Remove"}


def test_a_mapping_that_fails_and_what_cannot_be_read_have_no_row(make: Callable[..., tuple[World, Feeds]]) -> None:
    _, feeds = make(lambda text: text.replace("lower(user.id)", "\"default(lower(fields.Number), 'x')\"", 1))
    found = feeds.rows(
        "pangolin",
        NOBODY,
        msgspec.structs.replace(
            message(),
            mutations=(Mutation(0, user={"id": "u"}, fields={"Number": 1}), Mutation(1, unreadable="torn")),
        ),
    )
    assert found == [{}, {}]


@pytest.mark.parametrize("how", ["state", "document"])
def test_an_action_that_is_switched_off_makes_rows_all_the_same(make: Callable[..., tuple[World, Feeds]], how: str) -> None:
    off = "operation: add, enabled: false," if how == "document" else "operation: add,"
    world, feeds = make(lambda text: text.replace("operation: add,", off))
    if how == "state":
        world.publishing().set_action("pangolin", "Add", "skipped")
    assert feeds.rows("pangolin", NOBODY, message({"id": "u"})) == [{"Add": FeedRow({"id": "u"}, {"id": "u"})}]


def test_rows_ask_nobody_need_no_secret_and_look_at_the_state_every_few_seconds(
    both: tuple[World, Feeds], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, feeds = both
    before = len(_calls(world))
    looks: list[str] = []
    state = world.backend.connectors.state

    def look(name: str) -> Any:
        looks.append(name)
        return state(name)

    def gone(*_: Any) -> Any:
        raise StoreUnavailable("Nothing is to be looked at.")

    monkeypatch.setattr(world.backend.connectors, "state", look)
    monkeypatch.setattr(world.backend.secrets, "get", gone)
    monkeypatch.setattr(world.backend.audiences, "get", gone)
    for _ in range(20):
        assert feeds.rows("pangolin", Use("12", {"base_url": "http://127.0.0.1:9"}), message({"id": "u"}))[0]
        world.clock.advance(0.2)
    assert looks == ["pangolin"]
    world.clock.advance(5)
    feeds.rows("pangolin", NOBODY, message({"id": "u"}))
    assert looks == ["pangolin"] * 2
    assert len(_calls(world)) == before


def _calls(world: World) -> list[Any]:
    return list(requests.get(f"{world.pangolin.url}/api/calls", headers=world.authorization, timeout=5).json())


def test_an_action_that_is_limited_by_name_makes_rows_for_audiences_of_that_name(
    make: Callable[..., tuple[World, Feeds]],
) -> None:
    world, feeds = make(lambda text: text.replace("operation: add,", "operation: add, audiences: [Spring*],"))
    audience = world.prefix + AUDIENCE
    assert feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience)) == [{}]
    create(feeds, audience)
    world.clock.advance(5)
    assert feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience))[0].keys() == {"Add"}


# audiences


def test_an_audience_is_made_under_its_segments_name_once(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    for _ in range(2):
        create(feeds, audience)
    assert list(audiences(world.pangolin, f"pangolin/{audience}").values()) == ["Spring"]
    record = world.backend.audiences.get("pangolin", audience)
    assert record is not None
    assert (record.use, record.status, record.name) == (NOBODY, "ready", "Spring")
    assert feeds.key_of("pangolin", audience) == audience


def test_each_feed_makes_its_audience_where_its_own_settings_say(both: tuple[World, Feeds], elsewhere: InThread) -> None:
    world, feeds = both
    here, there = world.prefix + "mics.1.2", world.prefix + "mics.1.3"
    create(feeds, here)
    create(feeds, there, using(elsewhere, "13"))
    assert (len(audiences(world.pangolin, f"pangolin/{here}")), len(audiences(elsewhere, f"pangolin/{here}"))) == (1, 0)
    assert (len(audiences(world.pangolin, f"pangolin/{there}")), len(audiences(elsewhere, f"pangolin/{there}"))) == (0, 1)


def test_a_turn_that_must_make_the_audience_makes_it_as_its_feed_uses_it(both: tuple[World, Feeds], elsewhere: InThread) -> None:
    world, _ = both
    audience = world.prefix + AUDIENCE
    world.backend.audiences.set_use("pangolin", audience, using(elsewhere))
    running = world.worker.catalog.get(world.backend.connectors.state("pangolin"))
    world.worker.creation.ensure(running, audience, name="Spring")
    assert len(audiences(elsewhere, f"pangolin/{audience}")) == 1


def test_the_use_is_written_before_the_partner_is_called(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    world.faults(status=503)
    with pytest.raises(TryAgain):
        create(feeds, audience, using(world.pangolin))
    record = world.backend.audiences.get("pangolin", audience)
    assert record is not None
    assert record.use == using(world.pangolin)


def test_a_second_feed_with_other_settings_is_refused_and_the_first_may_change_its_own(
    both: tuple[World, Feeds], elsewhere: InThread
) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    with pytest.raises(Conflict, match="feed 12"):
        create(feeds, audience, using(elsewhere, "13"))
    assert not audiences(elsewhere, f"pangolin/{audience}")
    create(feeds, audience, Use("13"))
    create(feeds, audience, using(world.pangolin, "12"))
    record = world.backend.audiences.get("pangolin", audience)
    assert record is not None
    assert record.use == using(world.pangolin, "12")


def test_a_feed_that_does_not_fit_its_connector_any_more_is_named(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience, using(world.pangolin, "4711"))
    world.publishing().apply(world.document)  # it offers nothing any more
    with pytest.raises(Misconfigured, match=r"4711.*base_url") as caught:
        create(feeds, audience, using(world.pangolin, "4711"))
    assert caught.value.code == "feed_settings"


@pytest.mark.parametrize("trouble", ["off", "incomplete"])
def test_nothing_is_made_through_a_connector_that_does_not_run(both: tuple[World, Feeds], trouble: str) -> None:
    world, feeds = both
    if trouble == "off":
        world.publishing().set_enabled("pangolin", False)
    else:
        world.backend.secrets.delete("partner-token")
    with pytest.raises(Conflict):
        create(feeds, world.prefix + AUDIENCE)
    assert world.backend.audiences.get("pangolin", world.prefix + AUDIENCE) is None


def test_a_connector_whose_address_only_feeds_set_makes_audiences(make: Callable[..., tuple[World, Feeds]]) -> None:
    world, feeds = make(lambda text: re.sub(r"base_url: \"[^\"]+\"", "", text))
    create(feeds, world.prefix + AUDIENCE, using(world.pangolin))
    assert audiences(world.pangolin, f"pangolin/{world.prefix + AUDIENCE}")
    with pytest.raises(Conflict, match="Address"):
        create(feeds, world.prefix + "mics.1.3")


def test_an_audience_that_cannot_take_members_yet_is_there_all_the_same(
    both: tuple[World, Feeds], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    ready = False
    monkeypatch.setattr("adapters.pangolin.Pangolin.is_ready", lambda *_: ready)
    create(feeds, audience)
    with pytest.raises(AudienceNotReady):
        feeds.require_ready("pangolin", audience, NOBODY)
    ready = True
    feeds.require_ready("pangolin", audience, NOBODY)


def test_an_audience_that_another_is_still_making_is_not_there_yet(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    world.backend.audiences.claim_creation("pangolin", audience, owner="another", for_s=600, name=None, customer=None)
    with pytest.raises(AudienceNotReady):
        create(feeds, audience)
    world.clock.advance(600)
    create(feeds, audience)


def test_an_audience_that_takes_members_is_connected_though_its_connector_is_off(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    world.publishing().set_enabled("pangolin", False)
    feeds.require_ready("pangolin", audience, NOBODY)


def test_an_audience_that_was_never_announced_is_not_found_and_one_that_was_is_made(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    with pytest.raises(NotFound):
        feeds.require_ready("pangolin", audience, NOBODY)
    world.faults(status=503)
    with pytest.raises(TryAgain):
        create(feeds, audience)
    world.faults()
    feeds.require_ready("pangolin", audience, NOBODY)
    assert list(audiences(world.pangolin, f"pangolin/{audience}").values()) == ["Spring"]


def test_where_audiences_have_the_partners_id_they_are_queued_under_it(
    make: Callable[..., tuple[World, Feeds]], elsewhere: InThread
) -> None:
    world, feeds = make(mode="partner")
    audience = world.prefix + AUDIENCE
    assert feeds.key_of("pangolin", audience) is None
    create(feeds, audience, using(elsewhere))
    key = feeds.key_of("pangolin", audience)
    assert key is not None
    assert list(audiences(elsewhere, f"pangolin/{audience}")) == [key]
    entry = world.backend.audiences.get("pangolin", key)
    assert entry is not None
    assert (entry.use, entry.partner_id, entry.name) == (using(elsewhere), key, "Spring")
    feeds.require_ready("pangolin", audience, using(elsewhere))
    with pytest.raises(Conflict, match="ID at the partner"):
        create(feeds, audience, Use("12"))
    assert world.backend.audiences.get("pangolin", key) == entry


def test_what_a_mapping_says_of_the_audience_is_what_the_turn_would_say(make: Callable[..., tuple[World, Feeds]]) -> None:
    mapping = "join('/', [audience.id, audience.name, audience.partner_id])"
    world, feeds = make(lambda text: text.replace("lower(user.id)", f'"{mapping}"', 1), mode="partner")
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    key = feeds.key_of("pangolin", audience)
    (row,) = feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience))
    assert row["Add"].prepared == {"id": f"{key}/Spring/{key}"}


def test_feeds_of_one_connector_are_delivered_and_looked_at_each_with_its_own_settings(
    both: tuple[World, Feeds], elsewhere: InThread
) -> None:
    world, feeds = both
    here, there = world.prefix + "mics.1.2", world.prefix + "mics.1.3"
    create(feeds, here)
    create(feeds, there, using(elsewhere, "13"))
    world.backend.queue.publish([message({"id": "h"}, audience=here), message({"id": "t1"}, {"id": "t2"}, audience=there)])
    while world.work():
        pass
    records = {one: world.backend.audiences.get("pangolin", one) for one in (here, there)}
    assert all(one is not None and one.hold is None for one in records.values())
    sizes = [described(world.backend, one, world.clock)["size"] for one in records.values() if one is not None]
    assert sizes == [1, 2]
    assert feeds.look_at("pangolin", there)["partner"]["size"] == 2


# looking


def test_troubleshooting_shows_three_places_and_nobody_in_clear(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    world.faults(reject_users=["user-2"])
    world.backend.queue.publish([message({"id": "user-1"}, {"id": "user-2"}, audience=audience)])
    while world.work():
        pass
    world.backend.connectors.set_paused("pangolin", True)
    waits = msgspec.structs.replace(message({"id": "user-3"}, direction="left", audience=audience), request_id="request-2")
    world.backend.queue.publish([waits])
    while world.work():
        pass
    found = feeds.look_at("pangolin", audience)
    assert found["received"]["settled"] == {"delivered": 1, "rejected": 1}
    assert (found["stored"]["batches"], found["stored"]["users"]) == (1, 1)
    assert found["stored"]["sample"] == [{"user": hash_user("user-3"), "direction": "left"}]
    assert (found["partner"]["name"], found["partner"]["size"]) == ("Spring", 1)
    assert "does not show" in found["partner"]["note"]
    (rejection,) = found["last_rejections"]
    assert (rejection["user"], rejection["code"], rejection["action"]) == (hash_user("user-2"), "user_rejected", "Add")
    assert found["hold"]["reason"] == "paused"
    assert "user-" not in msgspec.json.encode(found).decode()


def test_what_is_in_the_journal_is_shown_as_hashes(make: Callable[..., tuple[World, Feeds]]) -> None:
    world, feeds = make(journal="1d")
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    world.backend.queue.publish([msgspec.structs.replace(message({"id": "u1"}, {"id": "u2"}, audience=audience), journal_days=1)])
    found = feeds.look_at("pangolin", audience)["received"]
    assert found["users_in_24h"] == 2
    assert found["sample"] == [{"user": hash_user(user), "direction": "joined"} for user in ("u1", "u2")]


def test_a_partner_that_cannot_be_asked_hides_nothing_else(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience)
    world.faults(status=503)
    world.backend.queue.publish([message({"id": "user-1"}, audience=audience)])
    while world.work():
        pass
    found = feeds.look_at("pangolin", audience)
    assert found["partner"]["problem"]
    assert (found["hold"]["reason"], found["received"]["settled"]) == ("partner_unavailable", {})
    world.faults()
    world.backend.connectors.not_before("pangolin", world.clock.now() + 60, reason="come_back_later", detail="")
    before = len(_calls(world))
    assert "later" in feeds.look_at("pangolin", audience)["partner"]["problem"]
    assert len(_calls(world)) == before


def test_of_an_audience_that_nobody_announced_nothing_is_known(both: tuple[World, Feeds]) -> None:
    found = both[1].look_at("pangolin", "mics.9.9")
    assert found["partner"]["exists"] is False
    assert (found["hold"], found["last_rejections"]) == (None, [])


# the use of an audience, before anything is delivered


def test_an_update_before_its_creation_goes_where_the_feed_says(both: tuple[World, Feeds], elsewhere: InThread) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    feeds.agree("pangolin", audience, using(elsewhere))
    assert world.backend.audiences.get("pangolin", audience).use == using(elsewhere)
    feeds.agree("pangolin", audience, using(elsewhere))
    create(feeds, audience, using(elsewhere))
    with pytest.raises(UsedOtherwise):
        feeds.agree("pangolin", audience, Use("another"))


def test_a_feed_without_settings_of_its_own_writes_nothing_before_its_creation(both: tuple[World, Feeds]) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    feeds.agree("pangolin", audience, NOBODY)
    assert world.backend.audiences.get("pangolin", audience) is None


def test_a_feed_that_was_refused_can_neither_connect_nor_deliver(both: tuple[World, Feeds], elsewhere: InThread) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience, using(elsewhere))
    another = Use("another")
    with pytest.raises(UsedOtherwise):
        create(feeds, audience, another)
    with pytest.raises(UsedOtherwise):
        feeds.require_ready("pangolin", audience, another)
    with pytest.raises(UsedOtherwise):
        feeds.agree("pangolin", audience, another)


def test_a_feed_whose_settings_are_changed_has_its_audience_made_anew_at_the_new_place(
    both: tuple[World, Feeds], elsewhere: InThread
) -> None:
    world, feeds = both
    audience = world.prefix + AUDIENCE
    create(feeds, audience, using(world.pangolin))
    feeds.agree("pangolin", audience, using(elsewhere))
    create(feeds, audience, using(elsewhere))
    assert audiences(elsewhere, f"pangolin/{audience}")
    record = world.backend.audiences.get("pangolin", audience)
    assert record.partner_id in audiences(elsewhere, f"pangolin/{audience}")
    assert record.version == NEWEST, "a program that does not know uses must not write it back without"


def test_rows_that_are_handed_out_wait_for_the_partners_id_where_they_need_it(make: Callable[..., tuple[World, Feeds]]) -> None:
    world, feeds = make(lambda text: text.replace("lower(user.id)", "audience.partner_id", 1))
    audience = world.prefix + AUDIENCE
    assert feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience))
    with pytest.raises(AudienceNotReady):
        feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience), handed_out=True)
    create(feeds, audience)
    (row,) = feeds.rows("pangolin", NOBODY, message({"id": "u"}, audience=audience), handed_out=True)
    assert row["Add"].prepared["id"] == world.backend.audiences.get("pangolin", audience).partner_id
