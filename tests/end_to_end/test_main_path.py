"""From a signed request to members at the partner, with real processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.end_to_end.stack import HMAC_SECRET, ROOT, Stack, eventually


def test_a_signed_addition_becomes_a_member_and_a_removal_takes_it_away(running: Stack) -> None:
    assert running.change("path.1", ["u1", "u2"]).status_code == 200
    eventually(lambda: running.members("path.1") == {"u1", "u2"})
    assert running.change("path.1", ["u1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: running.members("path.1") == {"u2"})
    assert running.change("path.1", ["u2"], kind="REMOVE_TO_AUDIENCE").status_code == 200
    eventually(lambda: running.members("path.1") == set())


def test_eight_identical_creations_at_once_make_one_audience(running: Stack) -> None:
    body = {"Name": "Eight", "Customer": 1, "Audience": "eight.1"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.post("CREATE_AUDIENCE", body), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    listed = running.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
    assert [one["name"] for one in listed if one["reference"] == "pangolin/eight.1"] == ["Eight"]


def test_a_refused_audience_is_explained_to_the_dmp_in_our_own_words(running: Stack) -> None:
    running.pangolin("PUT", "/api/faults", status=422)
    try:
        answer = running.post("CREATE_AUDIENCE", {"Name": "Refused", "Audience": "refused.1"})
    finally:
        running.pangolin("DELETE", "/api/faults")
    assert answer.status_code == 422
    assert answer.json()["error"] == (
        "The partner refused the audience: Pangolin does not make an audience like this one. Give it another name in the DMP, of "
        "at most 1,000 characters, and share it again; if that does not help, ask whoever runs Pangolin (status 422)."
    )


def test_a_creation_that_takes_too_long_is_accepted_and_finished_before_its_additions(running: Stack) -> None:
    running.pangolin("PUT", "/api/faults", latency_ms=3_500, calls=1)
    try:
        answer = running.post("CREATE_AUDIENCE", {"Name": "Slow", "Audience": "slow.1"})
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 3
        assert running.change("slow.1", ["u1"]).status_code == 200
    finally:
        running.pangolin("DELETE", "/api/faults")
    eventually(lambda: running.members("slow.1") == {"u1"}, within_s=60)


def test_fifty_thousand_mutations_in_one_request_are_delivered(running: Stack) -> None:
    users = [f"bulk-{number}-{'x' * 40}" for number in range(50_000)]
    assert running.change("bulk.1", users, timeout=30).status_code == 200
    eventually(lambda: running.size("bulk.1") == 50_000, within_s=120, every_s=1)


def test_a_rotated_secret_takes_effect_without_a_restart_and_the_previous_one_still_counts(running: Stack) -> None:
    running.publishing.rotate_secret("dmp-hmac", "the-next-hmac-secret")
    try:
        eventually(lambda: running.change("rotated.1", ["u1"], secret="the-next-hmac-secret").status_code == 200, within_s=60)
        assert running.change("rotated.1", ["u1"], secret=HMAC_SECRET).status_code == 200
        running.publishing.retire_secret("dmp-hmac")
        eventually(lambda: running.change("rotated.1", ["u1"], secret=HMAC_SECRET).status_code == 401, within_s=60)
    finally:
        running.publishing.set_secret("dmp-hmac", HMAC_SECRET)
        eventually(lambda: running.change("rotated.1", ["u1"]).status_code == 200, within_s=60)


def test_eight_processes_that_announce_one_audience_at_once_make_one(running: Stack) -> None:
    command = [sys.executable, "-m", "relay.cli", "audiences", "create", "pangolin", "procs.1", "--name", "Processes"]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=running.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=120)[0].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 8, outputs
    listed = running.pangolin("GET", "/api/audiences?limit=10000")["audiences"]
    assert len([one for one in listed if one["reference"] == "pangolin/procs.1"]) == 1
