"""Of which changes somebody is told, and when."""

from __future__ import annotations

import pytest

from relay.domain.audience import NEEDS_SOMEONE, HoldReason
from relay.domain.notice import (
    STANDS_S,
    Notice,
    Situation,
    Standing,
    Untaken,
    Watch,
    claimed,
    look,
    retry_s,
    taken,
    told,
    unwatched,
)

BEGINNING = 1_800_000_000.0

FINE: tuple[Standing, HoldReason | None] = ("fine", None)
DOWN: tuple[Standing, HoldReason | None] = ("on_hold", "partner_unavailable")
LATER: tuple[Standing, HoldReason | None] = ("on_hold", "come_back_later")
REFUSED: tuple[Standing, HoldReason | None] = ("credentials_refused", "credentials_refused")
WRONG: tuple[Standing, HoldReason | None] = ("needs_someone", "misconfigured")
GONE: tuple[Standing, HoldReason | None] = ("needs_someone", "audience_gone")
UNANNOUNCED: tuple[Standing, HoldReason | None] = ("needs_someone", "audience_not_ready")

Looks = list[tuple[float, tuple[Standing, HoldReason | None]]]
"""(second, how it stands then)"""

CASES: dict[str, tuple[Looks, list[tuple[float, Standing]]]] = {
    "nothing is told of what is fine": ([(0, FINE), (500, FINE)], []),
    "a hold is told once it has stood for two minutes": (
        [(0, DOWN), (60, DOWN), (119, DOWN), (120, DOWN), (125, DOWN), (9000, DOWN)],
        [(120, "on_hold")],
    ),
    "a hold that passes before is not": ([(0, DOWN), (115, DOWN), (118, FINE), (400, FINE)], []),
    "one that comes and goes is told to nobody": (
        [(second, DOWN if second % 60 < 30 else FINE) for second in range(0, 3600, 5)],
        [],
    ),
    "what passes by itself may pass for another reason": (
        [(0, DOWN), (60, LATER), (120, DOWN), (300, LATER), (600, DOWN)],
        [(120, "on_hold")],
    ),
    "refused credentials are told at once, and once": (
        [(0, REFUSED), (5, REFUSED), (4000, REFUSED)],
        [(0, "credentials_refused")],
    ),
    "a hold whose reason becomes refused credentials is another state": (
        [(0, DOWN), (120, DOWN), (200, REFUSED), (205, REFUSED)],
        [(120, "on_hold"), (200, "credentials_refused")],
    ),
    "so is one that needs somebody for another reason": (
        [(0, WRONG), (5, GONE), (10, GONE)],
        [(0, "needs_someone"), (5, "needs_someone")],
    ),
    "an audience that may yet be announced is waited for": (
        [(0, UNANNOUNCED), (115, UNANNOUNCED), (120, UNANNOUNCED)],
        [(120, "needs_someone")],
    ),
    "recovery is told once, when it has stood for two minutes": (
        [(0, REFUSED), (100, FINE), (215, FINE), (220, FINE), (225, FINE), (9000, FINE)],
        [(0, "credentials_refused"), (220, "fine")],
    ),
    "a recovery that does not last is not told, nor the same trouble again": (
        [(0, REFUSED), (100, FINE), (150, REFUSED), (900, REFUSED)],
        [(0, "credentials_refused")],
    ),
    "the next trouble is told again": (
        [(0, REFUSED), (10, FINE), (130, FINE), (200, REFUSED)],
        [(0, "credentials_refused"), (130, "fine"), (200, "credentials_refused")],
    ),
    "a clock that went back delays what was seen and repeats nothing": (
        [(1000, DOWN), (0, DOWN), (100, DOWN), (120, DOWN), (130, DOWN)],
        [(120, "on_hold")],
    ),
}


@pytest.mark.parametrize(("looks", "expected"), CASES.values(), ids=list(CASES))
def test_each_change_is_told_once(looks: Looks, expected: list[tuple[float, Standing]]) -> None:
    watch, found = Watch(1, "shop"), []
    for second, (standing, reason) in looks:
        after = look(watch, standing, reason, BEGINNING + second)
        if after.told != watch.told:
            found.append((second, after.told.standing))
        watch = after

    assert found == expected


@pytest.mark.parametrize("reason", sorted(NEEDS_SOMEONE))
def test_what_needs_a_person_is_told_at_once(reason: HoldReason) -> None:
    assert look(Watch(1, "shop"), "needs_someone", reason, BEGINNING).told.reason == reason


def test_trouble_lasts_from_its_beginning_through_all_of_its_states() -> None:
    watch = Watch(1, "shop")
    for second, (standing, reason) in [(0, DOWN), (120, DOWN), (200, REFUSED), (300, DOWN), (420, DOWN), (500, FINE)]:
        watch = look(watch, standing, reason, BEGINNING + second)
    assert watch.trouble_since == BEGINNING

    over = look(watch, "fine", None, BEGINNING + 620)
    assert (over.told, over.trouble_since) == (Situation("fine", None, BEGINNING + 500), 0)


def test_while_it_is_switched_off_no_time_counts() -> None:
    seen = look(Watch(1, "shop"), *DOWN, BEGINNING)
    again = look(unwatched(seen), *DOWN, BEGINNING + 10 * STANDS_S)

    assert again.told == Situation()
    assert again.seen == Situation("on_hold", "partner_unavailable", BEGINNING + 10 * STANDS_S)


def test_trouble_that_was_over_before_it_was_switched_off_ended_then() -> None:
    watch = Watch(1, "shop")
    for second, (standing, reason) in [(0, REFUSED), (33, FINE)]:
        watch = look(watch, standing, reason, BEGINNING + second)
    again = look(unwatched(watch), *FINE, BEGINNING + 10 * STANDS_S)

    assert (again.told, again.trouble_since) == (Situation("fine", None, BEGINNING + 33), 0)


def a_notice(identifier: str) -> Notice:
    return Notice(identifier, "shop", BEGINNING, Situation("on_hold", "partner_unavailable", BEGINNING))


def test_a_notice_is_sent_until_each_has_taken_it() -> None:
    watch = told(Watch(1, "shop"), a_notice("n1"), ("webhook", "email"))
    watch = claimed(watch, "webhook", until=BEGINNING + 60)
    assert watch.untaken == (Untaken("webhook", 1, BEGINNING + 60), Untaken("email"))

    assert taken(watch, "n1", "webhook").untaken == (Untaken("email"),)
    assert taken(taken(watch, "n1", "webhook"), "n1", "email").untaken == ()


def test_a_newer_notice_overtakes_the_one_that_nobody_took() -> None:
    watch = told(claimed(told(Watch(1, "shop"), a_notice("n1"), ("webhook",)), "webhook", until=BEGINNING + 60), a_notice("n2"),
                 ("webhook",))  # fmt: skip

    assert watch.untaken == (Untaken("webhook"),)
    assert taken(watch, "n1", "webhook") == watch, "the older one, taken late"


def test_it_is_tried_again_after_a_minute_doubling_to_an_hour() -> None:
    assert [retry_s(tries) for tries in (1, 2, 3, 6, 7, 40)] == [60, 120, 240, 1920, 3600, 3600]
