"""Bad weather for a running stack: the partner's faults, processes that end or freeze, switches. By chance, and seeded."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from typing import Any

from tests.end_to_end.stack import Stack

STEADY = "first worker"
"""The worker that is never ended, so that what it keeps can be watched; it is frozen like the others."""

PARTNER: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"status": 503, "calls": 5},
    {"status": 429, "retry_after": 2},
    {"error_rate": 0.4},
    {"html": True, "calls": 3},
    {"unauthorized": True, "calls": 2},
    {"latency_ms": 400},
    {"hang": True, "calls": 2},
    {"limit_per_s": 20},
)

_LONGEST_FREEZE_S = 4.0
"""Shorter than the DMP waits for an answer: a request that is sent again while the first one is under way has no order."""


class Weather:
    """`happened`: how often what."""

    def __init__(self, stack: Stack, audiences: list[str], seed: int) -> None:
        self._stack, self._audiences = stack, audiences
        self._chance = random.Random(seed)
        self.happened: Counter[str] = Counter()

    def bad(self, until: float, *, receiver_too: bool) -> None:
        """One thing after the other until that moment (monotonic). receiver_too: the receiver ends now and then, too."""
        things = [self._partner, self._partner, self._end_worker, self._freeze, self._switch]
        if receiver_too:
            things.append(self._end_receiver)
        while (left := until - time.monotonic()) > 0:
            self._chance.choice(things)(min(left, self._chance.uniform(1.0, 10.0)))
            time.sleep(max(0.0, min(until - time.monotonic(), self._chance.uniform(0.2, 3.0))))

    def _partner(self, seconds: float) -> None:
        faults = self._chance.choice(PARTNER)
        self.happened[f"partner: {next(iter(faults))}"] += 1
        self._stack.pangolin("PUT", "/api/faults", **faults)
        time.sleep(seconds)
        self._stack.pangolin("DELETE", "/api/faults")

    def _end_worker(self, _seconds: float) -> None:
        self._end("worker")

    def _end_receiver(self, _seconds: float) -> None:
        self._end("receiver")

    def _end(self, name: str) -> None:
        if self._chance.random() < 0.5:
            self.happened[f"kill -9: {name}"] += 1
            self._stack.kill(name)
        else:
            self.happened[f"SIGTERM: {name}"] += 1
            self._stack.terminate(name)
        time.sleep(self._chance.uniform(0.0, 1.0))
        self._stack.start(name)

    def _freeze(self, seconds: float) -> None:
        name = self._chance.choice(["receiver", "worker", STEADY])
        self.happened[f"freeze: {name}"] += 1
        group = self._stack.processes[name].pid
        os.killpg(group, signal.SIGSTOP)
        try:
            time.sleep(min(seconds, _LONGEST_FREEZE_S))
        finally:
            os.killpg(group, signal.SIGCONT)

    def _switch(self, seconds: float) -> None:
        publishing, backend = self._stack.publishing, self._stack.backend
        audience = self._chance.choice(self._audiences)
        match self._chance.choice(["connector", "action", "pause", "audience"]):
            case "connector":
                publishing.set_enabled("pangolin", False)
                time.sleep(seconds)
                publishing.set_enabled("pangolin", True)
            case "action":
                publishing.set_action("pangolin", "Remove", "paused")
                time.sleep(seconds)
                publishing.set_action("pangolin", "Remove", None)
            case "pause":
                backend.connectors.set_paused("pangolin", True)
                time.sleep(seconds)
                backend.connectors.set_paused("pangolin", False)
            case "audience":
                backend.audiences.set_paused("pangolin", audience, True)
                time.sleep(seconds)
                backend.audiences.set_paused("pangolin", audience, False)
        self.happened["switch"] += 1
