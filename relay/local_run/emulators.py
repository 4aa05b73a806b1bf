"""The official emulators of Pub/Sub and Firestore: whether they can run on this machine, how they are started, when they answer.

They are components of the Google Cloud CLI and run on Java. `gcloud` starts Java as a child that outlives it, so both belong in a
process group of their own (`relay.local_run.processes.Child` gives one), and that group is what must be ended.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from relay.local_run import readiness

_ASKED_AT_MOST_S = 30.0


class Emulator(msgspec.Struct, frozen=True):
    """One of them.

    title      how people call it
    group      the words after `gcloud` that lead to its command `start`
    components  what must be installed for it; gcloud would offer to install what is not
    variable   where the clients find its address
    """

    title: str
    group: tuple[str, ...]
    components: tuple[str, ...]
    variable: str

    def command(self, port: int) -> list[str]:
        """Starts it on this port of 127.0.0.1. It forgets everything when it ends."""
        return [shutil.which("gcloud") or "gcloud", *self.group, "start", f"--host-port={address(port)}"]


PUBSUB = Emulator("the Pub/Sub emulator", ("beta", "emulators", "pubsub"), ("beta", "pubsub-emulator"), "PUBSUB_EMULATOR_HOST")
FIRESTORE = Emulator(
    "the Firestore emulator", ("emulators", "firestore"), ("cloud-firestore-emulator",), "FIRESTORE_EMULATOR_HOST"
)
EMULATORS = (PUBSUB, FIRESTORE)


def address(port: int) -> str:
    """host:port, as the clients take it."""
    return f"127.0.0.1:{port}"


def obstacle() -> str:
    """Why the emulators cannot run here, as a sentence that says what to do; empty if they can. Needs no network."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return "The Google Cloud CLI (gcloud) is not installed, and the emulators are part of it: https://cloud.google.com/sdk/docs/install"
    root = _root(Path(gcloud))
    if root is None:
        return f"{gcloud} does not say where the Google Cloud CLI is installed, so its emulators cannot be found."
    missing = _missing(root)
    if missing:
        return f"The Google Cloud CLI lacks components: gcloud components install {' '.join(missing)}"
    if not _java_runs():
        return "The emulators need Java, and no 'java' on the path can be run: install a Java runtime (JRE), version 21 or later."
    return ""


def answers(port: int) -> Callable[[], bool]:
    """Whether the emulator on this port can be used: it answers GET / as soon as it serves calls."""
    return readiness.answers(f"http://{address(port)}/")


def listens(port: int) -> Callable[[], bool]:
    """Whether something accepts connections there: for servers that speak nothing but gRPC."""

    def look() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return False

    return look


def free_ports(number: int) -> list[int]:
    """So many different ports of 127.0.0.1 on which nothing listens."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _missing(root: Path) -> list[str]:
    """Components that gcloud would have to install first. It keeps a manifest of each installed one, and looks there, too."""
    wanted = dict.fromkeys(component for emulator in EMULATORS for component in emulator.components)
    return [component for component in wanted if not (root / ".install" / f"{component}.manifest").is_file()]


def _root(gcloud: Path) -> Path | None:
    """Where the CLI is installed: the parent of the directory of the script, or, where that is a wrapper, what it says itself."""
    root = gcloud.resolve().parent.parent
    if (root / ".install").is_dir():
        return root
    said = _output([str(gcloud), "info", "--format=value(installation.sdk_root)"])
    return Path(said) if said else None


def _java_runs() -> bool:
    """macOS has a `java` that only says that there is none, so it must be run."""
    java = shutil.which("java")
    return java is not None and _output([java, "-version"]) is not None


def _output(command: list[str]) -> str | None:
    """What it prints; None if it fails."""
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASKED_AT_MOST_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.strip()
