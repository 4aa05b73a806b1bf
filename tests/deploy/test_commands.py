"""What the scripts run: every gcloud command they can run is printed by --dry-run, and gcloud's own parser takes each of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handlers.mediarithmics.overload import MAX_IN_FLIGHT, MAX_WAITING
from relay.configuration import read
from tests.deploy.scripts import (
    DRY_RUNS,
    PAGES,
    PLACE,
    REAL_GCLOUD,
    ROOT,
    answered,
    commands,
    dry_run,
    needs_gcloud,
    run,
    shown,
    shown_on,
)

pytestmark = pytest.mark.once

SCRIPTS = sorted(path.name for path in (ROOT / "deploy").glob("*.sh"))


def lint(lines: list[str], directory: Path) -> list[dict[str, Any]]:
    """What gcloud's parser says of each command."""
    file = directory / "commands.json"
    file.write_text(json.dumps([{"command_string": line} for line in lines]))
    environment = {
        "PATH": os.environ["PATH"],
        "CLOUDSDK_CONFIG": str(directory / "configuration"),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_PYTHON_ARGS": "-S tests/deploy/one_parser.py",
    }
    words = [REAL_GCLOUD or "gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"]
    said = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    answers: list[dict[str, Any]] = json.loads(said.stdout)
    return answers


def for_the_parser(words: list[str]) -> str:
    """One line, as the linter wants it: what is no flag comes first, a '#' would begin a comment."""
    assert not any("#" in word for word in words), words
    flags = [word for word in words if word.startswith("--")]
    quoted = [f"{flag}={shlex.quote(value)}" if sign else flag for flag, sign, value in (flag.partition("=") for flag in flags)]
    return " ".join(["gcloud", *(shlex.quote(word) for word in words if not word.startswith("--")), *quoted])


def assert_all_pass(texts: list[list[str]], directory: Path) -> None:
    lines = sorted({for_the_parser(answered(words)) for words in texts})
    said = lint(lines, directory)
    assert len(said) == len(lines)
    assert [f"{one['error_message']}: {one['command_string']}" for one in said if not one["success"]] == []


@needs_gcloud
def test_gcloud_takes_every_command_that_the_scripts_can_run(tmp_path: Path) -> None:
    words = [command for title in DRY_RUNS for command in commands(shown(title))]

    assert len(words) > 200
    assert_all_pass(words, tmp_path)


@needs_gcloud
def test_gcloud_takes_every_command_of_the_pages_and_of_what_the_scripts_say(tmp_path: Path) -> None:
    pages = [words for page in PAGES for words in shown_on(page.read_text(), "gcloud")]
    said = commands("\n".join(re.findall(r"^  (gcloud .*)", (ROOT / "deploy" / "deploy.sh").read_text(), re.MULTILINE)))

    found = [[re.sub(r"\$\w+", "x", word) for word in command] for command in (*pages, *said)]

    assert all(shown_on(page.read_text(), "gcloud") for page in PAGES)
    assert said
    assert_all_pass(found, tmp_path)


def test_every_command_of_the_pages_that_works_on_a_project_names_it() -> None:
    for page in PAGES:
        for words in shown_on(page.read_text(), "gcloud"):
            assert words[0] in ("auth", "config") or "--project=$PROJECT" in words, f"{page.name}: {words}"


@needs_gcloud
def test_the_parser_finds_what_is_wrong(tmp_path: Path) -> None:
    right = ["gcloud run deploy x --image=y", "gcloud pubsub topics create x --labels=a=b"]
    wrong = ["gcloud run deploy x --iap", "gcloud pubsub topics create", "gcloud run depoly x"]

    # One parser takes them all: what it has read before makes no difference.
    said = lint([right[0], *wrong, right[1], *(f"{line} " for line in wrong)], tmp_path)

    assert [one["command_string"].rstrip() for one in said if not one["success"]] == [*wrong, *wrong]
    assert [one["command_string"] for one in said if one["success"]] == right


