"""A person is forgotten by the command, while the processes work."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from tests.end_to_end.stack import ROOT, Stack, eventually

WHO = "jo-canary-4711"
AUDIENCES = [f"erase.{number}" for number in range(3)]


def _diy(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The identifier is piped in."""
    command = [sys.executable, "-m", "relay.cli", "users", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=stack.environment, input=f"{WHO}\n", capture_output=True, text=True, timeout=120, check=False
    )


def _send(stack: Stack, numbers: range) -> None:
    for number in numbers:
        for audience in AUDIENCES:
            assert stack.change(audience, [f"u{number}", WHO, f"v{number}"]).status_code == 200


def test_a_person_is_forgotten_while_others_are_delivered(stack: Stack) -> None:
    stack.start()
    stack.publishing.set_enabled("pangolin", False)
    _send(stack, range(6))
    eventually(lambda: sum(one.hold.batches for one in stack.backend.audiences.held() if one.hold) == 18)
    found = msgspec.json.decode(_diy(stack, "find", "--json").stdout)
    assert [(trace["place"], trace["reason"]) for trace in found["traces"]] == [("hold", "connector_off")] * 18

    forgotten = _diy(stack, "forget", "--yes")
    assert forgotten.returncode == 0, forgotten.stderr
    assert "Removed: 18 in holds." in forgotten.stdout

    stack.pangolin("PUT", "/api/faults", latency_ms=50)
    stack.publishing.set_enabled("pangolin", True)
    _send(stack, range(6, 12))
    forgotten = _diy(stack, "forget", "--yes")
    assert forgotten.returncode in (0, 1), forgotten.stderr
    stack.pangolin("DELETE", "/api/faults")
    others = {f"{letter}{number}" for letter in "uv" for number in range(12)}
    eventually(lambda: stack.drained() and all(stack.members(audience) - {WHO} == others for audience in AUDIENCES), within_s=90)

    forgotten = _diy(stack, "forget", "--yes")
    assert forgotten.returncode == 0, forgotten.stdout
    assert msgspec.json.decode(_diy(stack, "find", "--json").stdout)["traces"] == []
    stack.stop()
    kept = [file for file in stack.state.rglob("*") if file.is_file() and not file.name.startswith("pangolin")]
    assert [file.name for file in kept if WHO.encode() in file.read_bytes()] == []
    assert WHO not in stack.outputs() + forgotten.stdout + forgotten.stderr
