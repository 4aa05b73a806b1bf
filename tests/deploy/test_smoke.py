"""smoke.sh says what is well and what is not. What gcloud answers was written by hand: only a real project can really answer."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy import firestore
from tests.deploy.scripts import PLACE, run

pytestmark = pytest.mark.once

GCLOUD = """#!/bin/sh
case "$*" in
  "run services describe "*conditions*) echo True ;;
  "run services describe diy-relay-diy "*) echo {receiver} ;;
  "run services describe "*) echo "https://$4.example.com" ;;
  "pubsub subscriptions describe "*) echo "{ordered};300;diy-relay-push@my-project.iam.gserviceaccount.com;;ACTIVE" ;;
  "firestore indexes composite list "*) echo "[]" ;;
  "firestore indexes fields list "*) cat {directory}/fields.json ;;
  "firestore backups schedules list "*) printf 'daily\\nweekly\\n' ;;
  "scheduler jobs describe "*) echo "ENABLED;{tick}" ;;
  "logging read "*) echo 2026-03-01T11:00:00Z ;;
  "logging metrics describe "*) echo "$4" ;;
  "alpha monitoring policies list "*) for policy in deploy/monitoring/policies/*.json; do echo True; done ;;
  "secrets versions access "*) echo a-secret ;;
  *) echo "unknown: $*" >&2; exit 1 ;;
esac
"""

CURL = """#!/bin/sh
case "$*" in
  *diy-relay-console*) printf 302 ;;
  *there-is-no-such-connector*) printf 404 ;;
  *) printf {strangers} ;;
esac
"""

# What the parser of `diy` has taken once it takes again.
DIY = """#!/bin/sh
echo "$*" >> {directory}/diy.txt
grep -qxF -e "$*" {taken} 2>/dev/null || {{ {python} -m tests.deploy.diy_words "$@" && echo "$*" >> {taken}; }} || exit 2
case "$*" in "holds list "*) echo '[{{"reason": "{reason}"}}]' ;; esac
"""


class Receiver(BaseHTTPRequestHandler):
    """Accepts everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.signatures.append(self.headers["X-HMAC"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.signatures = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the parser of `diy` has taken, so that it is asked once."""
    return tmp_path_factory.mktemp("diy") / "taken.txt"


class Smoke:
    """A run with these answers. taken: see the fixture."""

    def __init__(
        self,
        directory: Path,
        receiver: HTTPServer,
        taken: Path,
        *,
        ordered: bool = True,
        strangers: int = 403,
        tick: str = "",
        ttl: str = "ACTIVE",
        reason: str = "partner_unavailable",
    ) -> None:
        self._directory = directory
        address = f"http://127.0.0.1:{receiver.server_port}"
        self._write("gcloud", GCLOUD.format(directory=directory, receiver=address, ordered=ordered, tick=tick))
        self._write("curl", CURL.format(strangers=strangers))
        self._write("diy", DIY.format(directory=directory, taken=taken, python=sys.executable, reason=reason))
        self._write("sleep", "#!/bin/sh\n")
        self._write("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (directory / "fields.json").write_text(_fields(ttl))
        environment = {"PATH": f"{directory}:{os.environ['PATH']}"}
        self.ran = run("smoke.sh", *PLACE, environment=environment)

    def _write(self, name: str, text: str) -> None:
        (self._directory / name).write_text(text)
        (self._directory / name).chmod(0o755)

    @property
    def wrong(self) -> list[str]:
        """Its lines about what is not well."""
        return [line for line in self.ran.stdout.splitlines() if line.startswith("NO")]

    @property
    def diy(self) -> list[str]:
        """What `diy` was called with."""
        return (self._directory / "diy.txt").read_text().splitlines()


def _fields(ttl: str) -> str:
    listed = []
    for wanted in json.loads(firestore.WANTED.read_text())["fieldOverrides"]:
        name = f"projects/p/databases/d/collectionGroups/{wanted['collectionGroup']}/fields/{wanted['fieldPath']}"
        indexes = [{"queryScope": one["queryScope"], "fields": [{"order": one["order"]}]} for one in wanted["indexes"]]
        listed.append(
            {"name": name, "indexConfig": {"indexes": indexes}} | ({"ttlConfig": {"state": ttl}} if "ttl" in wanted else {})
        )
    return json.dumps(listed)


def test_where_all_is_well_it_says_so_and_leaves_nothing_behind(tmp_path: Path, receiver: HTTPServer, taken: Path) -> None:
    smoke = Smoke(tmp_path, receiver, taken)

    assert smoke.wrong == []
    assert (smoke.ran.returncode, "All is well." in smoke.ran.stdout) == (0, True), smoke.ran.stdout + smoke.ran.stderr
    assert len(receiver.signatures) == 1  # type: ignore[attr-defined]
    assert [line for line in smoke.diy if "delete" in line] == [
        "connectors delete diy-relay-smoke --yes --quiet",
        "secrets delete smoke-hmac --yes --quiet",
        "secrets delete smoke-token --yes --quiet",
    ]
    assert "a-secret" not in smoke.ran.stdout + smoke.ran.stderr + "".join(smoke.diy)


def test_what_is_wrong_is_named_and_the_exit_code_says_so(tmp_path: Path, receiver: HTTPServer, taken: Path) -> None:
    smoke = Smoke(tmp_path, receiver, taken, ordered=False, strangers=200, tick="7", ttl="CREATING")

    assert smoke.ran.returncode == 1
    assert [line.partition(":")[0] for line in smoke.wrong] == [
        "NO  create refuses strangers",
        "NO  deliver refuses strangers",
        "NO  tick refuses strangers",
        "NO  the subscription is ordered, with 300 s to acknowledge, signed, without a dead-letter topic",
        "NO  indexes and times to live are as firestore.indexes.json asks",
        "NO  the last tick succeeded",
        "NO  the last tidying succeeded, or there was none yet",
    ]
    assert "connectors delete diy-relay-smoke --yes --quiet" in smoke.diy


@pytest.mark.parametrize("reason", ["connector_off", "misconfigured"])
def test_a_change_that_is_held_for_another_reason_has_not_gone_the_whole_way(
    tmp_path: Path, receiver: HTTPServer, taken: Path, reason: str
) -> None:
    smoke = Smoke(tmp_path, receiver, taken, reason=reason)

    assert smoke.ran.returncode == 1
    assert [line for line in smoke.wrong if "put it on hold: not within 240 s" in line] == smoke.wrong != []
