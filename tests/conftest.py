"""Options of the whole suite."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.emulators import Emulators
    from tests.emulators.running import Run

settings.register_profile(
    "diy",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("diy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=0, help="how many random cases the promise is tried with (0: some hundred)")
    parser.addoption("--seeds", type=int, default=1_000, help="how many seeds the simulation is played with")
    parser.addoption("--seed", type=int, default=None, help="the one seed the simulation is played with")
    parser.addoption("--fuzz-seconds", type=float, default=15.0, help="how long the receiver is tried with hostile input")
    parser.addoption("--crash-seconds", type=float, default=0, help="how long each case of the crash matrix lasts (0: some ends)")
    parser.addoption(
        "--nothing-left-out", action="store_true", help="a test that is skipped because something is not installed fails"
    )


_EMULATORS: pytest.StashKey[Run] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        from tests.emulators.running import Run

        config.stash[_EMULATORS] = Run()


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(_EMULATORS, None)
    if run is not None:
        run.end()


@pytest.fixture(autouse=True)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that is marked `quiet` has the machine for itself, however many run side by side: it counts what happens within
    milliseconds of a clock that the others would hold up."""
    own = tmp_path_factory.getbasetemp()
    of_run = own.parent if hasattr(request.config, "workerinput") else own
    way = fcntl.LOCK_EX if request.node.get_closest_marker("quiet") else fcntl.LOCK_SH
    with (of_run / "gate").open("w") as gate, (of_run / "machine").open("w") as used:
        # Whoever waits keeps the gate, so that one who wants it alone is not overtaken for ever.
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(used, way)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.fixture(scope="session")
def emulators() -> Iterator[Emulators]:
    """Google's services on this machine, started when the first test of the run asks for them."""
    from tests.emulators import Emulators
    from tests.emulators.running import Unavailable, addresses

    try:
        found = addresses()
    except Unavailable as unavailable:
        pytest.skip(str(unavailable))
    services = Emulators(found)
    yield services
    services.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--nothing-left-out") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out, and nothing may be: {report.longrepr}"
    return report
