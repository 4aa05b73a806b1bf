"""What all TLS connections of a process share is made once, and none of them changes it."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from adapters.client import RequestsClient
from adapters.contract import Credentials, HttpRequest
from handlers import kept_connections
from relay import trust
from relay.domain.clock import SystemClock
from relay.domain.connector import Timeouts
from tests.unit.google.function_elsewhere import secure_function


def _by_client(url: str) -> int:
    client = RequestsClient(Timeouts(connect_s=20, answer_s=20), SystemClock())
    return client.send(HttpRequest("POST", url, raw=b"{}"), auth=Credentials()).status


def _by_session(url: str) -> int:
    with kept_connections.session() as session:
        session.trust_env = False
        return session.post(url, data=b"{}", timeout=20).status_code


@pytest.mark.parametrize("call", [_by_client, _by_session])
def test_a_further_connection_leaves_the_protocols_alone_that_another_may_be_reading(
    call: Callable[[str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[str]] = []
    really = ssl.SSLContext.set_alpn_protocols

    def counted(context: ssl.SSLContext, protocols: Iterable[str]) -> None:
        told.append(list(protocols))
        really(context, protocols)

    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", counted)
    with secure_function(tmp_path) as (function, known):
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(known))
        monkeypatch.setattr(kept_connections, "DEFAULT_CA_BUNDLE_PATH", str(known))
        function.headers = {"Connection": "close"}
        assert [call(f"https://127.0.0.1:{function.port}/") for _ in range(2)] == [200, 200]
        assert function.connections == 2
    assert told == [["http/1.1"]]
    context = trust.trusting(str(known))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_forked_child_does_not_wait_for_a_thread_that_is_not_in_it() -> None:
    with trust._one_reads:
        child = os.fork()
        if not child:
            os._exit(0 if trust._one_reads.acquire(timeout=5) else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_burst_reads_them_once(tmp_path: Path) -> None:
    with secure_function(tmp_path) as (_, known):
        found: list[ssl.SSLContext] = []
        threads = [threading.Thread(target=lambda: found.append(trust.trusting(str(known)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({id(context) for context in found}) == 1
