"""`python -m relay.local_run`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import io
import random
import signal
import sys
import threading
import time
from types import FrameType

import requests

import relay.configuration
from relay.backends import open_backend
from relay.configuration import LOCAL_SECRETS, Configuration, bracketed
from relay.domain.errors import RelayError
from relay.local_run import arrival, banner, logs, readiness
from relay.local_run.preparation import CONNECTOR, ROOT, Prepared, check_address, check_ports, prepare
from relay.local_run.processes import Children
from relay.local_run.terminal import Terminal
from relay.simulator import population
from relay.simulator.dmp import Dmp, DmpAudience
from relay.simulator.summary import as_text
from relay.simulator.traffic import Simulation

_TRAFFIC_S = 10.0
_RATE = 10.0
_ARRIVAL_PATIENCE_S = 30.0
_WATCH_S = 0.2

AUDIENCES = population.audiences(3)


class LocalRun:
    """One run, from the checks to the end of the last process."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._receiver_url = f"{configuration.local_url(configuration.receiver_port)}/{CONNECTOR}"
        self._stop = threading.Event()
        self._signals = 0
        self._terminal = Terminal(lost=self._stop.set)

    def run(self) -> int:
        """The exit code. Raises `RelayError` before anything is started."""
        check_address(self._configuration)
        check_ports(self._configuration)
        prepared = self._prepare()
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, self._on_signal)
        children = Children(self._configuration.state_dir / logs.DIRECTORY, self._terminal.pass_on)
        try:
            self._start(children, prepared)
            if not self._stop.is_set():
                self._show(prepared, children)
            return self._watch(children)
        except RelayError as error:
            self._terminal.complain(str(error))
            return 1
        finally:
            self._say("ending ...")
            children.end(at_once=lambda: self._signals > 1)

    def _prepare(self) -> Prepared:
        state = self._configuration.state_dir
        self._say(f"state: {state.resolve()}{'' if state.exists() else ' (new)'}")
        backend = open_backend(self._configuration)
        try:
            prepared = prepare(self._configuration, backend)
        finally:
            backend.close()
        for note in prepared.notes:
            self._say(note)
        return prepared

    def _start(self, children: Children, prepared: Prepared) -> None:
        settings = self._configuration
        python = [sys.executable, "-u", "-m"]
        function = [*python, "functions_framework", "--source", str(ROOT / "main.py"), "--host", bracketed(settings.host)]
        commands = {
            "pangolin": [*python, "relay.pangolin"],
            "worker": [*python, "relay.cli", "worker", "--quiet"],
            "receiver": [*function, "--target", "diy", "--port", str(settings.receiver_port)],
            "console": [*function, "--target", "console", "--port", str(settings.console_port)],
        }
        started = {}
        for name, command in commands.items():
            started[name] = children.start(name, command, sign="worker_started" if name == "worker" else "")
            self._say(f"{name} started (process {started[name].pid})")
        readiness.wait(
            children,
            {
                "pangolin": readiness.answers(f"{settings.local_url(settings.pangolin_port)}/"),
                "worker": readiness.signs(started["worker"]),
                "receiver": readiness.accepts(Dmp(self._receiver_url, prepared.hmac_secret, prepared.basic, timeout_s=2)),
                "console": readiness.answers(f"{settings.local_url(settings.console_port)}/"),
            },
            self._stop,
        )

    def _show(self, prepared: Prepared, children: Children) -> None:
        if self._configuration.traffic:
            self._simulate(prepared, children)
        if not self._stop.is_set() and children.ended() is None:
            self._say(banner.text(self._configuration, prepared, DmpAudience(AUDIENCES[0].id, self._name_at_pangolin())))

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


def main() -> int:
    """The exit code: 0 after Ctrl-C, 1 if a process ended by itself or could not be started."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        return LocalRun(relay.configuration.read()).run()
    except RelayError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
