"""What is sent, and what is made of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from adapters.contract import Delivered, Rejected
from relay.backends.embedded import reports
from relay.domain.errors import BatchRefused
from tests.simulation.mutants.known import mutant
from worker import attempt, delivery, plan, rounds


@mutant("net effect: only the last mutation of a partner row is sent")
def _net_effect() -> AbstractContextManager[Any]:
    return patch.multiple(plan, net_effect=lambda planned: (planned, []), in_rounds=lambda planned: (tuple(planned),))


@mutant("net effect: decided on the row as the partner knows it")
def _net_effect_on_rows() -> AbstractContextManager[Any]:
    real = rounds.PlannedRow
    return patch.object(
        plan, "PlannedRow", lambda values, event, at, number, keys, group: real(values, event, at, number, (f"{number}",), group)
    )


@mutant("a refused call is halved until the bad row is found")
def _isolation() -> AbstractContextManager[Any]:
    def isolate(rows: Sequence[Any], send: Any, settle: Any, chance: Any) -> list[Any]:
        try:
            results = send(rows)
        except BatchRefused as refused:
            results = [Rejected(refused.code, refused.hint) for _ in rows]
        settle(rows, results)
        return []

    return patch.object(delivery, "isolate", isolate)


@mutant("a partner's fine is read")
def _results() -> AbstractContextManager[Any]:
    return patch("adapters.pangolin.Pangolin.results", lambda self, operation, rows, body: [Delivered() for _ in rows])


@mutant("all refused alike: nobody is rejected")
def _alike() -> AbstractContextManager[Any]:
    return patch.object(delivery, "_all_refused_alike", lambda outcomes: None)


@mutant("what is left of a batch joins the hold")
def _rest() -> AbstractContextManager[Any]:
    real = delivery._rest
    return patch.object(delivery, "_rest", lambda messages, *given: (None,) * len(real(messages, *given)))


@mutant("net effect: rows that share only some keys go in rounds")
def _rounds() -> AbstractContextManager[Any]:
    return patch.object(plan, "in_rounds", lambda planned: (tuple(planned),))


@mutant("a rejection is written down")
def _rejections() -> AbstractContextManager[Any]:
    return patch.object(reports, "add_rejections", lambda *given: None)


@mutant("a feed's request waits behind what is held", shown_by="a feed asks while its audience is held")
def _asks_behind() -> AbstractContextManager[Any]:
    real = attempt.Attempt._answered

    def answered(self: attempt.Attempt) -> None:
        self._audience = replace(self._audience, hold=None)
        real(self)

    return patch.object(attempt.Attempt, "_answered", answered)


@mutant(
    "what a feed's call may still do comes before what is sent later",
    shown_by="a feed's call is applied late, and another one comes meanwhile",
)
def _asks_once() -> AbstractContextManager[Any]:
    return patch.object(attempt.Attempt, "_may_still_be_applied", lambda self: False)
