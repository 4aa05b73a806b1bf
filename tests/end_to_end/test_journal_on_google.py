"""The journal on the google back end, from the DMP's request to the members that are back at the partner: the receiver marks what
is to be kept, Pub/Sub's part of it writes the bucket, and `diy replay` has the worker read it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import requests

from adapters.registry import describe
from relay.backends import open_backend
from relay.configuration import read
from relay.connectors.publishing import Publishing
from relay.functions.receiving import REREAD_STAND_IN_S
from tests.clock import TurnedClock
from tests.emulators import Emulators
from tests.emulators.journal import exporting
from tests.end_to_end.google_stack import GoogleStack
from tests.end_to_end.stack import DOCUMENT, ROOT, eventually
from worker.tick import publish_resume

pytestmark = pytest.mark.once


class Journaling(GoogleStack):
    """With the connector's journal on."""

    def document(self, journal: str) -> str:
        return DOCUMENT.format(port=self.ports["pangolin"], mode="own") + f"retention: {{journal: {journal}}}\n"

    def keep_a_journal(self) -> None:
        """Since so long that every receiver has learnt of it."""
        backend = open_backend(read(self.place), TurnedClock(time.time() - 600))
        try:
            Publishing(backend, describe, "test").apply(self.document("7d"))
        finally:
            backend.close()

    def lose(self, audience: str, users: list[str]) -> None:
        """The partner loses these members."""
        listed = self.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
        (found,) = [one["id"] for one in listed if one["reference"] == f"pangolin/{audience}"]
        self.pangolin("DELETE", f"/api/audiences/{found}/users", users=[{"id": user} for user in users])

    def diy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """An operator's command."""
        command = [sys.executable, "-m", "relay.cli", *words]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=120)


    @contextmanager
    def somebody_impatient(self) -> Iterator[None]:
        """While this goes on, a replay that waits for the journal is made due each second (`diy holds resume`) and resumed,
        instead of after the minute by which Pub/Sub has written it on Google."""
        ended = threading.Event()

        def look() -> None:
            with closing(self.open_backend()) as backend:
                while not ended.wait(1.0):
                    for audience in backend.audiences.all("pangolin"):
                        if audience.hold is not None and audience.hold.detail.startswith("What came before this replay"):
                            backend.audiences.make_due("pangolin", audience.id)
                            due = backend.audiences.get("pangolin", audience.id)
                            if due.hold is not None:
                                publish_resume(backend, due, time.time())

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield
        finally:
            ended.set()
            looking.join()


@pytest.fixture
def stack(emulators: Emulators, tmp_path: Path) -> Iterator[Journaling]:
    with ExitStack() as within:
        made = Journaling(tmp_path, emulators)
        within.callback(made.stop)
        within.enter_context(exporting(made.place, emulators))
        made.keep_a_journal()
        made.start()
        yield made


