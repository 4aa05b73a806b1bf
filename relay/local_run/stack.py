"""A local run as its two forms describe it: which processes there are, what must be there before them, what to say of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

import relay.configuration
from relay.configuration import Configuration, bracketed
from relay.local_run import readiness
from relay.local_run.preparation import CONNECTOR, ROOT, Prepared
from relay.simulator.dmp import Dmp

PYTHON = (sys.executable, "-u", "-m")


class Process(msgspec.Struct, frozen=True):
    """A process to start.

    environment  all of its variables
    ready        whether it can be used; None: as soon as it has printed its sign
    sign         a text in one of its lines
    only_logged  what it writes is of no interest in the terminal
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], bool] | None = None
    sign: str = ""
    only_logged: bool = False


class Remarks(msgspec.Struct, frozen=True):
    """What the banner says of this form of the run.

    places  name, address and remark of what there is beside receiver, console and Pangolin
    export  a shell's command by which `diy` works on this state; empty: it does anyway
    end     what becomes of the state when the run ends
    """

    places: tuple[tuple[str, str, str], ...]
    export: str
    end: str


class Stack(Protocol):
    """One form of the run."""

    @property
    def configuration(self) -> Configuration:
        """As the state is opened."""
        ...

    @property
    def state(self) -> str:
        """Where it is, in words."""
        ...

    @property
    def remarks(self) -> Remarks: ...

    def check(self) -> None:
        """Raises `ConfigurationError` if this form cannot run here. Makes nothing."""
        ...

    def foundation(self) -> Sequence[Process]:
        """Processes without which there is no state."""
        ...

    def lay(self) -> None:
        """Makes what the other processes find there, once the foundation runs. Raises `RelayError`."""
        ...

    def processes(self, prepared: Prepared) -> Sequence[Process]:
        """All others."""
        ...

    def attended(self, complain: Callable[[str], None]) -> AbstractContextManager[None]:
        """For as long as the processes run: what this process itself does for them."""
        ...


def pangolin(configuration: Configuration) -> Process:
    """The partner."""
    ready = readiness.answers(f"{configuration.local_url(configuration.pangolin_port)}/")
    return Process("pangolin", (*PYTHON, "relay.pangolin"), relay.configuration.environment(configuration), ready)


def receiver(configuration: Configuration, prepared: Prepared) -> Process:
    """The function `diy`."""
    url = f"{configuration.local_url(configuration.receiver_port)}/{CONNECTOR}"
    ready = readiness.accepts(Dmp(url, prepared.hmac_secret, prepared.basic, timeout_s=2))
    return function("diy", configuration, configuration.receiver_port, name="receiver", ready=ready)


def console(configuration: Configuration) -> Process:
    """The function `console`."""
    return function("console", configuration, configuration.console_port)


def feeds(configuration: Configuration) -> tuple[Process, ...]:
    """The function `external_feed`, where the run has it."""
    port = configuration.feed_port
    if not port:
        return ()
    ready = readiness.answers(f"{configuration.local_url(port)}/v1/status")
    return (function("external_feed", configuration, port, ready=ready),)


def function(
    target: str,
    configuration: Configuration,
    port: int,
    *,
    name: str = "",
    ready: Callable[[], bool] | None = None,
    threads: int = 0,
) -> Process:
    """A function of main.py. ready: if nothing else is given, as soon as it answers. threads: requests at once; 0: as
    functions-framework will have it."""
    framework = (*PYTHON, "functions_framework", "--source", str(ROOT / "main.py"), "--host", bracketed(configuration.host))
    return Process(
        name=name or target,
        command=(*framework, "--target", target, "--port", str(port)),
        environment=relay.configuration.environment(configuration, {"THREADS": str(threads)} if threads else {}),
        ready=ready or readiness.answers(f"{configuration.local_url(port)}/"),
    )
