"""What one call's trouble means for all calls of its connector."""

from __future__ import annotations

import pytest

from relay.domain.errors import (
    AudienceGone,
    AudienceNotReady,
    BatchRefused,
    CredentialsRefused,
    PartnerError,
    TryAgain,
)
from tests.promise.world import TOKEN, World
from tests.unit.worker.given import members, warm
from worker.account import remember


def with_wish(error: PartnerError, after_s: float) -> PartnerError:
    """Of an answer with Retry-After."""
    error.after_s = after_s
    return error


@pytest.mark.parametrize(
    ("error", "reason", "for_s"),
    [
        (TryAgain("Later.", after_s=90, account=True), "come_back_later", 90),
        (CredentialsRefused("No token.", account=True), "credentials_refused", 30),
        (TryAgain("Later.", after_s=90), None, 0),
        (TryAgain("Later.", account=True), None, 0),
        (CredentialsRefused("Not this one."), None, 0),
        (BatchRefused("Bad."), None, 0),
        (with_wish(BatchRefused("Bad."), 90), "come_back_later", 90),
        (with_wish(AudienceGone("Gone."), 90), "come_back_later", 90),
        (with_wish(CredentialsRefused("Not this one."), 90), "come_back_later", 90),
        (with_wish(CredentialsRefused("No token.", account=True), 90), "come_back_later", 90),
        (with_wish(CredentialsRefused("No token.", account=True), 10), "credentials_refused", 30),
        (AudienceNotReady("Being created.", look_after_s=90), None, 0),
    ],
)
def test_only_what_concerns_the_whole_account_keeps_all_calls_back(
    world: World, error: PartnerError, reason: str | None, for_s: float
) -> None:
    remember(error, world.backend.connectors, "pangolin", world.clock)
    state = world.backend.connectors.state("pangolin")
    if reason is None:
        assert state.not_before == 0
    else:
        assert (state.not_before_reason, state.not_before_detail) == (reason, error.hint)
        assert state.not_before == pytest.approx(world.clock.now() + for_s)


def test_while_the_partner_gives_no_token_every_audience_waits_without_a_call_and_goes_on_with_a_new_secret(
    world: World,
) -> None:
    warm(world)
    remember(CredentialsRefused("No token.", account=True), world.backend.connectors, "pangolin", world.clock)
    before = len(world.calls())
    for audience in ("a.1", "a.2"):
        world.accept([(audience, "u1", "joined")])
    while world.work():
        pass
    waiting = [one.hold for one in world.backend.audiences.held() if one.hold]
    assert [(hold.reason, hold.detail) for hold in waiting] == [("credentials_refused", "No token.")] * 2
    assert len(world.calls()) == before

    world.publishing().set_secret("partner-token", TOKEN)
    world.tick(1)
    while world.work():
        pass
    assert members(world) == {"u0", "u1"}
    assert members(world, "a.2") == {"u1"}
