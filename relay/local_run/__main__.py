"""`python -m relay.local_run`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import io
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

import requests

import relay.configuration
from relay.backends import open_backend
from relay.configuration import LOCAL_SECRETS, Configuration
from relay.domain.errors import RelayError
from relay.local_run import arrival, banner, logs, readiness
from relay.local_run.preparation import CONNECTOR, Prepared, alone, check_address, check_ports, prepare
from relay.local_run.processes import Children
from relay.local_run.stack import Process, Stack
from relay.local_run.terminal import Terminal
from relay.simulator import population
from relay.simulator.dmp import DmpAudience
from relay.simulator.summary import as_text
from relay.simulator.traffic import Simulation

_TRAFFIC_S = 10.0
_RATE = 10.0
_ARRIVAL_PATIENCE_S = 30.0
_WATCH_S = 0.2

AUDIENCES = population.audiences(3)


class LocalRun:
    """One run, from the checks to the end of the last process."""

    def __init__(self, configuration: Configuration, stack: Stack) -> None:
        self._configuration = configuration
        self._stack = stack
        self._receiver_url = f"{configuration.local_url(configuration.receiver_port)}/{CONNECTOR}"
        self._stop = threading.Event()
        self._signals = 0
        self._terminal = Terminal(lost=self._stop.set)
        self._attendance = ExitStack()

    def run(self) -> int:
        """The exit code. Raises `RelayError` before anything is started."""
        check_address(self._configuration)
        check_ports(self._configuration)
        self._stack.check()
        with alone(self._configuration.state_dir):
            return self._run_alone()

    def _run_alone(self) -> int:
        self._say(f"state: {self._stack.state}")
        directory = logs.make_directory(self._configuration.state_dir)
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, self._on_signal)
        children = Children(directory, self._terminal.pass_on)
        try:
            self._run(children)
            return self._watch(children)
        except RelayError as error:
            self._terminal.complain(str(error))
            return 1
        finally:
            self._attendance.close()
            if children.any():
                self._say("ending ...")
            children.end(at_once=lambda: self._signals > 1)

    def _run(self, children: Children) -> None:
        """Until everything runs and was shown, or was told to end."""
        self._start(children, self._stack.foundation())
        if self._stop.is_set():
            return
        self._stack.lay()
        prepared = self._prepare()
        self._start(children, self._stack.processes(prepared))
        if self._stop.is_set():
            return
        self._attendance.enter_context(self._stack.attended(self._terminal.complain))
        self._show(prepared, children)

    def _prepare(self) -> Prepared:
        backend = open_backend(self._stack.configuration)
        try:
            prepared = prepare(self._stack.configuration, backend)
        finally:
            backend.close()
        for note in prepared.notes:
            self._say(note)
        return prepared

    def _start(self, children: Children, processes: Sequence[Process]) -> None:
        """Returns when all of them are ready, or when this is to end. Raises `NotStarted`."""
        ready = {}
        for process in processes:
            child = children.start(
                process.name,
                process.command,
                environment=process.environment,
                sign=process.sign,
                only_logged=process.only_logged,
            )
            ready[process.name] = process.ready or readiness.signs(child)
            self._say(f"{process.name} started (process {child.pid})")
        readiness.wait(children, ready, self._stop)

    def _show(self, prepared: Prepared, children: Children) -> None:
        if self._configuration.traffic:
            self._simulate(prepared, children)
        if not self._stop.is_set() and children.ended() is None:
            audience = DmpAudience(AUDIENCES[0].id, self._name_at_pangolin())
            self._say(banner.text(self._stack.configuration, prepared, audience, self._stack.remarks))

    def _name_at_pangolin(self) -> str:
        """How Pangolin shows the audience that the banner's command adds to; empty while it has none."""
        try:
            return self._pangolin().name(f"{CONNECTOR}/{AUDIENCES[0].id}")
        except requests.RequestException:
            return ""

    def _pangolin(self) -> arrival.Pangolin:
        url = self._configuration.local_url(self._configuration.pangolin_port)
        return arrival.Pangolin(url, LOCAL_SECRETS["pangolin-token"])

    def _simulate(self, prepared: Prepared, children: Children) -> None:
        self._say(f"playing the DMP for {_TRAFFIC_S:.0f} seconds: users join and leave {len(AUDIENCES)} audiences ...")
        traffic_over = threading.Event()
        simulation = Simulation(
            self._receiver_url,
            prepared.hmac_secret,
            prepared.basic,
            audiences=AUDIENCES,
            rate=_RATE,
            duration_s=_TRAFFIC_S,
            seed=random.SystemRandom().randrange(1_000_000),
            stop=traffic_over,
        )
        begun = 0

        def on_progress() -> None:
            nonlocal begun
            begun += 1
            self._terminal.show_bar(begun, simulation.requests)
            if self._stop.is_set() or children.ended() is not None:
                traffic_over.set()

        simulation.on_progress(on_progress)
        summary = simulation.run()
        self._terminal.end_bar()
        if self._stop.is_set() or children.ended() is not None:
            return
        self._say(f"\nsimulated traffic: {as_text(summary)}")
        self._say(self._arrived(simulation))

    def _arrived(self, simulation: Simulation) -> str:
        pangolin = self._pangolin()
        deadline = time.monotonic() + _ARRIVAL_PATIENCE_S
        try:
            seen = arrival.wait_for(
                pangolin, CONNECTOR, simulation.ledger, pause=lambda: self._stop.wait(_WATCH_S) or time.monotonic() > deadline
            )
        except requests.RequestException as error:
            return arrival.not_asked(error)
        if seen.differing:
            return f"Not everything has arrived yet: {seen.differing} users differ at Pangolin. What holds them: diy status"
        return (
            f"arrived: the {seen.members} members that the DMP meant are in Pangolin's {seen.audiences} audiences, and nobody "
            "who left is"
        )

    def _watch(self, children: Children) -> int:
        while not self._stop.wait(_WATCH_S):
            if (child := children.ended()) is not None:
                self._terminal.complain(readiness.epitaph(child))
                return 1
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _say(self, text: str) -> None:
        self._terminal.say(text)


def _stack(configuration: Configuration) -> Stack:
    if configuration.backend == "google":
        from relay.local_run.google import GoogleStack

        return GoogleStack(configuration)
    from relay.local_run.embedded import EmbeddedStack

    return EmbeddedStack(configuration)


def main() -> int:
    """The exit code: 0 after Ctrl-C, 1 if a process ended by itself or could not be started."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        configuration = relay.configuration.read()
        if configuration.feed_port:
            configuration = relay.configuration.with_local_feeds(configuration)
        return LocalRun(configuration, _stack(configuration)).run()
    except RelayError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
