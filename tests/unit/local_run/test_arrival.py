"""Whether the partner ended up with what the DMP meant, and what is said where it cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from relay.local_run.arrival import Pangolin, not_asked
from relay.pangolin.server import InThread


def test_a_pangolin_whose_faults_are_still_set_is_said_to_have_answered_so(tmp_path: Path) -> None:
    with InThread(tmp_path / "pangolin.db", "token") as partner:
        headers = {"Authorization": "Bearer token"}
        requests.put(f"{partner.url}/api/faults", json={"status": 503}, headers=headers, timeout=10)

        with pytest.raises(requests.RequestException) as problem:
            Pangolin(partner.url, "token").members("pangolin/a.1")

    assert "Pangolin answered 503" in not_asked(problem.value)
    assert "DELETE /api/faults" in not_asked(problem.value)


def test_one_that_is_not_there_could_not_be_asked() -> None:
    with pytest.raises(requests.RequestException) as problem:
        Pangolin("http://127.0.0.1:9", "token").members("pangolin/a.1")

    assert not_asked(problem.value) == "Pangolin could not be asked for its members (ConnectionError)."


def test_an_audience_is_called_what_pangolin_calls_it(tmp_path: Path) -> None:
    with InThread(tmp_path / "pangolin.db", "token") as partner:
        body = {"name": "As it was first called", "reference": "pangolin/a.1"}
        requests.post(f"{partner.url}/api/audiences", json=body, headers={"Authorization": "Bearer token"}, timeout=10)
        asked = Pangolin(partner.url, "token")

        assert asked.name("pangolin/a.1") == "As it was first called"
        assert asked.name("pangolin/a.2") == ""
