"""Who is not known to be genuine cannot fill the log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest
from starlette.requests import Request

from handlers.inbound import InboundView
from handlers.mapp.receiver import Receiver
from handlers.mapp.refusal_log import IN_A_SECOND, MOST_SHARES, TOO_MUCH_HELD, RefusalLog
from handlers.mapp.request_log import RequestRecord
from relay.domain.errors import Refusal
from tests.clock import TurnedClock
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


async def broken_off() -> dict[str, object]:
    """What a server says of a sender that hung up."""
    return {"type": "http.disconnect"}


def test_of_a_flood_of_requests_that_hang_up_some_have_a_line(edge: Edge, lines: Lines) -> None:
    head = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": [], "client": ("127.0.0.1", 1)}

    async def flood() -> None:
        view = InboundView(edge.backend.inbound, reread_s=3600)
        receiver = Receiver(view, edge.publisher, edge.creator, TurnedClock())
        for _ in range(3 * IN_A_SECOND):
            assert (await receiver(Request(head, broken_off))).status_code == 400
        view.close()

    asyncio.run(flood())
    written = [line["error"] for line in lines() if line["event"] == "request"]
    assert written == ["client_gone"] * IN_A_SECOND


def refuse(refusals: Iterable[tuple[str, Refusal]]) -> None:
    """Requests to these connectors are refused so, all within one second."""
    clock = TurnedClock()
    refusal_log = RefusalLog(clock)

    async def write() -> None:
        for number, (connector, refusal) in enumerate(refusals):
            record = RequestRecord(str(number))
            record.connector = connector
            refusal_log.write(record, refusal, clock.monotonic())
        refusal_log._tell()

    asyncio.run(write())


WRONG = Refusal(401, "The signature is wrong.", code="signature_refused")


@pytest.mark.parametrize(
    "other", [("honest", WRONG), ("flooded", Refusal(413, "It is too large.", code="body_too_large"))], ids=["connector", "kind"]
)
def test_a_flood_takes_no_line_from_another(lines: Lines, other: tuple[str, Refusal]) -> None:
    refuse([*[("flooded", WRONG)] * 5 * IN_A_SECOND, other])
    written = [(line["connector"], line["error"]) for line in lines() if line["event"] == "request"]
    assert (other[0], other[1].code) in written
    assert len(written) == IN_A_SECOND + 1


def test_who_knows_many_connectors_cannot_cause_lines_for_each(lines: Lines) -> None:
    refuse((f"connector-{number}", WRONG) for number in range(2 * MOST_SHARES))
    assert Counter(line["event"] for line in lines()) == {"request": MOST_SHARES, "requests_refused": MOST_SHARES}


def test_trouble_of_ours_always_has_its_line(lines: Lines) -> None:
    refuse([("pangolin", Refusal(503, "Nothing can be read.", code="store_unavailable"))] * 3 * IN_A_SECOND)
    assert [(line["event"], line["severity"]) for line in lines()] == [("request", "ERROR")] * 3 * IN_A_SECOND


def test_trouble_that_anybody_can_cause_is_counted_as_trouble(edge: Edge, lines: Lines) -> None:
    edge.set_max_held_bytes(1)
    flood = 3 * IN_A_SECOND
    for _ in range(flood):
        assert edge.post({"Mutations": [user()]}, type="ADD_TO_AUDIENCE").status_code == 503
    written: list[dict[str, object]] = []

    def all_told() -> bool:
        written.extend(line for line in lines() if line["event"] in ("request", "requests_refused"))
        return sum(int(str(line.get("more", 1))) for line in written) == flood

    eventually(all_told)
    assert {(line["severity"], line["error"]) for line in written} == {("ERROR", TOO_MUCH_HELD)}
    assert "requests_refused" in {line["event"] for line in written}
