"""Audiences made at the partner: by one creator at a time, within the rate and within the turn's time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import requests

from adapters.registry import describe
from relay.connectors.publishing import Publishing
from relay.domain.audience import Audience
from relay.domain.errors import AudienceNotReady, ConfigurationError, CredentialsRefused, Misconfigured, TryAgain
from tests.promise.world import TOKEN, World
from worker.budget import Budget
from worker.calls import Postponed


def ensure(world: World, audience: str = "a.1", **options: Any) -> Audience:
    running = world.worker.catalog.get(world.backend.connectors.state("pangolin"))
    return world.worker.creation.ensure(running, world.prefix + audience, name="Spring", **options)


def for_source(world: World, audience: str, **options: Any) -> str:
    return world.worker.creation.for_source(
        "pangolin", world.prefix + audience, name="Spring", customer=None, mode="partner", **options
    )


def claim(world: World, *, for_s: float) -> None:
    """Somebody else creates the audience."""
    world.backend.audiences.claim_creation(
        "pangolin", world.prefix + "a.1", owner="somebody else", for_s=for_s, name=None, customer=None
    )


def asked(world: World) -> list[dict[str, Any]]:
    """All calls that have reached the partner."""
    answer = requests.get(f"{world.pangolin.url}/api/calls", headers=world.authorization, timeout=5)
    listed: list[dict[str, Any]] = answer.json()
    return listed


def test_one_who_waits_for_another_creator_only_reads(world: World) -> None:
    claim(world, for_s=60)
    with pytest.raises(AudienceNotReady) as refused:
        ensure(world, patience_s=30)
    assert refused.value.look_after_s == pytest.approx(30, abs=1), "until the claim ends"
    assert world.effects.names.count("before claim_creation") == 1


def test_a_claim_that_ends_while_one_waits_is_taken_over(world: World) -> None:
    claim(world, for_s=5)
    assert ensure(world, patience_s=30).status == "ready"


def test_one_who_waits_finds_what_the_other_has_created(world: World) -> None:
    claim(world, for_s=60)
    reads: list[float] = []
    real = world.backend.audiences.get

    def get(connector: str, audience: str) -> Audience | None:
        reads.append(world.clock.now())
        if len(reads) == 3:
            world.backend.audiences.created(connector, audience, partner_id="made-by-the-other", status="ready")
        found: Audience | None = real(connector, audience)
        return found

    world.tapped.audiences.get = get
    assert ensure(world, patience_s=30).partner_id == "made-by-the-other"
    assert len(reads) == 3


def test_after_refused_credentials_the_secret_is_read_again_at_once(world: World) -> None:
    publishing = Publishing(world.backend, describe, "test")
    publishing.set_secret("partner-token", "not the token")
    with pytest.raises(CredentialsRefused):
        ensure(world)
    publishing.set_secret("partner-token", TOKEN)
    assert ensure(world).status == "ready"


def test_a_secret_that_cannot_be_read_leaves_no_claim_behind(world: World) -> None:
    running = world.worker.catalog.get(world.backend.connectors.state("pangolin"))
    secret = world.state / "secrets" / "partner-token"
    intact = secret.read_bytes()
    secret.write_bytes(b"")
    with pytest.raises(ConfigurationError):
        world.worker.creation.ensure(running, world.prefix + "a.1")
    secret.write_bytes(intact)
    assert ensure(world, patience_s=0).status == "ready"


def test_a_rate_that_is_used_up_for_a_moment_is_waited_for(make_world: Callable[..., World]) -> None:
    world = make_world(mode="partner", rate="{calls: 1, per: 1s}")
    ids = [for_source(world, f"a.{number}") for number in range(5)]
    assert len(set(ids)) == 5


def test_a_rate_that_is_used_up_for_long_is_told_with_its_time(make_world: Callable[..., World]) -> None:
    world = make_world(mode="partner", rate="{calls: 2, per: 10m}")
    for_source(world, "a.1")
    for _ in range(2):
        with pytest.raises(TryAgain) as refused:
            for_source(world, "a.2")
        assert refused.value.after_s is not None
        assert refused.value.after_s > 300
    world.clock.advance(600)
    assert for_source(world, "a.2")


def test_the_rate_is_not_waited_for_beyond_the_patience(make_world: Callable[..., World]) -> None:
    world = make_world(rate="{calls: 1, per: 2s}")
    ensure(world)
    with pytest.raises(TryAgain):
        ensure(world, "a.2", patience_s=0.5)


@pytest.mark.parametrize("known", [False, True], ids=["to be created", "perhaps not ready"])
@pytest.mark.parametrize(("seconds", "stopping"), [(1.0, False), (120.0, True)], ids=["no time left", "stopping"])
def test_no_call_begins_that_the_turn_has_no_time_for(world: World, known: bool, seconds: float, stopping: bool) -> None:
    if known:
        world.backend.audiences.created("pangolin", world.prefix + "a.1", partner_id="p1", status="creating")
    before = len(asked(world))
    with pytest.raises(Postponed):
        ensure(world, budget=Budget(world.clock, seconds, stopping=lambda: stopping))
    assert len(asked(world)) == before


def test_nobody_is_waited_for_when_the_worker_stops(world: World) -> None:
    claim(world, for_s=60)
    with pytest.raises(Postponed):
        ensure(world, budget=Budget(world.clock, stopping=lambda: True))


def test_one_who_was_frozen_before_the_call_does_not_make_it_and_leaves_no_claim_behind(world: World) -> None:
    def on(_count: int, name: str) -> None:
        if name == "after admit":
            world.clock.advance(200)

    world.effects.on = on
    before = len(asked(world))
    with pytest.raises(Postponed):
        ensure(world, budget=Budget(world.clock))
    assert len(asked(world)) == before
    world.effects.on = None
    assert ensure(world, patience_s=0, budget=Budget(world.clock)).status == "ready"


def test_a_turn_that_meets_a_rate_used_up_for_long_is_postponed_until_there_is_room(make_world: Callable[..., World]) -> None:
    world = make_world(rate="{calls: 2, per: 10m}")
    ensure(world)
    with pytest.raises(Postponed) as postponed:
        ensure(world, "a.2", budget=Budget(world.clock))
    assert postponed.value.due_at - world.clock.now() > 300
    assert postponed.value.crowded


# one list for two audiences
def occupied(world: World) -> str:
    """`a.1` is what the partner answers when `a.2` is created. Returns the partner's ID."""
    reference = f"pangolin/{world.prefix}a.2"
    body = {"name": "Everybody", "reference": reference}
    answer = requests.post(f"{world.pangolin.url}/api/audiences", json=body, headers=world.authorization, timeout=5)
    partner_id = str(answer.json()["id"])
    world.backend.audiences.link("pangolin", world.prefix + "a.1", partner_id=partner_id)
    return partner_id