def test_members_that_the_partner_lost_are_back_after_a_replay_and_who_left_since_stays_away(stack: Journaling) -> None:
    for number in range(5):
        assert stack.change("back.1", [f"u{number}", f"v{number}"]).status_code == 200
    assert stack.change("back.1", ["u0"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    expected = {f"{letter}{number}" for number in range(5) for letter in "uv"} - {"u0"}
    eventually(lambda: stack.members("back.1") == expected, within_s=60)
    stack.lose("back.1", ["u1", "v1", "v2"])
    assert stack.members("back.1") == expected - {"u1", "v1", "v2"}

    with stack.somebody_impatient():
        ran = stack.diy("replay", "--connector", "pangolin", "--since", "1h", "--yes", "--wait")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert stack.members("back.1") == expected
    eventually(stack.drained)


def test_the_last_change_of_each_user_holds_whatever_comes_in_while_a_replay_goes_on(stack: Journaling) -> None:
    users = [f"u{number}" for number in range(30)]
    assert stack.change("busy.1", users).status_code == 200
    eventually(lambda: stack.members("busy.1") == set(users))
    ended = threading.Event()
    inside = set(users)

    def replay() -> None:
        while not ended.is_set():
            assert stack.diy("replay", "--connector", "pangolin", "--since", "1h", "--yes").returncode == 0

    replaying = threading.Thread(target=replay)
    replaying.start()
    try:
        for number in itertools.count():
            user, round_ = users[number % 30], number // 30
            inside = inside | {user} if round_ % 2 else inside - {user}
            kind = "ADD_TO_AUDIENCE" if round_ % 2 else "REMOVE_FROM_AUDIENCE"
            assert stack.change("busy.1", [user], kind=kind).status_code == 200
            time.sleep(0.1)  # the worker is to keep up: the replays stand behind what was queued before them
            if number % 30 == 10 and stack.output("worker").count('"event":"replay_ended"') >= 2:
                break
    finally:
        ended.set()
        replaying.join()

    # What is in Pub/Sub cannot be counted: this is the last of it.
    assert stack.change("busy.1", ["the last one"]).status_code == 200
    eventually(lambda: "the last one" in stack.members("busy.1") and stack.drained(), within_s=120)
    assert stack.members("busy.1") == {*inside, "the last one"}


def test_a_replay_waits_on_hold_until_pubsub_has_written_what_came_before_it(
    emulators: Emulators, tmp_path: Path
) -> None:
    with ExitStack() as within:
        stack = Journaling(tmp_path, emulators)
        within.callback(stack.stop)
        with exporting(stack.place, emulators):  # nobody writes from here on, and the subscriptions go
            stack.keep_a_journal()
        stack.start()
        assert stack.change("late.1", ["u1"]).status_code == 200
        eventually(lambda: stack.members("late.1") == {"u1"})
        assert stack.diy("replay", "--connector", "pangolin", "--audience", "late.1", "--since", "1h", "--yes").returncode == 0

        def reason() -> str:
            audience = stack.backend.audiences.get("pangolin", "late.1")
            return f"{audience.hold.reason}: {audience.hold.detail}" if audience.hold else ""

        eventually(lambda: "replaying: What came before this replay is being written" in reason())
        assert stack.change("late.1", ["u2"]).status_code == 200
        eventually(lambda: stack.backend.audiences.get("pangolin", "late.1").hold.batches == 2)
        assert stack.members("late.1") == {"u1"}, "what came later has overtaken the replay"


def test_with_the_journal_switched_off_nothing_is_kept_any_more(stack: Journaling, emulators: Emulators) -> None:
    kept = emulators.storage.make(stack.place["JOURNAL_BUCKET"])

    def journaled() -> int:
        return sum(size.items for size in stack.backend.journal.sizes("pangolin", since=0.0))

    assert stack.change("off.1", ["u1"]).status_code == 200
    eventually(lambda: journaled() == 1)
    stack.publishing.apply(stack.document("off"))

    def accepts_unmarked() -> bool:
        before = journaled()
        assert stack.change("off.1", ["u2"]).status_code == 200
        eventually(lambda: "u2" in stack.members("off.1"))
        threading.Event().wait(1.0)
        return journaled() == before

    eventually(accepts_unmarked, within_s=REREAD_STAND_IN_S + 60)
    assert kept.list(prefix="7/", start="", size=0, token="").items
    assert "The journal of pangolin is off" in stack.diy("replay", "--connector", "pangolin", "--since", "1h", "--yes").stderr


def test_a_document_that_asks_for_a_journal_is_not_published_where_there_is_no_bucket(stack: Journaling) -> None:
    environment = {name: value for name, value in stack.environment.items() if name != "JOURNAL_BUCKET"}
    document = stack.directory / "document.yaml"
    document.write_text(stack.document("30d"))
    command = [sys.executable, "-m", "relay.cli", "connectors", "apply", str(document)]

    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)

    assert ran.returncode != 0
    assert "JOURNAL_BUCKET is not set" in ran.stderr
    assert requests.get(stack.url, timeout=5).status_code in (200, 401)
