"""Somebody is told of trouble, once, by real processes: over HTTP and by mail."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.domain.audience import HoldRequest
from tests.contract.adapters.scripted import ScriptedServer, Visit
from tests.contract.backends.given import message
from tests.end_to_end.stack import DOCUMENT, Stack, eventually
from tests.partners.mail_server import MailServer
from tests.partners.notice_receiver import NoticeReceiver

HURRIED = """
import signal, sys, time
import worker.notices
from relay.backends.embedded import EmbeddedBackend
from relay.configuration import read
from relay.domain.clock import SystemClock
from worker.process import WorkerProcess

class Hurried(SystemClock):
    began = time.time()
    def now(self): return self.began + (time.time() - self.began) * 40

worker.notices.LOOK_S /= 40  # a thread that waits knows only the machine's clock
clock, configuration = Hurried(), read()
backend = EmbeddedBackend.open(configuration.state_dir, clock, create=False, lease_s=6_000)
process = WorkerProcess(backend, clock, configuration=configuration)
signal.signal(signal.SIGTERM, lambda *_: process.stop())
sys.exit(0 if process.run() else 1)
"""
"""A worker for which the time of day, though not what a turn may take, passes forty times as fast."""


class Telling(Stack):
    """A stack whose connector names a webhook and a mail address."""

    hurried = False

    def __init__(self, directory: Path, url: str, mail: MailServer) -> None:
        self._mail = mail
        super().__init__(directory)
        notify = f'notify: {{webhook: "{url}", email: ops@shop.example, allow_private_network: true}}\n'
        self.publishing.apply(DOCUMENT.format(port=self.ports["pangolin"], mode="own") + notify)

    @property
    def commands(self) -> dict[str, list[str]]:
        return super().commands | ({"worker": [sys.executable, "-c", HURRIED]} if self.hurried else {})

    @property
    def environment(self) -> dict[str, str]:
        smtp = {"SMTP_URL": f"smtp://127.0.0.1:{self._mail.port}", "SMTP_FROM": "diy@relay.example"}
        return super().environment | smtp

    def logged(self, event: str) -> int:
        """How many lines the workers have written of it."""
        return self.output("worker").count(f'"event":"{event}"')


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[NoticeReceiver]:
    with NoticeReceiver() as server:
        yield server


@pytest.fixture
def stack(tmp_path: Path, receiver: NoticeReceiver, mail: MailServer) -> Iterator[Telling]:
    made = Telling(tmp_path, receiver.url, mail)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_a_partner_that_is_down_is_told_once_and_so_is_its_recovery(
    stack: Telling, receiver: NoticeReceiver, mail: MailServer
) -> None:
    stack.hurried = True
    stack.start()
    stack.kill("pangolin")
    assert stack.change("down.1", ["user-1", "user-2"]).status_code == 200
    eventually(lambda: mail.mails, within_s=70)
    stack.start("pangolin")
    eventually(lambda: len(mail.mails) > 1, within_s=90)

    assert receiver.states == [("on_hold", "partner_unavailable"), ("fine", None)]
    assert [one.message["Subject"] for one in mail.mails] == ["[diy] pangolin is on hold", "[diy] pangolin delivers again"]
    assert receiver.notices[1]["delivered"] == 2
    assert stack.members("down.1") == {"user-1", "user-2"}
    for told in (*(str(one) for one in receiver.notices), *(one.content.decode() for one in mail.mails)):
        assert "user-" not in told


def test_refused_credentials_are_told_once_by_several_workers_and_not_again_after_a_restart(
    stack: Telling, receiver: NoticeReceiver, mail: MailServer
) -> None:
    stack.start()
    stack.start_second_worker()
    stack.pangolin("PUT", "/api/faults", status=401)
    assert stack.change("refused.1", ["user-1"]).status_code == 200
    eventually(lambda: stack.logged("notice_taken") == 2)
    assert stack.terminate("worker") == 0
    stack.start("worker")
    told_of_another(stack, receiver)

    assert receiver.states == [("credentials_refused", "credentials_refused")]
    assert [one.message["Message-ID"] for one in mail.mails] == [f"<{receiver.notices[0]['id']}@relay.example>"]


def told_of_another(stack: Telling, receiver: NoticeReceiver) -> None:
    """Another connector is in trouble, too, and somebody was told of it: by then, the first was looked at again."""
    with NoticeReceiver() as others:
        document = DOCUMENT.format(port=stack.ports["pangolin"], mode="own").replace("name: pangolin", "name: zebra")
        stack.publishing.apply(f'{document}notify: {{webhook: "{others.url}", allow_private_network: true}}\n')
        refused = HoldRequest("credentials_refused", time.time() + 3600)
        turn = stack.backend.audiences.begin_turn("zebra", "a.1", position=1, message_id="m1")
        stack.backend.audiences.join(turn, message("a.1", "user-1", connector="zebra"), refused)
        eventually(lambda: others.states)


def test_a_receiver_that_hangs_holds_up_neither_deliveries_nor_the_end_and_is_told_by_the_next_worker(
    tmp_path: Path, mail: MailServer
) -> None:
    asked = threading.Event()

    def hangs(visit: Visit) -> None:
        visit.read()
        asked.set()
        visit.wait()

    with ScriptedServer(hangs) as hanging:
        stack = Telling(tmp_path, hanging.url, mail)
        try:
            stack.start()
            assert stack.change("good.1", ["u1"]).status_code == 200
            eventually(lambda: stack.members("good.1") == {"u1"})
            stack.pangolin("PUT", "/api/faults", status=401)
            assert stack.change("refused.1", ["u1"]).status_code == 200
            assert asked.wait(30)
            stack.pangolin("DELETE", "/api/faults")
            assert stack.change("good.1", ["u2"]).status_code == 200
            assert stack.terminate("worker") == 0
            assert stack.logged("notice_not_taken") == 0, "nobody waited for its answer"
        finally:
            stack.stop()
