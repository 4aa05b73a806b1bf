"""Of what somebody was told is kept by conditional writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.backends.embedded import EmbeddedBackend
from relay.backends.interfaces import Notices
from relay.domain.clock import SystemClock
from relay.domain.notice import VERSION, Notice, Situation, Untaken, Watch

DOWN = Situation("on_hold", "partner_unavailable", 1_800_000_000.0)
NOTICE = Notice("n1", "shop", DOWN.since, DOWN, "down", batches=3)
TOLD = Watch(VERSION, "shop", DOWN, trouble_since=DOWN.since, notice=NOTICE, untaken=(Untaken("webhook", 2, 9.0),))


@pytest.fixture
def notices(backend: EmbeddedBackend) -> Notices:
    return backend.notices


def test_a_record_is_kept_whole_for_every_process(notices: Notices, state_dir: Path) -> None:
    assert notices.replace("shop", None, TOLD)
    other = EmbeddedBackend.open(state_dir, SystemClock())

    assert other.notices.get("shop") == TOLD
    assert other.notices.all() == [TOLD]
    assert other.notices.get("another") is None
    other.close()


def test_of_two_that_change_the_same_record_one_does(notices: Notices) -> None:
    assert notices.replace("shop", None, TOLD)
    assert not notices.replace("shop", None, replace(TOLD, untaken=()))
    assert notices.replace("shop", TOLD, replace(TOLD, untaken=()))
    assert not notices.replace("shop", TOLD, replace(TOLD, told=Situation()))
    assert not notices.replace("another", TOLD, TOLD)

    assert notices.all() == [replace(TOLD, untaken=())]


def test_a_record_that_changed_is_not_deleted(notices: Notices) -> None:
    notices.replace("shop", None, TOLD)
    assert not notices.replace("shop", replace(TOLD, seen=DOWN), None)
    assert notices.replace("shop", TOLD, None)

    assert notices.all() == []


def test_a_record_of_a_newer_program_is_left_to_it(notices: Notices) -> None:
    notices.replace("shop", None, replace(TOLD, version=VERSION + 1))

    assert (notices.get("shop"), notices.all()) == (None, [])
    assert not notices.replace("shop", None, TOLD)
    assert not notices.replace("shop", TOLD, None)
