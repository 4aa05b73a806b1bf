"""Emptying a hold on Firestore: batches beyond what one commit takes leave in several, and count as they leave."""

from __future__ import annotations

import pytest

from relay.backends.google import audience_documents as docs
from relay.backends.google import turns
from relay.domain.errors import StoreUnavailable
from relay.domain.message import encode
from tests.contract.backends.given import BEGINNING, message, request
from tests.emulators import Emulators, place
from tests.unit.google.test_audiences import EVERYTHING, Place

pytestmark = pytest.mark.once


@pytest.fixture
def here(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Where a commit takes three batches, and seven wait."""
    monkeypatch.setattr(turns, "_COMMIT_BATCHES", 3)
    made = Place(place(emulators))
    for number in range(1, 8):
        made.join(number)
    return made


def test_the_hold_is_lifted_with_the_last_of_several_commits(here: Place) -> None:
    turn = here.begin(8)
    taken = here.audiences.waiting(turn, **EVERYTHING)
    settled = here.audiences.settle(turn, taken=taken, rest=(), request=None, progress=True)
    assert settled.hold is None
    assert (here.hold, here.waiting()) == (None, [])


def test_what_is_left_anywhere_in_them_keeps_the_hold_with_its_new_reason(here: Place) -> None:
    turn = here.begin(8)
    taken = here.audiences.waiting(turn, **EVERYTHING)
    settled = here.audiences.settle(
        turn, taken=taken, rest=taken[1:2], request=request("misconfigured", due_at=5.0), progress=True
    )
    assert settled.hold is not None
    assert (settled.hold.reason, settled.hold.batches, settled.hold.items) == ("misconfigured", 1, 1)
    assert (here.hold, here.waiting()) == (settled.hold, ["m2"])


def test_a_worker_that_ends_between_two_commits_leaves_a_hold_that_counts_right(here: Place) -> None:
    turn = here.begin(8)
    taken = here.audiences.waiting(turn, **EVERYTHING)

    def end() -> None:
        raise StoreUnavailable("The process ends here.")

    def end_next() -> None:
        here.documents.before_commit = end

    here.documents.after_commit = end_next
    with pytest.raises(StoreUnavailable):
        here.audiences.settle(turn, taken=taken, rest=(), request=None, progress=True)
    assert here.hold is not None
    assert (here.hold.batches, here.hold.items, here.hold.reason) == (4, 4, "partner_unavailable")
    assert here.waiting() == ["m4", "m5", "m6", "m7"]


def test_a_confirmation_that_is_lost_in_the_middle_changes_nothing(here: Place) -> None:
    turn = here.begin(8)
    taken = here.audiences.waiting(turn, **EVERYTHING)
    here.documents.after_commit = here.documents.lose_confirmation  # of the second commit
    settled = here.audiences.settle(turn, taken=taken[:6], rest=taken[4:5], request=request(), progress=True)
    assert settled.hold is not None
    assert (settled.hold.batches, settled.hold.items) == (2, 2)
    assert here.waiting() == ["m5", "m7"]


def test_many_small_batches_are_taken_at_once(here: Place) -> None:
    batch = message("a.1", "u1")
    body = encode(batch)
    path = docs.path_of("pangolin", "a.1")
    for first in (1_000, 1_400):
        here.documents.commit(
            [
                docs.batch_write(path, first + number, f"n{first + number}", batch, body, added_at=BEGINNING, exists=False)
                for number in range(400)
            ]
        )
    turn = here.begin(8)
    assert len(here.audiences.waiting(turn, max_items=10_000, max_bytes=10_000_000)) == 807