def test_an_audience_that_would_be_another_one_at_the_partner_is_not_created_and_its_users_wait(world: World) -> None:
    occupied(world)
    world.accept([("a.2", "u1", "joined")])
    world.work()
    audience = world.backend.audiences.get("pangolin", world.prefix + "a.2")
    assert audience is not None
    assert (audience.status, audience.partner_id, audience.claim_by) == ("failed", None, "")
    assert audience.hold is not None
    assert (audience.hold.reason, audience.hold.items) == ("misconfigured", 1)
    for told in (audience.error, audience.hold.detail):
        assert f"'{world.prefix}a.1'" in told, "the other one is named"
        assert "another name" in told, "what to do is said"
        assert "`list`" in told
    assert world.members() == {world.prefix + "a.2": set()}, "nobody joined the list of the other one"

    world.backend.audiences.link("pangolin", world.prefix + "a.1", partner_id="elsewhere")
    world.drain()
    assert world.members() == {world.prefix + "a.2": {"u1"}}


def test_the_dmp_is_told_which_other_audience_it_would_be(world: World) -> None:
    occupied(world)
    body = msgspec.json.encode({"Type": "CREATE_AUDIENCE", "Name": "Everybody", "Audience": world.prefix + "a.2"})
    answer = world.post("CREATE_AUDIENCE", body)
    assert answer.status_code == 502
    told = msgspec.json.decode(answer.body)["error"]
    assert f"'{world.prefix}a.1'" in told
    assert "Give this audience another name" in told


def test_in_mode_partner_two_audiences_do_not_get_the_same_entry(make_world: Callable[..., World]) -> None:
    world = make_world(mode="partner")
    partner_id = occupied(world)
    with pytest.raises(Misconfigured, match="another name"):
        for_source(world, "a.2")
    world.backend.audiences.link("pangolin", world.prefix + "a.1", partner_id="elsewhere")
    assert for_source(world, "a.2") == partner_id == for_source(world, "a.2"), "and the same one may ask again"
    entry = world.backend.audiences.get("pangolin", partner_id)
    assert entry is not None
    assert (entry.partner_id, entry.status) == (partner_id, "ready")
