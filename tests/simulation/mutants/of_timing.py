"""When calls may begin."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import worker.creation
import worker.fence
from relay.backends.embedded import admission, connectors
from tests.simulation.mutants.known import mutant
from worker import account, calls


@mutant("Retry-After is recorded for the account")
def _remember() -> AbstractContextManager[Any]:
    stack = ExitStack()
    for module in (account, calls, worker.creation):
        stack.enter_context(patch.object(module, "remember", lambda *given: None))
    return stack


@mutant("Retry-After is asked for before each call")
def _not_before() -> AbstractContextManager[Any]:
    real = connectors.EmbeddedConnectors.admit

    def admit(self: Any, connector: str, rate: Any, **named: Any) -> float:
        with patch.object(connectors, "load_not_before", None, create=True):
            wait = real(self, connector, rate, **named)
        state = self.state(connector)
        return 0.0 if state.not_before > self._clock.now() else wait

    return patch.object(connectors.EmbeddedConnectors, "admit", admit)


@mutant("the rate is asked for before each call")
def _rate() -> AbstractContextManager[Any]:
    return patch.object(admission, "admit", lambda *given, **named: 0.0)


@mutant("what was let go too long ago is asked for again")
def _old_admission() -> AbstractContextManager[Any]:
    return patch("worker.rate._SLOW_ANSWER_S", 1e9)
