"""Every mutation that was answered with 200 arrives, whatever is off or busy meanwhile; `test_crash_matrix` ends processes."""

from __future__ import annotations

import pytest

from tests.end_to_end.stack import Stack, eventually


def test_a_connector_that_is_switched_off_holds_what_arrives_and_delivers_it_in_order_when_it_is_on(stack: Stack) -> None:
    stack.start()
    stack.publishing.set_enabled("pangolin", False)
    assert stack.change("off.1", ["u1", "u2"]).status_code == 200
    assert stack.change("off.1", ["u1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(lambda: any(one.hold and one.hold.batches == 2 for one in stack.backend.audiences.held()))
    assert stack.members("off.1") == set()
    stack.publishing.set_enabled("pangolin", True)
    eventually(lambda: stack.members("off.1") == {"u2"})
    eventually(stack.drained)


@pytest.mark.slow
def test_a_partner_that_was_down_gets_everything_without_help_once_it_is_up(stack: Stack) -> None:
    stack.start()
    assert stack.change("down.1", ["u0"]).status_code == 200
    eventually(lambda: stack.members("down.1") == {"u0"})
    stack.kill("pangolin")
    assert stack.change("down.1", ["u1", "u2"]).status_code == 200
    assert stack.change("down.1", ["u1"], kind="REMOVE_FROM_AUDIENCE").status_code == 200
    eventually(stack.backend.audiences.held)
    stack.start("pangolin")
    eventually(lambda: stack.members("down.1") == {"u0", "u2"}, within_s=60)


def test_two_workers_share_the_work_and_keep_the_order(stack: Stack) -> None:
    stack.start()
    stack.start_second_worker()
    for number in range(60):
        kind = "REMOVE_FROM_AUDIENCE" if number % 3 == 2 else "ADD_TO_AUDIENCE"
        assert stack.change(f"two.{number % 4}", [f"u{number % 5}"], kind=kind).status_code == 200
    expected: dict[str, set[str]] = {f"two.{one}": set() for one in range(4)}
    for number in range(60):
        members = expected[f"two.{number % 4}"]
        (members.discard if number % 3 == 2 else members.add)(f"u{number % 5}")
    eventually(lambda: stack.drained() and {audience: stack.members(audience) for audience in expected} == expected)


def test_a_worker_told_to_end_finishes_what_is_in_hand_and_exits_0(stack: Stack) -> None:
    stack.start()
    stack.pangolin("PUT", "/api/faults", latency_ms=700)
    assert stack.change("term.1", ["u1"]).status_code == 200
    eventually(lambda: any(one.turn for one in stack.backend.audiences.all()), every_s=0.01)
    assert stack.terminate("worker") == 0
    depth = stack.backend.queue.depth()
    assert depth is None or depth.leased == 0
    stack.pangolin("DELETE", "/api/faults")
    stack.start("worker")
    eventually(lambda: stack.members("term.1") == {"u1"})
