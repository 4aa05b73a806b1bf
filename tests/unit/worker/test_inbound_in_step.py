"""The worker looks after the receiver's document, so that a command which was killed halfway leaves nobody behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from relay.backends.embedded import EmbeddedBackend
from relay.connectors.publishing import Publishing
from relay.domain.clock import SystemClock
from tests.unit.connectors.example import DOCUMENT, describe
from worker.process import WorkerProcess


def test_a_receiver_that_was_not_told_of_a_rotation_learns_of_it_from_the_worker(tmp_path: Path) -> None:
    backend = EmbeddedBackend.open(tmp_path / "state", SystemClock())
    publishing = Publishing(backend, describe, "ada")
    publishing.apply(DOCUMENT)
    publishing.set_secret("acme-hmac", "one")
    backend.secrets.rotate("acme-hmac", "two")  # and the command was killed

    def known() -> tuple[str, ...]:
        document = backend.inbound.read()
        assert document is not None
        return document.connectors[0].hmac_secrets

    assert known() == ("one",)
    process = WorkerProcess(backend, SystemClock(), threads=1)
    running = threading.Thread(target=process.run)
    running.start()
    until = time.monotonic() + 30
    while known() == ("one",) and time.monotonic() < until:
        time.sleep(0.01)
    process.stop()
    running.join()
    assert known() == ("two", "one")
    backend.close()
