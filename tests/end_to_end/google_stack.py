"""The same stack on the google back end: functions-framework processes, the Pub/Sub emulator pushing to `deliver`, Firestore."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from relay.backends import open_backend
from relay.backends.records import INBOUND
from relay.configuration import read
from relay.local_run.push_subscription import BACK_OFF_S, subscribe
from tests.emulators import Emulators, end_pushing, place
from tests.end_to_end.stack import ROOT, Stack

_TICK_PAUSE_S = 0.5


class GoogleStack(Stack):
    """`worker` is the function `deliver`."""

    ticks = True
    """A thread calls `tick`, as Scheduler does, only more often."""

    servers: tuple[str, ...] = ("pangolin", "receiver", "worker", "create", "tick")
    everything: tuple[str, ...] = ("pangolin", "create", "worker", "tick", "receiver")

    def __init__(
        self,
        directory: Path,
        emulators: Emulators,
        *,
        mode: str = "own",
        debug: bool = False,
        ack_deadline_s: int = 300,
        pushed_to: int = 0,
        mounted: bool = False,
        back_off_s: tuple[int, int] = BACK_OFF_S,
    ) -> None:
        """pushed_to: a port that Pub/Sub pushes to instead of the worker's. mounted: the receiver reads the inbound document from
        a file, as on Cloud Run; see `mount`. back_off_s: before a push that failed is made again, at first and at most."""
        self._inbound_file = directory / "mounted" / "inbound" if mounted else None
        self.place = {**place(emulators), "ACK_DEADLINE_S": str(ack_deadline_s)}
        self.workers = 1
        self._ended = threading.Event()
        self._ticking: threading.Thread | None = None
        super().__init__(directory, mode=mode, debug=debug)
        if mounted:
            self.mount()
        endpoint = f"http://127.0.0.1:{pushed_to or self.ports['worker']}/"
        subscribe(read(self.place), endpoint=endpoint, back_off_s=back_off_s)

    @property
    def worker_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['worker']}/"

    def open_backend(self) -> Any:
        return open_backend(read(self.place))

    def mount(self) -> None:
        """The newest version of the inbound document is what the receiver's file holds from now on: on Cloud Run each look at the
        file gives that."""
        assert self._inbound_file is not None
        self._inbound_file.parent.mkdir(exist_ok=True)
        newer = self._inbound_file.with_suffix(".newer")
        newer.write_bytes(INBOUND.write(self.backend.inbound.read()))
        newer.replace(self._inbound_file)

    @property
    def commands(self) -> dict[str, list[str]]:
        return {
            "pangolin": super().commands["pangolin"],
            "receiver": [*self._with_file, *self.function("diy", "receiver")],
            "worker": self.function("deliver", "worker"),
            "create": self.function("create"),
            "tick": self.function("tick"),
        }

    @property
    def _with_file(self) -> list[str]:
        return ["env", f"INBOUND_FILE={self._inbound_file}"] if self._inbound_file is not None else []

    @property
    def environment(self) -> dict[str, str]:
        create = f"http://127.0.0.1:{self.ports['create']}/"
        return {**super().environment, **self.place, "CREATE_URL": create, "WORKERS": str(self.workers), "THREADS": "16"}

    def start(self, *names: str, source: Path = ROOT) -> None:
        super().start(*names, source=source)
        if self.ticks and "tick" in self.processes and self._ticking is None:
            self._ticking = threading.Thread(target=self._tick, daemon=True)
            self._ticking.start()

    def change(self, audience: str, users: list[str], *, patient: bool = True, **more: Any) -> requests.Response:
        """patient: sends it again after a 503, as long as one is due to a busy machine only: publishing has 0.7 seconds."""
        answer = super().change(audience, users, **more)
        for _ in range(4):
            if answer.status_code != 503 or not patient:
                break
            answer = super().change(audience, users, **more)
        return answer

    def start_second_worker(self) -> None:
        self.kill("worker")
        self.workers = 2
        self.start("worker")

    def stop(self) -> None:
        self._ended.set()
        super().stop()
        end_pushing(self.place)

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_PAUSE_S):
            with suppress(requests.RequestException):
                requests.post(f"http://127.0.0.1:{self.ports['tick']}/", timeout=120)
