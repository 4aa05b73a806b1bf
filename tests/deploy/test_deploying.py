"""deploy.sh and teardown.sh as they run: a second time changes nothing, and the queue is made as the worker needs it."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.local_run import emulators
from tests.deploy.scripts import PLACE, REAL_GCLOUD, ROOT, commands, dry_run, run

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(bool(emulators.obstacle()), reason=emulators.obstacle()),
    pytest.mark.timeout(900),  # a run is some hundred processes
]

REGION = "europe-west1"
NAME = "diy-relay-deliver"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Pub/Sub emulator's address."""
    port = emulators.free_ports(1)[0]
    pubsub = next(one for one in emulators.EMULATORS if "pubsub" in " ".join(one.group))
    log = (tmp_path_factory.mktemp("emulator") / "log").open("wb")
    environment = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path_factory.mktemp("gcloud"))}
    # gcloud leaves Java behind: both are in a group of their own, which is ended.
    process = subprocess.Popen(pubsub.command(port), stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        answers = emulators.answers(port)
        for _ in range(600):
            if answers():
                break
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the emulator ended: {process.wait(0.1)}")
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


class Project:
    """A project in which deploy.sh can run: the emulator's Pub/Sub, and a stand-in for the rest."""

    def __init__(self, emulator: str, directory: Path) -> None:
        self.id = f"test-{uuid.uuid4().hex[:12]}"
        self.url = f"{emulator}/v1/projects/{self.id}"
        self._directory = directory
        programs = directory / "bin"
        programs.mkdir()
        shutil.copy(Path(__file__).with_name("fake_gcloud.py"), programs / "gcloud")
        (programs / "gcloud").chmod(0o755)
        (programs / "python3").symlink_to(sys.executable)
        (programs / "sleep").write_text(f'#!/bin/sh\necho "$1" >> {directory}/slept.txt\n')
        (programs / "sleep").chmod(0o755)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "FAKE_GCLOUD": str(directory),
            "REAL_GCLOUD": REAL_GCLOUD or "",
            "CLOUDSDK_CONFIG": str(directory / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{emulator}/",
        }

    def run(self, script: str, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run(script, self.id, REGION, *words, environment=self._environment, typed=typed)

    def ran(self) -> list[list[str]]:
        """What gcloud was called with since the last time this was asked."""
        file = self._directory / "ran.jsonl"
        if not file.exists():
            return []
        lines = file.read_text().splitlines()
        file.unlink()
        return [json.loads(line) for line in lines]

    def refuses(self, times: dict[str, int]) -> None:
        """Commands that begin with these words are refused so many times."""
        (self._directory / "made.json").write_text(json.dumps({"refusals": times}))

    @property
    def slept_s(self) -> int:
        """How long the scripts have waited in all."""
        return sum(int(line) for line in (self._directory / "slept.txt").read_text().split())

    def has_everything(self) -> None:
        """From now on everything is there that anybody asks for."""
        (self._directory / "made.json").write_text('{"everything": true}')

    def make_queue(self, *, ordered: bool) -> dict[str, Any]:
        """A topic, and a subscription that pushes."""
        requests.put(f"{self.url}/topics/diy-relay", json={}, timeout=10).raise_for_status()
        pushed = {"pushEndpoint": "https://diy-relay-deliver-abc.a.run.app"}
        wanted = {"topic": f"projects/{self.id}/topics/diy-relay", "enableMessageOrdering": ordered, "pushConfig": pushed}
        requests.put(f"{self.url}/subscriptions/{NAME}", json=wanted, timeout=10).raise_for_status()
        return self.subscription()

    def subscription(self, name: str = NAME) -> dict[str, Any]:
        """As the emulator has it."""
        answer = requests.get(f"{self.url}/subscriptions/{name}", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def project(emulator: str, tmp_path: Path) -> Project:
    return Project(emulator, tmp_path)


def deploy(project: Project, *words: str) -> list[list[str]]:
    """Runs deploy.sh and returns the commands."""
    ran = project.run("deploy.sh", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return project.ran()


def test_the_queue_is_made_as_it_must_be_and_a_second_run_changes_only_what_was_changed_by_hand(project: Project) -> None:
    # A field that is still being changed, and a metric that is not yet known.
    project.refuses({"firestore fields ttls update": 12, "alpha monitoring policies create": 22})
    first = deploy(project, "--notify", "ops@example.com")

    assert project.slept_s > (4 + 9) * 60, "it was to wait for minutes"
    made = project.subscription()
    assert made["enableMessageOrdering"] is True
    assert made["ackDeadlineSeconds"] == 300
    assert any("--message-retention-duration=31d" in words for words in first)
    assert made["expirationPolicy"] == {}
    assert made["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "60s"}
    assert "deadLetterPolicy" not in made
    assert made["topic"] == f"projects/{project.id}/topics/diy-relay"
    assert made["pushConfig"]["pushEndpoint"] == "https://diy-relay-deliver-abc.a.run.app"
    assert made["pushConfig"]["oidcToken"] == {
        "serviceAccountEmail": f"diy-relay-push@{project.id}.iam.gserviceaccount.com",
        "audience": "https://diy-relay-deliver-abc.a.run.app",
    }

    # As the teardown leaves it, and with a deadline that is too short.
    requests.post(f"{project.url}/subscriptions/{NAME}:modifyPushConfig", json={"pushConfig": {}}, timeout=10).raise_for_status()
    changed = {"subscription": {"name": made["name"], "ackDeadlineSeconds": 10}, "updateMask": "ackDeadlineSeconds"}
    requests.patch(f"{project.url}/subscriptions/{NAME}", json=changed, timeout=10).raise_for_status()
    second = deploy(project)

    assert project.subscription() == made
    assert [words for words in second if "create" in words and "identity" not in words] == []
    assert [words for words in second if "ttls" in words or words[1:4] == ["indexes", "fields", "update"]] == []
    updated = [words for words in second if words[1:4] == ["monitoring", "policies", "update"]]
    assert len(updated) == len(list((ROOT / "deploy/monitoring/policies").glob("*.json")))
    assert all("--set-notification-channels=projects/p/channels/0" in words for words in updated), "it forgot whom to tell"
    for words in (*first, *second):
        assert_was_printed(words, project)


def assert_was_printed(words: list[str], project: Project) -> None:
    """That the dry run shows this command. What it only names, `${NAME}`, is anything."""
    line = " ".join(words)
    assert any(pattern.fullmatch(line.replace(project.id, PLACE[0])) for pattern in printed()), line


@functools.cache
def printed() -> list[re.Pattern[str]]:
    texts = (
        dry_run("deploy.sh", "--notify", "ops@example.com", "--journal"),
        dry_run("deploy.sh", "--feeds", "gateway.example.com:8080"),
        dry_run("teardown.sh", "--delete-data"),
    )
    lines = [" ".join(words) for text in texts for words in commands(text)]
    named = re.compile(r"\\\$\\\{\w+\\\}|\\\$\\\(basename.*\\\)")
    return [re.compile(named.sub(".*", re.escape(line))) for line in lines]


def test_a_subscription_without_order_is_refused_since_it_cannot_be_changed(project: Project) -> None:
    project.make_queue(ordered=False)

    ran = project.run("deploy.sh")

    assert ran.returncode == 1
    assert "in order" in ran.stderr
    assert "cannot be changed afterwards" in ran.stderr
    assert not any("create" in words for words in project.ran())


def test_a_teardown_keeps_the_data_unless_told_otherwise(project: Project) -> None:
    made = project.make_queue(ordered=True)
    project.has_everything()

    assert project.run("teardown.sh", "--yes").returncode == 0
    first = project.ran()
    assert made["pushConfig"]
    assert project.subscription() == {**made, "pushConfig": {}}, "it went on pushing, or lost its messages"
    assert {words[0] for words in first if "delete" in words} == {"scheduler", "logging", "run", "iam"}

    assert project.run("teardown.sh", "--yes", "--delete-data").returncode == 0
    second = project.ran()
    assert requests.get(f"{project.url}/subscriptions/{NAME}", timeout=10).status_code == 404
    protection = next(at for at, words in enumerate(second) if "--no-delete-protection" in words)
    assert second[protection + 1][:4] == ["firestore", "databases", "delete", "--database=diy-relay"]
    for words in (*first, *second):
        assert_was_printed(words, project)


@pytest.mark.parametrize("typed", ["", "yes\n", "another-project\n"])
def test_a_teardown_that_is_not_confirmed_deletes_nothing(project: Project, typed: str) -> None:
    ran = project.run("teardown.sh", typed=typed)

    assert ran.returncode == 1
    assert "Nothing was deleted" in ran.stderr
    assert project.ran() == []


def feeds_of(ran: list[list[str]]) -> str:
    """The variables that the feeds' function was deployed with; empty where it was not."""
    deployed = (words for words in ran if words[:3] == ["run", "deploy", "diy-relay-external-feed"])
    return next((word for words in deployed for word in words if word.startswith("--update-env-vars=")), "")


def test_the_journal_and_the_feeds_are_made_where_they_are_asked_for_and_later_runs_keep_them(project: Project) -> None:
    first = deploy(project)
    assert not [words for words in first if words[0] == "storage" and words[2] != "list"]
    assert not feeds_of(first)
    assert all("JOURNAL_BUCKET=," in word for words in first for word in words if "-env-vars=" in word)

    asked = deploy(project, "--journal", "--feeds", "gateway.example.com:8080")
    assert "GATEWAY_HOST=gateway.example.com,GATEWAY_PORT=8080" in feeds_of(asked)
    bucket = f"{project.id}-diy-relay-journal"
    assert any(words[:3] == ["storage", "buckets", "create"] for words in asked)
    for days in (1, 7, 30):
        made = project.subscription(f"diy-relay-journal-{days}")
        assert made["enableMessageOrdering"] is True
        assert made["filter"] == f'attributes.journal = "{days}"'
        assert made["expirationPolicy"] == {}
        beginning = ["pubsub", "subscriptions", "create", f"diy-relay-journal-{days}"]
        written = next(words for words in asked if words[:4] == beginning)
        assert {f"--cloud-storage-bucket={bucket}", f"--cloud-storage-file-prefix={days}/"} <= set(written)

    later = deploy(project)
    assert feeds_of(later).endswith("FEED_ACCESS=iam"), "it is brought up to date, and its gateway stays"
    assert not [words for words in later if " ".join(words[:3]) in ("storage buckets create", "pubsub subscriptions create")]
    assert any(words[:4] == ["pubsub", "subscriptions", "update", "diy-relay-journal-7"] for words in later)
    assert all(f"JOURNAL_BUCKET={bucket}," in word for words in later for word in words if "-env-vars=" in word)


def test_a_subscription_of_the_journal_without_its_filter_is_refused_since_it_cannot_be_changed(project: Project) -> None:
    requests.put(f"{project.url}/topics/diy-relay", json={}, timeout=10).raise_for_status()
    wanted = {"topic": f"projects/{project.id}/topics/diy-relay", "enableMessageOrdering": True}
    requests.put(f"{project.url}/subscriptions/diy-relay-journal-7", json=wanted, timeout=10).raise_for_status()

    ran = project.run("deploy.sh", "--journal")

    assert ran.returncode == 1
    assert 'with the filter attributes.journal = "7"' in ran.stderr
    assert not any("create" in words for words in project.ran())
