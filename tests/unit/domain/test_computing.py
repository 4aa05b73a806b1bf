"""Threads of a process compute one at a time, and nobody is kept from it by one that does not go on."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from relay.domain.clock import SystemClock
from relay.domain.computing import Computing, computing

LONG_S = 30.0
"""Nothing here takes so long, unless it never comes."""


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _computing(computing: Computing) -> tuple[threading.Thread, threading.Event]:
    """A thread that wants to compute once, and what tells that it has."""
    computed = threading.Event()

    def compute() -> None:
        with computing.alone():
            computed.set()

    return _started(compute), computed


def _ends(thread: threading.Thread) -> None:
    thread.join(LONG_S)
    assert not thread.is_alive()


def _until_in_line(computing: Computing, number: int) -> None:
    until = time.monotonic() + LONG_S
    while len(computing._in_line) < number:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_one_computes_at_a_time() -> None:
    computing = Computing(patience_s=LONG_S)
    at_once, most = 0, 0

    def compute() -> None:
        nonlocal at_once, most
        for _ in range(200):
            with computing.alone():
                at_once += 1
                most = max(most, at_once)
                threading.Event().wait(0.0001)  # as a file would: it lets other threads go on
                at_once -= 1

    for thread in [_started(compute) for _ in range(4)]:
        _ends(thread)

    assert most == 1


def test_another_computes_while_one_waits() -> None:
    computing = Computing(patience_s=LONG_S)
    with computing.alone():
        other, computed = _computing(computing)
        assert not computed.wait(0.05)
        with computing.waiting():
            assert computed.wait(LONG_S)
    _ends(other)


def test_who_has_waited_computes_alone_again() -> None:
    computing = Computing(patience_s=LONG_S)
    with computing.alone():
        with computing.waiting():
            pass
        other, computed = _computing(computing)
        assert not computed.wait(0.05)
    _ends(other)


def test_one_that_does_not_go_on_keeps_others_no_longer_than_their_patience() -> None:
    computing = Computing(patience_s=0.01)
    goes_on = threading.Event()
    is_stuck = threading.Event()

    def be_stuck() -> None:
        with computing.alone():
            is_stuck.set()
            goes_on.wait(LONG_S)
            with computing.waiting():
                pass

    stuck = _started(be_stuck)
    assert is_stuck.wait(LONG_S)
    for other, _ in [_computing(computing) for _ in range(5)]:
        _ends(other)
    assert stuck.is_alive()

    goes_on.set()
    _ends(stuck)
    with computing.alone():
        another, _ = _computing(computing)
    _ends(another)


def test_once_one_is_not_waited_for_the_others_take_turns_again() -> None:
    computing = Computing(patience_s=1.0)
    taken, second_is_in = threading.Event(), threading.Event()
    first_goes_on, second_goes_on = threading.Event(), threading.Event()

    def be_stuck() -> None:
        with computing.alone():
            taken.set()
            first_goes_on.wait(LONG_S)

    def second() -> None:
        with computing.alone():
            second_is_in.set()
            second_goes_on.wait(LONG_S)

    stuck = _started(be_stuck)
    assert taken.wait(LONG_S)
    two = _started(second)
    assert second_is_in.wait(LONG_S)
    three, third_is_in = _computing(computing)

    first_goes_on.set()  # it gives back what nobody waits for any more, which lets nobody in
    _ends(stuck)
    assert not third_is_in.wait(0.05)

    second_goes_on.set()
    _ends(two)
    _ends(three)


def test_who_comes_first_computes_first() -> None:
    computing = Computing(patience_s=LONG_S)
    in_order: list[int] = []
    came = [threading.Event() for _ in range(4)]

    def compute(number: int) -> None:
        came[number].set()
        with computing.alone():
            in_order.append(number)

    threads = []
    with computing.alone():
        for number in range(4):
            threads.append(_started(partial(compute, number)))
            assert came[number].wait(LONG_S)
            _until_in_line(computing, number + 1)
    for thread in threads:
        _ends(thread)

    assert in_order == [0, 1, 2, 3]


def test_those_in_line_compute_before_one_that_has_time() -> None:
    computing = Computing(patience_s=LONG_S)
    computed: list[str] = []

    def compute() -> None:
        with computing.alone():
            computed.append("in line")

    with computing.alone():
        computing.after_others()  # there is nobody
        others = [_started(compute) for _ in range(3)]
        _until_in_line(computing, 3)
        computing.after_others()
        computed.append("one that has time")
    for other in others:
        _ends(other)

    assert computed == ["in line", "in line", "in line", "one that has time"]


def test_whoever_loses_patience_while_it_becomes_its_turn_goes_on() -> None:
    """Threads whose patience is over come in the way of each other, and of those that hand over."""
    computing = Computing(patience_s=0.002)
    ended: list[int] = []

    def compute() -> None:
        for _ in range(20):
            with computing.alone():
                time.sleep(0.002)
                with computing.waiting():
                    pass
                computing.after_others()
        ended.append(1)

    for thread in [_started(compute) for _ in range(12)]:
        _ends(thread)

    assert len(ended) == 12
    assert (list(computing._in_line), computing._at_it) == ([], None)


def test_waiting_is_nothing_for_a_thread_that_never_asked() -> None:
    computing = Computing()

    with computing.waiting(), computing.waiting():
        computing.after_others()

    with computing.alone(), computing.waiting(), computing.waiting():
        computing.after_others()


def test_who_sleeps_lets_others_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "_patience_s", LONG_S)
    with computing.alone():
        other, computed = _computing(computing)
        assert not computed.wait(0.05)
        until = time.monotonic() + LONG_S
        while not computed.is_set() and time.monotonic() < until:
            SystemClock().sleep(0.01)
        assert computed.is_set()
    _ends(other)


def test_an_error_leaves_it_to_the_next_one() -> None:
    computing = Computing(patience_s=LONG_S)

    with computing.alone(), pytest.raises(ValueError, match="while it waited"), computing.waiting():
        raise ValueError("while it waited")
    with pytest.raises(ValueError, match="while it computed"), computing.alone():
        raise ValueError("while it computed")

    other, _ = _computing(computing)
    _ends(other)
