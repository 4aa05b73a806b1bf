"""Google's emulators for a measurement, without what tests put in front of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from relay.configuration import read
from tests.emulators import Emulators, end_pushing
from tests.emulators.running import Run, Unavailable, addresses
from tests.end_to_end.google_stack import GoogleStack


@contextmanager
def emulators() -> Iterator[Emulators | str]:
    """While the context lasts; or why they cannot run here."""
    run = Run()
    try:
        try:
            found = Emulators(addresses())
        except Unavailable as why:
            yield str(why)
            return
        try:
            yield found
        finally:
            found.close()
    finally:
        run.end()


class BareStack(GoogleStack):
    """Publishes to the emulator itself, and nobody is pushed to: what the receiver costs, and nothing beside it."""

    def __init__(self, directory: Path, emulators: Emulators, more: Mapping[str, str] | None = None) -> None:
        """more: environment variables of its processes."""
        self._more = more or {}
        super().__init__(directory, emulators, mounted=True)
        end_pushing(self.place)
        self.place["PUBSUB_EMULATOR_HOST"] = emulators.addresses.pubsub
        configuration = read(self.place)
        self.topic = f"projects/{configuration.google_cloud_project}/topics/{configuration.topic}"

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self._more}

    @property
    def for_floors(self) -> dict[str, str]:
        """The environment variables with which a floor publishes to the same topic."""
        return {
            "FLOOR_TOPIC": self.topic,
            "PUBSUB_EMULATOR_HOST": self.place["PUBSUB_EMULATOR_HOST"],
            "GOOGLE_CLOUD_PROJECT": self.place["GOOGLE_CLOUD_PROJECT"],
        }