@pytest.mark.parametrize(("how", "least_s"), [("patiently", 60), ("very_patiently", 600)])
def test_what_goes_on_failing_ends_the_script_and_is_named(tmp_path: Path, how: str, least_s: int) -> None:
    for name, does in {"gcloud": "exit 1", "sleep": f'echo "$1" >> {tmp_path}/slept.txt'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    script = f"source deploy/commands.sh; PROJECT=p; {how} pubsub topics list; echo went on"

    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(["/bin/bash", "-c", script], check=False, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Gave up at: gcloud pubsub topics list" in ended.stderr
    assert least_s <= sum(int(line) for line in (tmp_path / "slept.txt").read_text().split()) < least_s + 60


@pytest.mark.parametrize("title", DRY_RUNS)
def test_a_dry_run_prints_a_script_that_bash_can_read(title: str) -> None:
    read = subprocess.run(["/bin/bash", "-n"], check=False, input=shown(title), capture_output=True, text=True)

    assert (read.returncode, read.stderr) == (0, "")


def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    for name in ("gcloud", "diy", "curl"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    for script in ("deploy.sh", "teardown.sh", "smoke.sh"):
        assert run(script, *PLACE, "--dry-run", environment=environment).returncode == 0

    assert not (tmp_path / "was-run").exists()


def test_every_command_names_the_project() -> None:
    for title in DRY_RUNS:
        assert all(f"--project={PLACE[0]}" in words for words in commands(shown(title)))


def test_deploying_sets_no_secret_but_the_empty_inbound_document() -> None:
    with_data = [words for words in commands(shown("deploy")) if words[:2] == ["secrets", "create"]]
    assert [word for words in with_data for word in words if word.startswith("--data-file")] == [
        "--data-file=deploy/empty-inbound.json"
    ]


def test_only_the_receiver_is_public() -> None:
    deployed = {words[words.index("deploy") + 1]: words for words in commands(shown("deploy")) if "deploy" in words}

    assert set(deployed) == {f"diy-relay-{name}" for name in ("diy", "create", "deliver", "tick", "console", "external-feed")}
    assert [name for name, words in deployed.items() if "--allow-unauthenticated" in words] == ["diy-relay-diy"]
    assert [name for name, words in deployed.items() if "--iap" in words] == ["diy-relay-console"]


def test_the_receiver_is_made_public_by_a_command_that_fails_where_that_is_forbidden() -> None:
    text = commands(shown("deploy"))
    [at] = [at for at, words in enumerate(text) if "--member=allUsers" in words]

    assert text[at][:4] == ["run", "services", "add-iam-policy-binding", "diy-relay-diy"]
    assert "--role=roles/run.invoker" in text[at]
    assert any(words[:3] == ["run", "deploy", "diy-relay-diy"] for words in text[:at])


STEPS = {
    ("logging", "metrics", "create"): "metrics",
    ("pubsub", "subscriptions", "create"): "subscription",
    ("scheduler", "jobs", "create"): "jobs",
    ("alpha", "monitoring", "policies", "create"): "alerts",
}


def test_what_makes_messages_comes_after_the_subscription_since_a_topic_without_one_loses_them() -> None:
    """Metrics come first and alerts last, since alerts of a new metric can only be made after some minutes."""
    steps: list[str] = []
    for words in commands(shown("deploy")):
        made = [title for beginning, title in STEPS.items() if tuple(words[: len(beginning)]) == beginning]
        made += [words[words.index("deploy") + 1].removeprefix("diy-relay-")] if "deploy" in words else []
        steps += [title for title in made if title not in steps]

    assert steps == ["metrics", "create", "deliver", "subscription", "tick", "jobs", "diy", "console", "external-feed", "alerts"]


def test_a_teardown_takes_away_every_right_in_the_project_that_was_given() -> None:
    def rights(title: str, verb: str) -> set[tuple[str, str]]:
        found = [words for words in commands(shown(title)) if words[:2] == ["projects", verb]]
        return {(words[3], words[4]) for words in found}

    assert rights("deploy", "add-iam-policy-binding") == rights("teardown", "remove-iam-policy-binding")


def test_the_receiver_may_publish_read_its_document_and_have_audiences_made_and_nothing_else() -> None:
    member = "--member=serviceAccount:diy-relay-diy@my-project.iam.gserviceaccount.com"
    given = {
        " ".join(word for word in words if not word.startswith("--")) for words in commands(shown("deploy")) if member in words
    }

    assert given == {
        "pubsub topics add-iam-policy-binding diy-relay",
        "secrets add-iam-policy-binding diy-relay-inbound",
        "run services add-iam-policy-binding diy-relay-create",
    }


def test_the_console_may_write_records_and_our_secrets_and_publish_and_nothing_else() -> None:
    member = "--member=serviceAccount:diy-relay-console@my-project.iam.gserviceaccount.com"
    given = [words for words in commands(shown("deploy")) if member in words]

    roles = {word.removeprefix("--role=roles/"): words for words in given for word in words if word.startswith("--role=")}
    assert set(roles) == {"datastore.user", "secretmanager.admin", "pubsub.publisher", "storage.objectViewer"}
    condition = next(word for word in roles["secretmanager.admin"] if word.startswith("--condition="))
    assert '/secrets/diy-relay-")' in condition


def test_the_list_of_roles_reaches_the_console_alone_and_can_be_read_there() -> None:
    from relay.console.roles import RoleList

    given = "alice@example.com=admin,*@example.com=viewer"
    deployed = [words for words in commands(dry_run("deploy.sh", "--roles", given)) if "--base-image=python313" in words]

    told = {words[words.index("deploy") + 1]: word for words in deployed for word in words if "-env-vars=" in word}
    assert [name for name, word in told.items() if "CONSOLE_ROLES" in word] == ["diy-relay-console"]
    variables = dict(pair.partition("=")[::2] for pair in told["diy-relay-console"].partition("=")[2].split(","))
    roles = RoleList(variables["CONSOLE_ROLES"])
    assert (roles.role_of("alice@example.com"), roles.role_of("bob@example.com")) == ("admin", "viewer")


def test_without_a_list_the_one_that_the_console_has_stays() -> None:
    console = next(words for words in commands(shown("deploy")) if "diy-relay-console" in words and "deploy" in words)

    assert not any("CONSOLE_ROLES" in word or word.startswith("--set-env-vars") for word in console)


@pytest.mark.parametrize("name", ["diy", "create", "deliver", "tick", "console", "external-feed"])
def test_every_function_says_its_size_and_its_limits(name: str) -> None:
    words = next(words for words in commands(shown("deploy")) if f"diy-relay-{name}" in words and "deploy" in words)
    flags = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    told = flags["--update-env-vars" if name in ("console", "external-feed") else "--set-env-vars"]
    variables = dict(pair.partition("=")[::2] for pair in told.split(","))

    assert {"--memory", "--cpu", "--concurrency", "--min-instances", "--max-instances", "--timeout", "--cpu-boost"} <= set(flags)
    assert flags["--service-account"] == f"diy-relay-{name}@my-project.iam.gserviceaccount.com"
    assert variables["BACKEND"] == "google"
    assert variables["WORKERS"] == "1"
    if name not in ("diy", "external-feed"):  # asynchronous
        assert variables["THREADS"] == flags["--concurrency"]


def test_the_feeds_function_is_reached_by_nobody_before_somebody_lets_him_in() -> None:
    text = commands(shown("deploy with feeds"))
    words = next(words for words in text if "diy-relay-external-feed" in words and "deploy" in words)
    told = next(word for word in words if word.startswith("--update-env-vars="))

    assert {"--ingress=internal", "--no-allow-unauthenticated", "--function=external_feed"} <= set(words)
    assert told.endswith("FEED_ACCESS=iam,GATEWAY_HOST=plugin-gateway.platform,GATEWAY_PORT=8080")
    assert not any(words[:4] == ["run", "services", "add-iam-policy-binding", "diy-relay-external-feed"] for words in text)


def test_the_feeds_function_itself_tells_who_is_too_many_before_cloud_run_does() -> None:
    text = commands(shown("deploy with feeds"))
    words = next(words for words in text if "diy-relay-external-feed" in words and "deploy" in words)
    (concurrency,) = (int(word.partition("=")[2]) for word in words if word.startswith("--concurrency="))

    assert concurrency >= MAX_IN_FLIGHT + 5, "there is room for what must always be answered"
    assert MAX_WAITING < MAX_IN_FLIGHT


def test_the_page_says_how_the_feeds_function_is_told_what_it_cannot_know() -> None:
    shown_words = [words for page in PAGES for words in shown_on(page.read_text(), "gcloud")]
    (told,) = [words for words in shown_words if words[:4] == ["run", "services", "update", "diy-relay-external-feed"]]
    (pairs,) = [word.partition("=")[2].split(",") for word in told if word.startswith("--update-env-vars=")]
    known = read(dict(pair.split("=") for pair in pairs))

    assert known.feed_redirect_url.startswith("https://")
    assert all((known.plugin_group_id, known.plugin_artifact_id, known.plugin_type, known.plugin_version, known.plugin_build))


def test_deliver_ends_before_the_acknowledgement_deadline_and_after_the_budget() -> None:
    from worker.budget import TURN_S

    text = commands(shown("deploy"))
    deliver = next(words for words in text if "diy-relay-deliver" in words and "deploy" in words)
    subscription = next(words for words in text if words[:3] == ["pubsub", "subscriptions", "create"])

    timeout_s = float(next(word for word in deliver if word.startswith("--timeout=")).removeprefix("--timeout=").rstrip("s"))
    deadline_s = float(next(word for word in subscription if word.startswith("--ack-deadline=")).partition("=")[2])

    assert TURN_S < timeout_s < deadline_s


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "deploy/deploy.sh PROJECT REGION"),
        (("my-project",), "deploy/deploy.sh PROJECT REGION"),
        (("My Project", "europe-west1"), "no project ID"),
        (("my-project", "Europe"), "no region"),
        ((*PLACE, "--notify"), "--notify needs a value"),
        ((*PLACE, "--notify", "$(rm -r .)@example.com"), "no e-mail address"),
        ((*PLACE, "--roles", "alice@example.com"), "no list of roles"),
        ((*PLACE, "--roles", "alice@example.com=owner"), "no list of roles"),
        ((*PLACE, "--roles", "alice@example.com=admin,$(rm -r .)=viewer"), "no list of roles"),
        ((*PLACE, "--feeds", "gateway"), "no place of a gateway"),
        ((*PLACE, "--feeds", "$(rm -r .):8080"), "no place of a gateway"),
        ((*PLACE, "--no-such-option"), "no option"),
        ((*PLACE, "--delete-data"), "no option"),
        ((*PLACE, "--notify="), "no option"),
        ((*PLACE, "--dry-run --notify"), "no option"),
        ((*PLACE, "--dry_run"), "no option"),
    ],
)
def test_wrong_words_are_refused_with_a_sentence(words: tuple[str, ...], said: str) -> None:
    ran = run("deploy.sh", *words)

    assert ran.returncode != 0
    assert said in ran.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    checked = subprocess.run([shellcheck, "-x", f"deploy/{script}"], check=False, cwd=ROOT, capture_output=True, text=True)

    assert (checked.returncode, checked.stdout) == (0, "")
