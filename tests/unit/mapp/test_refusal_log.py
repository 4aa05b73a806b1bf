"""Who is not known to be genuine cannot fill the log."""

from __future__ import annotations

from collections import Counter

from handlers.mapp.refusal_log import IN_A_SECOND
from tests.unit.mapp.conftest import Lines
from tests.unit.mapp.edge import Edge, eventually, user


def test_of_a_flood_of_refused_requests_some_have_a_line_and_the_others_are_counted(edge: Edge, lines: Lines) -> None:
    flood = 3 * IN_A_SECOND
    for _ in range(flood):
        assert edge.post({"Mutations": [user()]}, type="ADD_TO_AUDIENCE", sign="another").status_code == 401
    written: list[dict[str, object]] = []

    def all_told() -> bool:
        written.extend(line for line in lines() if line["event"] in ("request", "requests_refused"))
        return sum(int(str(line.get("more", 1))) for line in written) == flood

    eventually(all_told)
    counted = Counter(line["event"] for line in written)
    assert counted["requests_refused"] >= 1
    assert counted["request"] < flood
    assert {(line["status"], line["error"], line["connector"]) for line in written} == {(401, "signature_refused", "pangolin")}


def test_a_genuine_request_always_has_its_line(edge: Edge, lines: Lines) -> None:
    for _ in range(2 * IN_A_SECOND):
        assert edge.post({"Mutations": []}, type="unheard of").status_code == 400
    assert [line["error"] for line in lines() if line["event"] == "request"] == ["unknown_type"] * 2 * IN_A_SECOND
