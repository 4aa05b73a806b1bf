"""The local run on the google back end: the functions as processes, between the emulators of what they use on Google Cloud."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

import relay.configuration
from relay.backends import open_backend
from relay.configuration import Configuration
from relay.domain.errors import ConfigurationError, StoreUnavailable
from relay.local_run import emulators, journal_export, readiness, secret_manager
from relay.local_run.emulators import Emulator, address, free_ports
from relay.local_run.preparation import Prepared
from relay.local_run.push_subscription import LONGEST_ACK_DEADLINE_S, SHORTEST_ACK_DEADLINE_S, subscribe
from relay.local_run.scheduler import Scheduler
from relay.local_run.stack import PYTHON, Process, Remarks, console, feeds, function, pangolin, receiver

PROJECT = "diy-relay-local"
"""The emulators take any. Not the operator's own, so that nothing that is forgotten can reach it."""

DELIVER_THREADS = 16
CREATE_THREADS = 8
TICK_THREADS = 2
"""A call of `tick` may last for most of a minute, and one for `/tidy` comes in between."""

JOURNAL_BATCH_S = 1.0
"""As often the journal's objects are written; on Google it is a minute. Here somebody is looking on."""

_OF_THE_STATE = (
    "BACKEND", "GOOGLE_CLOUD_PROJECT", "FIRESTORE_DATABASE", "TOPIC", "SECRET_PREFIX", "PUBSUB_EMULATOR_HOST",
    "FIRESTORE_EMULATOR_HOST", "SECRET_MANAGER_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "JOURNAL_BUCKET", "JOURNAL_BATCH_S",
)  # fmt: skip
"""Variables that say where the state is."""


class GoogleStack:
    """See `stack.Stack`. Nothing of it outlasts the run."""

    state = "in the emulators; it is gone when this ends"

    def __init__(self, configuration: Configuration) -> None:
        taken = (
            configuration.receiver_port, configuration.console_port, configuration.pangolin_port, configuration.feed_port,
            configuration.gateway_port,
        )  # fmt: skip
        ports = _free_ports(7, taken)
        self._pubsub, self._firestore, self._secrets, self._journal, create, deliver, tick = ports
        self._ports = {"create": create, "deliver": deliver, "tick": tick}
        self.configuration = replace(
            configuration,
            backend="google",
            google_cloud_project=PROJECT,
            google_cloud_region="",
            inbound_file="",
            create_url=f"{configuration.local_url(create)}/",
            pubsub_emulator=address(self._pubsub),
            firestore_emulator=address(self._firestore),
            secret_manager_emulator=address(self._secrets),
            storage_emulator=address(self._journal),
            journal_bucket=f"{PROJECT}-journal",
            journal_batch_s=JOURNAL_BATCH_S,
        )

    @property
    def remarks(self) -> Remarks:
        settings = self.configuration
        places = (
            ("create", self._url("create"), "makes audiences, for the receiver"),
            ("deliver", self._url("deliver"), "the worker; Pub/Sub pushes each message to it"),
            ("tick", self._url("tick"), "looks at the holds; this run calls it every minute, in place of Cloud Scheduler"),
            ("Pub/Sub", settings.pubsub_emulator, "emulator"),
            ("Firestore", settings.firestore_emulator, "emulator"),
            ("secrets", settings.secret_manager_emulator, "stands in for Secret Manager, which has no emulator"),
            ("journal", settings.storage_emulator, "stands in for Cloud Storage, and for what Pub/Sub writes to it"),
        )
        variables = relay.configuration.environment(settings)
        said = " ".join(f"{name}={shlex.quote(variables[name])}" for name in _OF_THE_STATE)
        return Remarks(places, f"export {said}", "the relay's state is in the emulators and is gone then, Pangolin's is kept")

    def check(self) -> None:
        if obstacle := emulators.obstacle():
            raise ConfigurationError(f"BACKEND=google cannot run on this machine. {obstacle}")
        deadline = self.configuration.ack_deadline_s
        if not SHORTEST_ACK_DEADLINE_S <= deadline <= LONGEST_ACK_DEADLINE_S:
            raise ConfigurationError(
                f"ACK_DEADLINE_S is {deadline:g}; Pub/Sub takes {SHORTEST_ACK_DEADLINE_S} to {LONGEST_ACK_DEADLINE_S} seconds."
            )

    def foundation(self) -> Sequence[Process]:
        variables = relay.configuration.environment(self.configuration)
        stand_in = (*PYTHON, "relay.local_run.secret_manager", "--port", str(self._secrets))
        journal = (*PYTHON, "relay.local_run.journal_export", "--port", str(self._journal))
        return (
            self._emulator("pubsub", emulators.PUBSUB, self._pubsub),
            self._emulator("firestore", emulators.FIRESTORE, self._firestore),
            Process("secrets", stand_in, variables, sign=secret_manager.SIGN, only_logged=True),
            Process("journal", journal, variables, sign=journal_export.SIGN, only_logged=True),
        )

    def lay(self) -> None:
        subscribe(self.configuration, endpoint=self._url("deliver"))
        journal_export.subscribe(self.configuration)
        _await_store(self.configuration)

    def processes(self, prepared: Prepared) -> Sequence[Process]:
        settings = self.configuration
        return (
            pangolin(settings),
            function("create", settings, self._ports["create"], threads=CREATE_THREADS),
            function("deliver", settings, self._ports["deliver"], threads=DELIVER_THREADS),
            function("tick", settings, self._ports["tick"], threads=TICK_THREADS),
            receiver(settings, prepared),
            console(settings),
            *feeds(settings),
        )

    @contextmanager
    def attended(self, complain: Callable[[str], None]) -> Iterator[None]:
        scheduler = Scheduler(self._url("tick"), complain)
        scheduler.start()
        try:
            yield
        finally:
            scheduler.stop()

    def _url(self, name: str) -> str:
        return f"{self.configuration.local_url(self._ports[name])}/"

    def _emulator(self, name: str, emulator: Emulator, port: int) -> Process:
        variables = relay.configuration.environment(self.configuration)
        return Process(name, tuple(emulator.command(port)), variables, emulators.answers(port), only_logged=True)


def _await_store(configuration: Configuration) -> None:
    """Returns when Firestore's emulator has served a call: it listens some time before, and its first one takes long."""
    backend = open_backend(configuration)
    give_up_at = time.monotonic() + readiness.PATIENCE_S
    try:
        while True:
            try:
                backend.connectors.documents()
                return
            except StoreUnavailable:
                if time.monotonic() > give_up_at:
                    raise
    finally:
        backend.close()


def _free_ports(number: int, taken: Collection[int]) -> list[int]:
    """Ports that nothing else of this run is going to use."""
    return [port for port in free_ports(number + len(taken)) if port not in taken][:number]
